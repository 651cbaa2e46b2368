"""Nodes that KWOK plays: they take pods and say that these run, and run nothing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from local_cluster.control_plane import FAKE_NODE
from local_cluster.kubernetes_api import KubernetesApi
from local_cluster.node_plan import node_name

STAGES: Final = Path(__file__).parent / "kwok_stages.yaml"
_CAPACITY: Final = {"cpu": "32", "memory": "256Gi", "pods": "1000", "ephemeral-storage": "1Ti"}


async def make_nodes(api: KubernetesApi, count: int) -> None:
    for number in range(1, count + 1):
        name = node_name(number)
        await api.apply(f"/api/v1/nodes/{name}", fake_node(name))
        await api.merge(
            f"/api/v1/nodes/{name}/status",
            {"status": {"capacity": _CAPACITY, "allocatable": _CAPACITY}},
        )


def fake_node(name: str) -> Mapping[str, Any]:
    key, value = FAKE_NODE.split("=")
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {key: value},
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
        },
    }
