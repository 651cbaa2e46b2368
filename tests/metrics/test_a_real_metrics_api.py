"""The metrics API behind a real API server, asked with the rights that the platform has there.

The server that measures is a stand-in: metrics-server is no Go module that can be built here. The
API server forwards to it, and decides who may.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from shared.contracts.metrics import Metric
from shared.kernel.clock import SystemClock, isoformat
from shared.metrics.kubernetes_metrics import KubernetesMetrics
from shared.metrics.port import Measured, MetricsQuery, Subject, Unmeasurable
from shared.surfaces.aks.cluster_access import ClusterAccess, KubeconfigSource
from tests.kit.cluster_rights import confined_kubeconfig
from tests.kit.kubernetes_cluster import KubernetesCluster, kubernetes_cluster
from tests.kit.provider_stand_in import Reply, StandIn, stand_in
from tests.metrics.providers import COMPONENT, WINDOW

__all__ = ["kubernetes_cluster"]
pytestmark = [pytest.mark.real, pytest.mark.xdist_group("whole-cluster")]
API: Final = "v1beta1.metrics.k8s.io"
DISCOVERY: Final = {
    "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "metrics.k8s.io/v1beta1",
    "resources": [
        {"name": "pods", "singularName": "", "namespaced": True, "kind": "PodMetrics",
         "verbs": ["get", "list"]}
    ],
}  # fmt: skip


def pods() -> Any:
    item = {
        "metadata": {"name": "web-1"}, "timestamp": isoformat(SystemClock().now()),
        "window": "15s",
        "containers": [{"name": "app", "usage": {"cpu": "250m", "memory": "64Mi"}}],
    }  # fmt: skip
    return {
        "kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {},
        "items": [item],
    }  # fmt: skip


@pytest.fixture
async def forwarded(
    kubernetes_cluster: KubernetesCluster, tmp_path: Path
) -> AsyncIterator[StandIn]:
    """Serve the metrics API of the cluster by a stand-in, which the API server forwards to."""
    async with stand_in(tmp_path) as server:
        server.replies["/apis/metrics.k8s.io/v1beta1/namespaces"] = Reply(lambda _asked: pods())
        server.replies["/apis/metrics.k8s.io"] = Reply(DISCOVERY)
        kubernetes_cluster.apply(
            "kube-system",
            {
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": "test-metrics"},
                "spec": {"type": "ExternalName", "externalName": "localhost"},
            },
            {
                "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
                "metadata": {"name": API},
                "spec": {
                    "group": "metrics.k8s.io", "version": "v1beta1", "insecureSkipTLSVerify": True,
                    "groupPriorityMinimum": 100, "versionPriority": 100,
                    "service": {
                        "name": "test-metrics", "namespace": "kube-system", "port": server.port,
                    },
                },
            },
        )  # fmt: skip
        try:
            yield server
        finally:
            kubernetes_cluster.kubectl("delete", "apiservice", API)
            kubernetes_cluster.kubectl("delete", "service", "test-metrics", "-n", "kube-system")


@pytest.mark.long
async def test_the_platform_reads_cpu_and_memory_through_the_api_server(
    kubernetes_cluster: KubernetesCluster, forwarded: StandIn, tmp_path: Path
) -> None:
    clock = SystemClock()
    platform = ClusterAccess(
        KubeconfigSource(confined_kubeconfig(kubernetes_cluster, tmp_path), None, clock), clock
    )
    metrics = KubernetesMetrics(platform.client, platform.close, clock)
    now = clock.now()
    memory = MetricsQuery(Metric.MEMORY, Subject(COMPONENT, 2), now - WINDOW, now)
    try:
        results = await _served(metrics, [replace(memory, metric=Metric.CPU), memory])
    finally:
        await metrics.close()

    assert [each.value for each in results if isinstance(each, Measured)] == [0.25, 64 * 2**20]
    asked = next(each for each in forwarded.asked if "/namespaces/" in each.path)
    assert asked.headers["x-remote-user"] == "system:serviceaccount:factory-runtime:factory-runtime"


async def test_a_cluster_without_the_api_is_no_cluster_without_use(
    kubernetes_cluster: KubernetesCluster,
) -> None:
    clock = SystemClock()
    access = ClusterAccess(KubeconfigSource(kubernetes_cluster.kubeconfig, None, clock), clock)
    metrics = KubernetesMetrics(access.client, access.close, clock)
    now = clock.now()
    query = MetricsQuery(Metric.CPU, Subject(COMPONENT, 2), now - WINDOW, now)
    try:
        (measurement,) = await metrics.measure([query])
    finally:
        await metrics.close()

    assert isinstance(measurement, Unmeasurable), measurement
    assert "it answered 404" in measurement.reason


async def _served(metrics: KubernetesMetrics, queries: list[MetricsQuery]) -> Any:
    """Ask until the API server has found the server behind it; it looks every second or so."""
    clock = SystemClock()
    give_up_at_s = clock.monotonic_s() + 60
    while True:
        results = await metrics.measure(queries)
        if isinstance(results[0], Measured):
            return results
        assert clock.monotonic_s() < give_up_at_s, results
        await clock.sleep(0.2)
