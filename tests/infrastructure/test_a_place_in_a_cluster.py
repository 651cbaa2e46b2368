"""An environment has its place in the cluster of its installation, beside this machine or alone."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from cli.state_folder import REPOSITORY
from local_cloud.infrastructure.cluster_site import ClusterSiteProvider
from local_cloud.infrastructure.step_engine import StepEngine
from shared.contracts.environments import ComputeTarget
from shared.contracts.values import ComputeTargetKind as Target
from shared.contracts.values import Resources
from shared.infrastructure.graph import Node, Resource
from shared.infrastructure.inputs import ComputeTargetInput, EnvironmentInputs
from shared.infrastructure.local_program import KUBERNETES_SITE
from shared.infrastructure.port import DestroyPlan, RunId, UpdatePlan
from shared.kernel.clock import SystemClock
from shared.kernel.errors import Invalid
from shared.kernel.fence import Fence, StaleFence
from shared.kernel.ids import EnvironmentId
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.surfaces.observed_state import Site
from shared.surfaces.spec import Resources as Limits
from shared.surfaces.spec import SiteSpec
from tests.infrastructure.installations import FENCE, LAST, LATER, STACK, inputs
from tests.kit.memory_cluster import MemoryCluster
from tests.kit.memory_engine import MemoryCloud, local_graph, memory_engine
from tests.kit.memory_surface import MemorySurface
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.stack_runs import destroy, failed, run_to_end, update

ENVIRONMENT = EnvironmentId(inputs().environment_id)
BOTH = (ComputeTargetInput("LocalProcess"), ComputeTargetInput("AKS"))


class AwayAtTimes(MemorySurface):
    """A cluster whose API server answers or does not."""

    is_away = False
    has_gateway = True
    capacity_of_somebody: Limits | None = None

    async def ensure_site(self, spec: SiteSpec, fence: Fence) -> None:
        self.capacity_of_somebody = None
        await super().ensure_site(spec, fence)

    async def read_site(self, environment: EnvironmentId) -> Reading[Site]:
        if self.is_away:
            return Unknown("it does not answer")
        match await super().read_site(environment):
            case Present(site) if not self.has_gateway:
                return Present(replace(site, endpoint=""))
            case Present(site) if self.capacity_of_somebody:
                return Present(replace(site, capacity=self.capacity_of_somebody))
            case reading:
                return reading


class Connected:
    """An installation with a cluster, and another surface for this machine."""

    def __init__(self) -> None:
        self.machine = MemorySurface(MemoryCluster(SystemClock(), SeededEntropy(1)))
        self.cluster = AwayAtTimes(MemoryCluster(SystemClock(), SeededEntropy(2)))
        self.engine: StepEngine = memory_engine(
            MemoryCloud(), {Target.LOCAL_PROCESS: self.machine, Target.AKS: self.cluster}
        )

    async def sites(self) -> set[str]:
        """Return on which kinds of compute target the environment has a site."""
        surfaces = {"LocalProcess": self.machine, "AKS": self.cluster}
        readings = {kind: await each.read_site(ENVIRONMENT) for kind, each in surfaces.items()}
        return {kind for kind, reading in readings.items() if isinstance(reading, Present)}

    async def capacity(self) -> Limits:
        """Return what the environment's workloads in the cluster are held to."""
        reading = await self.cluster.read_site(ENVIRONMENT)
        assert isinstance(reading, Present)
        return reading.value.capacity


def aks(**capacity: Any) -> EnvironmentInputs:
    """Return the inputs of an environment in the cluster only, as those of a request are."""
    given = Resources(**capacity).model_dump(mode="json", exclude_none=True)
    return inputs(compute_targets=(ComputeTargetInput("AKS", given),))


def cluster_node(capacity: Mapping[str, Any], settings: Mapping[str, str] | None = None) -> Node:
    target = ComputeTargetInput("AKS", capacity, settings or {})
    graph = local_graph(STACK, inputs(compute_targets=(target,), has_cluster=True))
    return next(node for node in graph.nodes if node.type == KUBERNETES_SITE)


async def test_an_environment_has_a_site_on_each_of_its_targets() -> None:
    connected = Connected()
    wanted = inputs("data", compute_targets=BOTH)

    preview = await connected.engine.preview(STACK, wanted)
    made = await update(connected.engine, STACK, wanted, FENCE)

    assert [each.name for each in preview.changes] == [
        "test", "data-data", "site", "kubernetes-site",
    ]  # fmt: skip
    assert await connected.sites() == {"LocalProcess", "AKS"}
    local, in_cluster = made.outputs["computeTargets"]
    assert (local["kind"], in_cluster["kind"]) == ("LocalProcess", "AKS")
    assert in_cluster["resourceIds"] == [ENVIRONMENT]
    assert in_cluster["endpoint"].startswith("http://")
    assert (await connected.engine.preview(STACK, wanted)).is_empty
    assert (await connected.engine.refresh(STACK, FENCE)).changed == ()


