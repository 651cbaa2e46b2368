"""A pod that is confined as a tenant's reaches nothing of others while its policy is there."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, cast

import pytest

from function_apps.tenants.model.proofs import judge, proof_results
from shared.contracts.environments import ComputeTarget
from shared.contracts.isolation import IsolationLayer
from shared.contracts.isolation import Quota as BoundQuota
from shared.contracts.tenants import ProofVerdict
from shared.contracts.values import ComputeTargetKind
from shared.kernel.observation import Present, Reading
from shared.surfaces.aks.attempt_compute import attempt_compute
from shared.surfaces.aks.attempt_jobs import of_tenant
from shared.surfaces.aks.boundary_objects import LIMITS, POLICIES
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.kinds import JOBS, PODS
from shared.surfaces.aks.permissions import POD_SECURITY
from shared.surfaces.boundaries import BoundarySpec, bound_quota
from shared.surfaces.capabilities import Feature
from shared.surfaces.isolation_attempts import LayerAttempts
from shared.surfaces.port import Boundaries, IsolationAttempts
from shared.surfaces.reader_ports import QuotaAttemptReader
from tests.kit.cluster_objects import remove
from tests.kit.patience import PATIENCE_S
from tests.kit.virtual_time import EPOCH
from tests.surfaces.aks_harness import AksHarness
from tests.surfaces.cluster_life import GLOBEX
from tests.surfaces.harness import ENVIRONMENT, SurfaceHarness, fence

RunScenario = Callable[[Callable[[SurfaceHarness], Coroutine[Any, Any, None]]], None]
pytestmark = pytest.mark.shows(Feature.ISOLATION_ATTEMPTS, on="aks")


async def tried(cluster: AksHarness) -> Reading[tuple[LayerAttempts, ...]]:
    surface = cast("IsolationAttempts", cluster.surface)
    return await surface.attempt_isolation(ENVIRONMENT, GLOBEX)


def reached(
    reading: Reading[tuple[LayerAttempts, ...]],
) -> Mapping[IsolationLayer, tuple[str, ...]]:
    """Return what was reached in each layer; in each the control held."""
    assert isinstance(reading, Present), reading
    assert {each.inconclusive_because for each in reading.value} == {""}
    return {each.layer: each.reached for each in reading.value}


def verdicts(*readings: Reading[tuple[LayerAttempts, ...]]) -> list[ProofVerdict]:
    """Return the verdict on the network after each of *readings*."""
    target = ComputeTarget(kind=ComputeTargetKind.AKS)
    proofs: Any = ()
    found = []
    for reading in readings:
        proofs, _ = judge(proofs, proof_results([], BoundQuota(), [(target, reading)]), EPOCH)
        (network,) = (each for each in proofs if each.layer is IsolationLayer.NETWORK)
        found.append(network.verdict)
    return found


async def nothing_is_left(cluster: AksHarness, *namespaces: str) -> None:
    for namespace in namespaces:
        jobs, _ = await cluster.api.list_all(JOBS, {}, namespace=namespace, keep=dict)
        assert jobs == []
        give_up_at_s = cluster.clock.monotonic_s() + PATIENCE_S
        while (await cluster.api.list_all(PODS, {}, namespace=namespace, keep=dict))[0]:
            assert cluster.clock.monotonic_s() < give_up_at_s
            await cluster.clock.sleep(0.2)


def policy(name: str, namespace: str, **spec: Any) -> Object:
    """Return a network policy of somebody else for all pods of *namespace*."""
    metadata = {"name": name, "namespace": namespace}
    whole = {"podSelector": {}, **spec}
    return {
        "apiVersion": POLICIES.version, "kind": POLICIES.name, "metadata": metadata, "spec": whole,
    }  # fmt: skip


def enforces_policies(cluster: AksHarness) -> None:
    if not cluster.host.cluster.cluster.record.policies:
        pytest.skip("nothing of this machine's clusters enforces network policies")


def test_a_closed_tenant_passes_and_one_whose_policy_is_deleted_is_a_breach(
    run_scenario: RunScenario,
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster = cast("AksHarness", harness)
        enforces_policies(cluster)
        await cluster.surface.apply(cluster.spec(1), fence(1))
        await cluster.until(lambda live: live.revisions[0].ready == 1)
        boundary = BoundarySpec(ENVIRONMENT, GLOBEX)
        await cast("Boundaries", cluster.surface).ensure_boundary(boundary, fence(1))
        before = await cluster.surface.inventory(ENVIRONMENT)
        place = cluster.installation.namespace(ENVIRONMENT, GLOBEX)

        kept = await tried(cluster)
        opens = ("delete", "networkpolicy", "tenant", "--namespace", place)
        await asyncio.to_thread(cluster.host.cluster.cluster.kubectl, *opens)
        opened = await tried(cluster)
        await cast("Boundaries", cluster.surface).ensure_boundary(boundary, fence(2))
        closed_again = await tried(cluster)

        assert reached(kept) == dict.fromkeys(
            (IsolationLayer.COMPUTE, IsolationLayer.NETWORK, IsolationLayer.IDENTITY), ()
        )
        found = reached(opened)
        assert any("the API server at" in each for each in found[IsolationLayer.NETWORK])
        assert any(
            "comes in: it reaches a pod of" in each for each in found[IsolationLayer.NETWORK]
        )
        # The policy of the other one keeps it away.
        assert not any(cluster.namespace in each for each in found[IsolationLayer.NETWORK])
        assert found[IsolationLayer.IDENTITY] == ()
        assert verdicts(kept, opened, opened, closed_again) == [
            ProofVerdict.PASS, ProofVerdict.INDETERMINATE, ProofVerdict.BREACH, ProofVerdict.PASS,
        ]  # fmt: skip
        assert await cluster.surface.inventory(ENVIRONMENT) == before
        await nothing_is_left(cluster, place, cluster.installation.name)

    run_scenario(scenario)


def test_who_opens_a_tenant_for_what_comes_in_is_a_breach_and_who_cannot_try_shows_nothing(
    run_scenario: RunScenario,
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster = cast("AksHarness", harness)
        enforces_policies(cluster)
        boundary = BoundarySpec(ENVIRONMENT, GLOBEX)
        await cast("Boundaries", cluster.surface).ensure_boundary(boundary, fence(1))
        platforms = cluster.installation.name
        place = cluster.installation.namespace(ENVIRONMENT, GLOBEX)
        opens = policy("opens", place, ingress=[{}], policyTypes=["Ingress"])
        closes = policy("closes", platforms, policyTypes=["Ingress", "Egress"])

        await cluster.api.create(POLICIES, opens)
        opened = await tried(cluster)
        await remove(cluster.api, POLICIES, "opens", place)
        await cluster.api.create(POLICIES, closes)
        unable = await tried(cluster)
        await remove(cluster.api, POLICIES, "closes", platforms)
        closed = await tried(cluster)

        (came_in,) = reached(opened)[IsolationLayer.NETWORK]
        assert came_in.startswith(f"a pod of {platforms} comes in: it reaches a pod of {place} at ")
        assert isinstance(unable, Present), unable
        why = {each.layer: each.inconclusive_because for each in unable.value}
        assert f"a pod of {platforms} could not try to come in: " in why[IsolationLayer.NETWORK]
        assert why[IsolationLayer.IDENTITY] == ""
        assert verdicts(opened, opened, unable, closed) == [
            ProofVerdict.INDETERMINATE, ProofVerdict.BREACH, ProofVerdict.INDETERMINATE,
            ProofVerdict.PASS,
        ]  # fmt: skip
        await nothing_is_left(cluster, place, platforms)

    run_scenario(scenario)


async def quota_tried(cluster: AksHarness, quota: BoundQuota) -> LayerAttempts:
    surface = cast("QuotaAttemptReader", cluster.surface)
    reading = await surface.attempt_quota(ENVIRONMENT, GLOBEX, bound_quota(quota))
    assert isinstance(reading, Present), reading
    (found,) = reading.value
    return found


async def proved(cluster: AksHarness, quota: BoundQuota, times: int) -> ProofVerdict:
    """Return the verdict on the quota after so many proofs: what is read, and what is tried."""
    target = ComputeTarget(kind=ComputeTargetKind.AKS, capabilities=(Feature.QUOTAS,))
    proofs: Any = ()
    for _ in range(times):
        look = await cast("Boundaries", cluster.surface).read_boundary(ENVIRONMENT, GLOBEX)
        attempts = Present((await quota_tried(cluster, quota),))
        proofs, _ = judge(
            proofs, proof_results([(target, look)], quota, [(target, attempts)]), EPOCH
        )
    (found,) = (each for each in proofs if each.layer is IsolationLayer.QUOTA)
    verdict: ProofVerdict = found.verdict
    return verdict


def test_more_than_a_quota_is_refused_by_it_and_taken_where_it_is_gone(
    run_scenario: RunScenario,
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster = cast("AksHarness", harness)
        bound = BoundQuota(cpu=1, memory_mib=512, instances=9)
        boundary = BoundarySpec(ENVIRONMENT, GLOBEX, bound_quota(bound))
        boundaries = cast("Boundaries", cluster.surface)
        await boundaries.ensure_boundary(boundary, fence(1))
        place = cluster.installation.namespace(ENVIRONMENT, GLOBEX)

        kept = await proved(cluster, bound, 1)
        least = {"type": "Container", "min": {"memory": "128Mi"}}
        metadata = {"name": "least", "namespace": place}
        await cluster.api.create(LIMITS, {"metadata": metadata, "spec": {"limits": [least]}})
        unable = await quota_tried(cluster, bound)
        await remove(cluster.api, LIMITS, "least", place)
        deletes = ("delete", "resourcequota", "tenant", "--namespace", place)
        await asyncio.to_thread(cluster.host.cluster.cluster.kubectl, *deletes)
        opened = await quota_tried(cluster, bound)
        breached = await proved(cluster, bound, 2)

        assert kept is ProofVerdict.PASS
        assert "a pod that fits is refused, too: " in unable.inconclusive_because
        assert opened.reached == (
            "in a dry run the API server takes a pod with 1001m of cpu",
            "in a dry run the API server takes a pod with 513Mi of memory",
        )
        assert breached is ProofVerdict.BREACH
        await nothing_is_left(cluster, place)

    run_scenario(scenario)


def test_a_pod_that_gets_at_its_node_is_refused_and_taken_where_pod_security_is_gone(
    run_scenario: RunScenario,
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster = cast("AksHarness", harness)
        boundaries = cast("Boundaries", cluster.surface)
        await boundaries.ensure_boundary(BoundarySpec(ENVIRONMENT, GLOBEX), fence(1))
        place = of_tenant(cluster.installation, ENVIRONMENT, GLOBEX)
        image = cluster.host.cluster.isolation_image
        platform = ClusterApi(cluster.host.connect)

        kept = await attempt_compute(platform, place, image)
        labels = ("label", "namespace", place.namespace, f"{POD_SECURITY[0]}-")
        await asyncio.to_thread(cluster.host.cluster.cluster.kubectl, *labels)
        unable = await attempt_compute(platform, place, image)
        opened = await attempt_compute(cluster.api, place, image)

        assert kept == LayerAttempts(IsolationLayer.COMPUTE)
        # The platform is held back by its own policy first, from the pod that fits; or from those
        # that get at their node, while the API server does not know of the label's end.
        assert (unable.reached, "is forbidden: " in unable.inconclusive_because) == ((), True)
        assert opened.reached == tuple(
            f"in a dry run the API server takes a pod that {what} its node"
            for what in (
                "sees the processes of", "has the network of", "has the files of",
                "is privileged on",
            )
        )  # fmt: skip
        await nothing_is_left(cluster, place.namespace)

    run_scenario(scenario)
