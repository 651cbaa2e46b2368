"""The metrics API of a test's cluster: what each pod uses is what the test says.

It is one of the whole cluster, so a test that serves it is of the group `whole-cluster`.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from shared.kernel.clock import SystemClock, isoformat
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from tests.kit.aggregated_api import aggregated
from tests.kit.provider_stand_in import Reply, stand_in

_GROUP: Final = "metrics.k8s.io"
_DISCOVERY: Final = {
    "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{_GROUP}/v1beta1",
    "resources": [
        {"name": "pods", "singularName": "", "namespaced": True, "kind": "PodMetrics",
         "verbs": ["get", "list"]}
    ],
}  # fmt: skip


@asynccontextmanager
async def measured(
    api: ClusterApi,
    namespace: str,
    folder: Path,
    pods: Callable[[], Iterable[Object]],
    millicores: Callable[[], int],
) -> AsyncIterator[None]:
    """Serve the measures of *pods* of *namespace*, each of which uses *millicores*."""

    def usage(_asked: object) -> Any:
        items = [
            {
                "metadata": {key: pod["metadata"][key] for key in ("name", "namespace", "labels")},
                "timestamp": isoformat(SystemClock().now()),
                "window": "1s",
                "containers": [{"name": "main", "usage": {"cpu": f"{millicores()}m"}}],
            }
            for pod in pods()
        ]
        version = f"{_GROUP}/v1beta1"
        return {"kind": "PodMetricsList", "apiVersion": version, "metadata": {}, "items": items}

    async with stand_in(folder) as server:
        server.replies[f"/apis/{_GROUP}/v1beta1/namespaces/{namespace}"] = Reply(usage)
        server.replies[f"/apis/{_GROUP}"] = Reply(_DISCOVERY)
        async with aggregated(api, _GROUP, server.port):
            yield