async def test_a_target_comes_and_goes_while_the_other_stays() -> None:
    connected = Connected()
    await update(connected.engine, STACK, inputs("data"), FENCE)

    await update(connected.engine, STACK, inputs("data", compute_targets=BOTH), LATER)
    assert await connected.sites() == {"LocalProcess", "AKS"}

    await update(connected.engine, STACK, inputs("data"), LAST)
    assert await connected.sites() == {"LocalProcess"}


async def test_an_environment_may_be_in_the_cluster_alone() -> None:
    connected = Connected()

    await update(connected.engine, STACK, aks(), FENCE)
    assert await connected.sites() == {"AKS"}

    assert (await destroy(connected.engine, STACK, LATER)).left == ()
    assert await connected.sites() == set()
    assert await connected.engine.read(STACK) == Absent()


async def test_without_a_cluster_it_is_refused_by_name() -> None:
    engine = memory_engine(MemoryCloud())

    with pytest.raises(Invalid) as refused:
        await engine.preview(STACK, inputs(compute_targets=BOTH))

    (violation,) = refused.value.details
    assert violation.code == "MixedComputeTargets"
    assert "no cluster for AKS" in violation.message
    assert violation.expected == "only LocalProcess, or no LocalProcess"


async def test_a_cluster_that_is_no_longer_named_is_asked_for_also_by_a_delete() -> None:
    surfaces = Connected()
    cloud = MemoryCloud()
    both = {Target.LOCAL_PROCESS: surfaces.machine, Target.AKS: surfaces.cluster}
    await update(memory_engine(cloud, both), STACK, inputs(compute_targets=BOTH), FENCE)
    without = memory_engine(cloud, {Target.LOCAL_PROCESS: surfaces.machine})

    left = (await destroy(without, STACK, LATER)).left

    (site,) = (each for each in left if each.name == "kubernetes-site")
    assert site.code == "ProviderMissing"
    assert "names no cluster any more: set RUNTIME_KUBECONFIG or RUNTIME_AKS" in site.reason
    assert (await destroy(memory_engine(cloud, both), STACK, LAST)).left == ()


async def test_a_target_is_not_taken_away_where_its_cluster_is_no_longer_named() -> None:
    surfaces = Connected()
    cloud = MemoryCloud()
    both = {Target.LOCAL_PROCESS: surfaces.machine, Target.AKS: surfaces.cluster}
    await update(memory_engine(cloud, both), STACK, inputs(compute_targets=BOTH), FENCE)
    without = memory_engine(cloud, {Target.LOCAL_PROCESS: surfaces.machine})
    plan = UpdatePlan(inputs(), (await without.preview(STACK, inputs())).plan_hash)

    ended = failed(await run_to_end(without, RunId(STACK, LATER.operation), plan, LATER))

    assert ended.code == "StepFailed"
    assert "names no cluster any more: set RUNTIME_KUBECONFIG" in ended.message


async def test_beside_this_machine_azure_is_refused_also_with_a_cluster() -> None:
    targets = (*BOTH, ComputeTargetInput("ContainerApps"))

    with pytest.raises(Invalid) as refused:
        await Connected().engine.preview(STACK, inputs(compute_targets=targets))

    assert [each.code for each in refused.value.details] == ["MixedComputeTargets"]


async def test_a_folder_of_this_machine_needs_a_target_on_it() -> None:
    wanted = inputs("data", compute_targets=(ComputeTargetInput("AKS"),))

    with pytest.raises(Invalid) as refused:
        await Connected().engine.preview(STACK, wanted)

    assert [(each.code, each.target) for each in refused.value.details] == [
        ("DataWithoutTarget", "/dataResources/0/kind"),
    ]


async def test_a_capacity_is_the_quota_of_the_place_until_it_is_taken_away() -> None:
    connected = Connected()

    await update(connected.engine, STACK, aks(cpu=4.0, memory_mib=8192), FENCE)
    assert await connected.capacity() == Limits(cpu=4, memory_mb=8192)

    preview = await connected.engine.preview(STACK, aks(cpu=2.5))
    assert {each.name: each.paths for each in preview.changes if each.paths} == {
        "kubernetes-site": ("capacity.cpu", "capacity.memoryMib"),
    }
    await update(connected.engine, STACK, aks(cpu=2.5), LATER)
    assert await connected.capacity() == Limits(cpu=2.5)

    await update(connected.engine, STACK, aks(), LAST)
    assert await connected.capacity() == Limits()


