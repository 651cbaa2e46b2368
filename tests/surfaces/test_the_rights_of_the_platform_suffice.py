"""Each right that ships is used on a real cluster, by a client that has no others."""

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, cast

import pytest

from shared.contracts.metrics import Metric
from shared.kernel.observation import Present
from shared.metrics.kubernetes_metrics import KubernetesMetrics
from shared.metrics.port import Measured, MetricsQuery, Subject
from shared.surfaces.aks import revisions
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.kinds import PODS
from shared.surfaces.aks.names import SPEC
from shared.surfaces.aks.permissions import PERMISSIONS
from shared.surfaces.aks.proof import is_running, prove_pod
from shared.surfaces.aks.records import Unreadable
from shared.surfaces.aks.secret_classes import mounted_versions
from shared.surfaces.boundaries import Quota
from shared.surfaces.port import Boundaries, IsolationAttempts
from shared.surfaces.reader_ports import QuotaAttemptReader
from tests.kit.kubernetes_rights import Right, record_rights
from tests.kit.patience import PATIENCE_S
from tests.surfaces import cluster_life
from tests.surfaces.aks_harness import AksHarness
from tests.surfaces.harness import ENVIRONMENT, SHOP, SurfaceHarness
from tests.surfaces.test_secrets_on_a_cluster import with_secrets

RunScenario = Callable[[Callable[[SurfaceHarness], Coroutine[Any, Any, None]]], None]


async def measured(cluster: AksHarness) -> str:
    """Ask for the CPU of its pods; return why there is no answer, where the cluster has none."""
    metrics = KubernetesMetrics(cluster.host.connect, cluster.host.close, cluster.clock)
    now = cluster.clock.now()
    (found,) = await metrics.measure(
        [MetricsQuery(Metric.CPU, Subject(SHOP), now - timedelta(seconds=30), now)]
    )
    return "" if isinstance(found, Measured) else found.reason


async def proved(harness: SurfaceHarness) -> None:
    """Return when all is proved: a node says within a minute under which digests it has images."""
    give_up_at_s = harness.clock.monotonic_s() + PATIENCE_S
    while not isinstance(reading := await harness.surface.prove(SHOP), Present):
        assert harness.clock.monotonic_s() < give_up_at_s, reading
        await harness.clock.sleep(0.5)
    assert all(proof.holds for proof in reading.value)


async def are_read(cluster: AksHarness) -> None:
    """Read whatever the platform reads of a component and of a tenant."""
    surface, boundaries = cluster.surface, cast("Boundaries", cluster.surface)
    live = await cluster.until(lambda live: live.revisions[0].ready == 1)
    pod = next(each.id for each in live.revisions[0].instances if each.is_ready)
    for reading in (
        await surface.inventory(ENVIRONMENT),
        await surface.properties(SHOP),
        await surface.logs(SHOP, pod, 10),
        await boundaries.read_boundary(ENVIRONMENT, cluster_life.GLOBEX),
        await cast("IsolationAttempts", surface).attempt_isolation(
            ENVIRONMENT, cluster_life.GLOBEX
        ),
        await cast("QuotaAttemptReader", surface).attempt_quota(
            ENVIRONMENT, cluster_life.GLOBEX, Quota(memory_mb=64)
        ),
    ):
        assert isinstance(reading, Present), reading
    # No driver mounts secrets here, so no pod that runs has any to be proved.
    pods, _ = await cluster.api.list_all(PODS, {}, namespace=cluster.namespace, keep=dict)
    asked = with_secrets(cluster, 3)
    assert await mounted_versions(ClusterApi(cluster.host.connect), pods[0], asked) == {}
    await its_node_is_asked(cluster, next(filter(is_running, pods)))


async def its_node_is_asked(cluster: AksHarness, pod: Object) -> None:
    """Prove *pod* as if it named a digest that nobody knows, so that its node is asked.

    Which reference of an image a pod names is its node's choice. After tests that pulled the image
    each of these pods names its own, and no node is asked.
    """
    told = revisions.read(pod["metadata"]["annotations"][SPEC], 1, "the pod")
    (status,) = pod["status"]["containerStatuses"]
    named = {**status, "imageID": f"{told.image}@sha256:{'0' * 64}"}
    other = {**pod, "status": {**pod["status"], "containerStatuses": [named]}}
    with pytest.raises(Unreadable, match="whether they are one image"):
        await prove_pod(ClusterApi(cluster.host.connect), other, told, None, cluster.clock.now())


@pytest.mark.long
@pytest.mark.shows(on="aks")
def test_each_right_is_used_and_no_other_is_needed(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster, used = cast("AksHarness", harness), set[Right]()
        record_rights(await cluster.host.connect(), used)
        for step in cluster_life.beginning(cluster):
            await step()
        cluster.surface = await cluster.restart_host()
        record_rights(await cluster.host.connect(), used)
        assert isinstance(await cluster.surface.inventory(ENVIRONMENT), Present)
        await proved(cluster)
        assert "403" not in await measured(cluster)

        for step in cluster_life.rest(cluster):
            await step()
        await are_read(cluster)
        for step in cluster_life.end(cluster):
            await step()

        rights = {right for each in PERMISSIONS for right in each.rights}
        assert sorted(rights - used) == []
        assert used <= rights

    run_scenario(scenario)
