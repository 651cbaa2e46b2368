"""What a tenant's namespace holds its pods to, and what is said where they are refused."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from shared.kernel.ids import TenantId
from shared.kernel.observation import Present
from shared.surfaces.aks.answer_shapes import named_object
from shared.surfaces.aks.boundary_objects import (
    ACCOUNTS,
    CAPACITY,
    CLIENT_ID,
    LIMITS,
    NAME,
    POLICIES,
)
from shared.surfaces.aks.kinds import NAMESPACES, PODS, Kind
from shared.surfaces.aks.names import USES_IDENTITY
from shared.surfaces.boundaries import Boundary, BoundarySpec, Quota, boundary_properties
from shared.surfaces.capabilities import Feature
from shared.surfaces.errors import SiteMissing
from shared.surfaces.port import Boundaries
from shared.surfaces.spec import Resources, SurfaceComponent
from tests.surfaces.aks_harness import AksHarness
from tests.surfaces.harness import ACME, ENVIRONMENT, SHOP, SITE, SurfaceHarness, fence

RunScenario = Callable[[Callable[[SurfaceHarness], Coroutine[Any, Any, None]]], None]
pytestmark = pytest.mark.shows(
    Feature.NAMESPACES, Feature.QUOTAS, Feature.NETWORK_POLICY, Feature.WORKLOAD_IDENTITY, on="aks"
)
GLOBEX = TenantId("globex")
THEIRS: SurfaceComponent = replace(SHOP, tenant=GLOBEX)
IDENTITY = "00000000-0000-0000-0000-00000000000a"


async def ensure(harness: SurfaceHarness, **changes: Any) -> None:
    spec = replace(BoundarySpec(ENVIRONMENT, GLOBEX), **changes)
    await cast("Boundaries", harness.surface).ensure_boundary(spec, fence(1))


async def boundary(harness: SurfaceHarness, tenant: TenantId = GLOBEX) -> Boundary:
    reading = await cast("Boundaries", harness.surface).read_boundary(ENVIRONMENT, tenant)
    assert isinstance(reading, Present), reading
    return reading.value


async def edit(
    cluster: AksHarness, kind: Kind, name: str, namespace: str | None, patch: Mapping[str, Any]
) -> None:
    await cluster.api._json(
        "PATCH", kind.path(namespace, name),
        params={"fieldManager": "kubectl-edit"}, body=dict(patch),
        content_type="application/merge-patch+json", shape=named_object,
    )  # fmt: skip


@pytest.mark.sample
def test_the_owner_of_a_site_has_a_closed_boundary_with_it(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster = cast("AksHarness", harness)

        found = await boundary(harness, ACME)

        assert found.is_ready
        assert found.properties == boundary_properties(BoundarySpec(ENVIRONMENT, ACME))
        policy = await cluster.api.get(POLICIES, NAME, found.name)
        assert policy is not None
        assert policy["spec"]["podSelector"] == {}
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        outside = [rule for rule in policy["spec"]["egress"] if "ports" not in rule]
        assert outside == [{"to": [{"podSelector": {}}]}]

    run_scenario(scenario)


async def _ensure_capacity(harness: SurfaceHarness, capacity: Resources) -> Resources:
    """Have the site limited to *capacity*; return what it is limited to."""
    await harness.surface.ensure_site(replace(SITE, capacity=capacity), fence(1, "site"))
    reading = await harness.surface.read_site(ENVIRONMENT)
    assert isinstance(reading, Present), reading
    return reading.value.capacity


def test_a_capacity_and_the_quota_of_its_owner_are_kept_apart(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        bound = {"tenant": ACME, "quota": Quota(cpu=2, instances=5)}
        capacity = Resources(cpu=2.5, memory_mb=8192)

        assert await _ensure_capacity(harness, capacity) == capacity
        await ensure(harness, **bound)
        assert await _ensure_capacity(harness, Resources(cpu=4)) == Resources(cpu=4)
        quota = (await boundary(harness, ACME)).properties
        assert quota == {"quota/cpu": "2", "quota/instances": "5"}

        await ensure(harness, tenant=ACME)
        assert (await boundary(harness, ACME)).properties == {}
        assert await _ensure_capacity(harness, Resources(cpu=4)) == Resources(cpu=4)
        assert await _ensure_capacity(harness, Resources()) == Resources()

    run_scenario(scenario)


def test_an_instance_without_limits_gets_some_where_there_is_a_capacity(
    run_scenario: RunScenario,
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster = cast("AksHarness", harness)
        await _ensure_capacity(harness, Resources(memory_mb=8192))

        found = await cluster.api.get(LIMITS, CAPACITY, cluster.namespace)

        assert found is not None
        (each,) = found["spec"]["limits"]
        assert each["default"] == {"memory": "512Mi"}  # cores are not limited: none need a share

    run_scenario(scenario)


@pytest.mark.parametrize(
    ("cores", "refused_by"), [(0.1, "tenant"), (0.9, "capacity")], ids=["quota", "capacity"]
)
def test_the_smaller_of_capacity_and_quota_holds(
    run_scenario: RunScenario, cores: float, refused_by: str
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await ensure(harness, tenant=ACME, quota=Quota(cpu=cores))
        await _ensure_capacity(harness, Resources(cpu=1 - cores))

        spec = harness.worker(1, resources=Resources(cpu=0.5), drain_s=0.0)
        await harness.surface.apply(spec, fence(1))

        live = await harness.until(
            lambda live: any(each.reason == "CannotStart" for each in live.revisions[0].instances)
        )
        (refused,) = live.revisions[0].instances
        assert f"exceeded quota: {refused_by}" in refused.message

    run_scenario(scenario)


def test_a_tenant_without_a_boundary_has_no_place(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        with pytest.raises(SiteMissing, match="globex has no boundary"):
            await harness.surface.apply(
                harness.spec(1, component=THEIRS, path_prefix=None), fence(1)
            )

    run_scenario(scenario)


@pytest.mark.parametrize(
    ("quota", "words"),
    [
        pytest.param({"quota": Quota(instances=1)}, "exceeded quota: tenant", id="too-many"),
        pytest.param(
            {"quota": Quota(memory_mb=96), "limits": Resources(memory_mb=64)},
            "exceeded quota: tenant, requested: limits.memory=64Mi", id="too-much-memory",
        ),
    ],
)  # fmt: skip
def test_what_a_quota_refuses_is_why_an_instance_cannot_start(
    run_scenario: RunScenario, quota: dict[str, Any], words: str
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await ensure(harness, **quota)

        await harness.surface.apply(
            harness.worker(1, component=THEIRS, replicas=2, drain_s=0.0), fence(1)
        )

        live = await harness.until(
            lambda live: any(each.reason == "CannotStart" for each in live.revisions[0].instances),
            THEIRS,
        )
        (refused,) = [each for each in live.revisions[0].instances if each.reason == "CannotStart"]
        assert words in refused.message
        assert (await boundary(harness)).used.instances in {1, None}

    run_scenario(scenario)


def test_what_admission_refuses_is_why_an_instance_cannot_start(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster = cast("AksHarness", harness)
        at_most = {"type": "Container", "max": {"memory": "32Mi"}}
        company = {
            "apiVersion": LIMITS.version, "kind": LIMITS.name,
            "metadata": {"name": "company", "namespace": cluster.namespace},
            "spec": {"limits": [at_most]},
        }  # fmt: skip
        await cluster.api.create(LIMITS, company)

        spec = harness.worker(1, resources=Resources(memory_mb=64), drain_s=0.0)
        await harness.surface.apply(spec, fence(1))

        live = await harness.until(
            lambda live: any(each.reason == "CannotStart" for each in live.revisions[0].instances)
        )
        (refused,) = live.revisions[0].instances
        assert "maximum memory usage per Container is 32Mi" in refused.message

    run_scenario(scenario)


def test_pods_act_as_the_identity_of_their_tenant_only_where_it_has_one(
    run_scenario: RunScenario,
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster = cast("AksHarness", harness)
        await ensure(harness)
        await harness.serve(harness.worker(1, component=THEIRS, drain_s=0.0))
        await ensure(harness, identity=IDENTITY)
        await harness.serve(harness.worker(2, component=THEIRS, drain_s=0.0))

        name = (await boundary(harness)).name
        account = await cluster.api.get(ACCOUNTS, NAME, name)
        pods, _ = await cluster.api.list_all(PODS, {}, namespace=name, keep=lambda each: each)
        shown = {
            pod["spec"]["serviceAccountName"]: pod["metadata"]["labels"].get(USES_IDENTITY)
            for pod in pods
        }
        assert shown == {"default": None, NAME: "true"}
        proofs = await harness.surface.prove(THEIRS)
        assert isinstance(proofs, Present)
        assert [proof.departs for proof in proofs.value] == [(), ()]
        assert account is not None
        assert account["metadata"]["annotations"][CLIENT_ID] == IDENTITY
        assert [pod["spec"].get("automountServiceAccountToken") for pod in pods] == [False] * 2

    run_scenario(scenario)


def test_a_boundary_that_somebody_opened_is_not_ready(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster = cast("AksHarness", harness)
        await ensure(harness, quota=Quota(instances=3))
        name = (await boundary(harness)).name

        await edit(cluster, POLICIES, NAME, name, {"spec": {"ingress": [{}]}})
        opened = await boundary(harness)
        await edit(
            cluster,
            POLICIES,
            NAME,
            name,
            {"spec": {"egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}},
        )
        reaching = await boundary(harness)
        label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}
        await edit(cluster, NAMESPACES, name, None, label)

        assert not opened.is_ready
        assert reaching.properties["mayReach/0.0.0.0/0"] == "allowed"
        assert not (await boundary(harness)).is_ready

    run_scenario(scenario)