async def test_a_quota_that_somebody_else_changed_is_a_difference_and_is_put_back() -> None:
    connected = Connected()
    await update(connected.engine, STACK, aks(cpu=4.0), FENCE)
    connected.cluster.capacity_of_somebody = Limits(cpu=64.0)

    refreshed = await connected.engine.refresh(STACK, LATER)
    preview = await connected.engine.preview(STACK, aks(cpu=4.0))
    await update(connected.engine, STACK, aks(cpu=4.0), LATER)

    assert [urn.rpartition("::")[2] for urn in refreshed.changed] == ["kubernetes-site"]
    assert [each.paths for each in preview.changes if each.paths] == [("capacity.cpu",)]
    assert await connected.capacity() == Limits(cpu=4)


@pytest.mark.parametrize(
    ("capacity", "settings", "refused"),
    [
        (
            {"openFiles": 100},
            {},
            ("CapacityNotLimited", "/computeTargets/1/capacity/openFiles"),
        ),
        ({}, {"sku": "large"}, ("UnknownSetting", "/computeTargets/1/settings/sku")),
    ],
    ids=["a-limit-that-no-quota-has", "a-setting"],
)
async def test_a_place_that_cannot_be_had_is_refused_by_the_plan(
    capacity: Mapping[str, int], settings: Mapping[str, str], refused: tuple[str, str]
) -> None:
    targets = (ComputeTargetInput("LocalProcess"), ComputeTargetInput("AKS", capacity, settings))

    preview = await Connected().engine.preview(STACK, inputs(compute_targets=targets))

    assert [(each.code, each.target) for each in preview.refusals] == [refused]


def test_the_body_of_the_page_is_one_that_works() -> None:
    page = (REPOSITORY / "docs/how-to/deploy-to-a-cluster.md").read_text(encoding="utf-8")
    body = json.loads(page.partition("```json\n")[2].partition("```")[0])
    (target,) = (each for each in body["computeTargets"] if each["kind"] == "AKS")
    capacity = Resources.model_validate(target["capacity"])
    given = capacity.model_dump(mode="json", exclude_none=True)

    assert ClusterSiteProvider(Connected().cluster).check(cluster_node(given), "") == []


async def test_a_cluster_that_is_away_leaves_the_record_as_it_is() -> None:
    connected = Connected()
    await update(connected.engine, STACK, inputs(compute_targets=BOTH), FENCE)
    before = await connected.engine.read(STACK)
    connected.cluster.is_away = True

    refreshed = await connected.engine.refresh(STACK, LATER)

    assert [urn.rpartition("::")[2] for urn in refreshed.unknown] == ["kubernetes-site"]
    assert refreshed.absent == ()
    assert await connected.engine.read(STACK) == before


async def test_a_cluster_without_a_gateway_has_no_public_address() -> None:
    connected = Connected()
    connected.cluster.has_gateway = False

    made = await update(connected.engine, STACK, aks(), FENCE)

    (target,) = made.outputs["computeTargets"]
    assert ComputeTarget.model_validate(target).endpoint is None


async def test_a_destroy_keeps_what_is_retained_and_ends_the_place_in_the_cluster() -> None:
    connected = Connected()
    await update(connected.engine, STACK, inputs("data", compute_targets=BOTH), FENCE)

    ended = await destroy(connected.engine, STACK, LATER, DestroyPlan(retain=("data",)))

    assert {each.name: each.code for each in ended.left} == {
        "data-data": "Retained", "test": "HeldBy",
    }  # fmt: skip
    assert await connected.sites() == set()


async def test_a_stale_writer_changes_neither_place_nor_quota() -> None:
    connected = Connected()
    await update(connected.engine, STACK, aks(cpu=4.0), LATER)
    provider = ClusterSiteProvider(connected.cluster)
    node = cluster_node({"cpu": 64})
    site = Resource(node.urn, node.type, node.name, node.properties)

    with pytest.raises(StaleFence):
        await provider.put(site, FENCE)
    with pytest.raises(StaleFence):
        await provider.delete(site, FENCE)

    assert await connected.capacity() == Limits(cpu=4)
    assert await connected.sites() == {"AKS"}
