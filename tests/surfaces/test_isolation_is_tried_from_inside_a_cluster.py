"""A pod that is confined as a tenant's reaches nothing of others where nodes enforce that."""

import subprocess
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, cast

import pytest

from function_apps.tenants.model.proofs import findings, judge
from local_cluster.binaries import find_nft
from local_cluster.cluster_folder import Form
from shared.contracts.environments import ComputeTarget
from shared.contracts.tenants import IsolationLayer, ProofVerdict, Quota
from shared.contracts.values import ComputeTargetKind
from shared.kernel.observation import Present, Reading
from shared.surfaces.aks.attempt_targets import SLICES
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.kinds import JOBS, PODS
from shared.surfaces.boundaries import BoundarySpec
from shared.surfaces.capabilities import Feature
from shared.surfaces.isolation_attempts import LayerAttempts
from shared.surfaces.port import Boundaries, IsolationAttempts
from tests.kit.kubernetes_cluster import KubernetesCluster
from tests.kit.patience import PATIENCE_S
from tests.kit.virtual_time import EPOCH
from tests.surfaces.aks_harness import AksHarness
from tests.surfaces.cluster_life import GLOBEX
from tests.surfaces.harness import ENVIRONMENT, SurfaceHarness, fence

RunScenario = Callable[[Callable[[SurfaceHarness], Coroutine[Any, Any, None]]], None]
pytestmark = pytest.mark.shows(Feature.ISOLATION_ATTEMPTS, on="aks")
KUBELET: Final = 10250


@contextmanager
def closed(cluster: KubernetesCluster, api: Object, pods: list[Object]) -> Iterator[None]:
    """Have each node let none of its pods reach *pods*, the API server and kubelets.

    What the policy of a tenant asks for, and nothing of this cluster enforces.
    """
    assert cluster.runtime is not None, "a cluster with pods has its programs"
    nft = find_nft(cluster.runtime)
    if cluster.record.form is not Form.ROOT or nft is None:
        pytest.skip("this machine's user is not root, or it has no nft")
    hosts = [host for each in api["endpoints"] for host in each["addresses"]]
    places = [(host, port["port"]) for host in hosts for port in api["ports"]]
    places += [(each["status"]["hostIP"], KUBELET) for each in pods]
    places += [(each["status"]["podIP"], 8080) for each in pods]
    rules = "".join(f"ip daddr {host} tcp dport {port} drop\n" for host, port in set(places))
    chain = f"chain forward {{\ntype filter hook forward priority 0;\n{rules}}}"
    table = f"table inet closed {{\n{chain}\n}}\n"
    nodes = [cluster.processes("kubelet", each)[0] for each in cluster.record.nodes]

    def tell(script: str) -> None:
        for node in nodes:
            line = ["nsenter", f"--net=/proc/{node}/ns/net", nft, "-f", "-"]
            subprocess.run(line, input=script, text=True, check=True)

    tell(table)
    try:
        yield
    finally:
        tell("delete table inet closed\n")


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
        proofs, _ = judge(proofs, findings([], Quota(), [(target, reading)]), EPOCH)
        (network,) = (each for each in proofs if each.layer is IsolationLayer.NETWORK)
        found.append(network.verdict)
    return found


async def nothing_is_left(cluster: AksHarness, namespace: str) -> None:
    jobs, _ = await cluster.api.list_all(JOBS, {}, namespace=namespace, keep=dict)
    assert jobs == []
    give_up_at_s = cluster.clock.monotonic_s() + PATIENCE_S
    while (await cluster.api.list_all(PODS, {}, namespace=namespace, keep=dict))[0]:
        assert cluster.clock.monotonic_s() < give_up_at_s
        await cluster.clock.sleep(0.2)


def test_what_nothing_enforces_is_a_breach_and_passes_where_nodes_do(
    run_scenario: RunScenario,
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster = cast("AksHarness", harness)
        await cluster.surface.apply(cluster.spec(1), fence(1))
        await cluster.until(lambda live: live.revisions[0].ready == 1)
        boundary = BoundarySpec(ENVIRONMENT, GLOBEX)
        await cast("Boundaries", cluster.surface).ensure_boundary(boundary, fence(1))
        pods, _ = await cluster.api.list_all(PODS, {}, namespace=cluster.namespace, keep=dict)
        api = await cluster.api.get(SLICES, "kubernetes", "default")
        assert api is not None
        before = await cluster.surface.inventory(ENVIRONMENT)

        opened = await tried(cluster)
        with closed(cluster.host.cluster.cluster, api, pods):
            kept = await tried(cluster)

        found = reached(opened)
        pod = pods[0]["status"]["podIP"]
        of_another = f"it reaches a pod of {cluster.namespace} at {pod}:8080"
        assert of_another in found[IsolationLayer.NETWORK]
        assert any("the API server at" in each for each in found[IsolationLayer.NETWORK])
        assert found[IsolationLayer.IDENTITY] == ()
        assert reached(kept) == {IsolationLayer.NETWORK: (), IsolationLayer.IDENTITY: ()}
        assert verdicts(opened, opened, kept) == [
            ProofVerdict.INDETERMINATE, ProofVerdict.BREACH, ProofVerdict.PASS,
        ]  # fmt: skip
        assert await cluster.surface.inventory(ENVIRONMENT) == before
        place = cluster.installation.namespace(ENVIRONMENT, GLOBEX)
        await nothing_is_left(cluster, place)

    run_scenario(scenario)
