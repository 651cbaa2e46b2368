"""Workloads get ready on the session's cluster, and outlive the components of their node."""

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from local_cluster.node_plan import PAUSE_IMAGE
from tests.kit.kubernetes_cluster import KubernetesCluster
from tests.kit.patience import PATIENCE_S

# One ends kubelets and containerds of nodes, which others would notice.
pytestmark = [pytest.mark.real, pytest.mark.xdist_group("whole-cluster")]


def deployment(name: str, replicas: int, image: str = PAUSE_IMAGE) -> Mapping[str, Any]:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{"name": "main", "image": image}],
                },
            },
        },
    }


def container_ids(cluster: KubernetesCluster, namespace: str) -> list[str]:
    pods = cluster.read("pods", "--namespace", namespace)["items"]
    return sorted(pod["status"]["containerStatuses"][0]["containerID"] for pod in pods)


def test_replicas_of_a_deployment_get_ready(
    kubernetes_cluster: KubernetesCluster, namespace: str
) -> None:
    kubernetes_cluster.apply(namespace, deployment("web", 3))

    rollout = ("rollout", "status", "deployment/web", "--namespace", namespace)
    kubernetes_cluster.kubectl(*rollout, f"--timeout={PATIENCE_S:.0f}s")

    pods = kubernetes_cluster.read("pods", "--namespace", namespace)["items"]
    assert [pod["status"]["phase"] for pod in pods] == ["Running"] * 3
    if (network := kubernetes_cluster.record.network) is not None:
        assert all(ip_address(p["status"]["podIP"]) in ip_network(network) for p in pods)


@pytest.mark.long
@pytest.mark.parametrize("component", ["kubelet", "containerd"])
def test_pods_outlive_a_component_of_their_node(
    cluster_with_pods: KubernetesCluster, namespace: str, component: str
) -> None:
    rollout = (
        "rollout",
        "status",
        "deployment/web",
        "--namespace",
        namespace,
        f"--timeout={PATIENCE_S:.0f}s",
    )
    cluster_with_pods.apply(namespace, deployment("web", 2))
    cluster_with_pods.kubectl(*rollout)
    before = container_ids(cluster_with_pods, namespace)
    running = len(cluster_with_pods.processes(component))

    cluster_with_pods.kill(component)
    cluster_with_pods.kubectl("scale", "deployment/web", "--replicas=4", "--namespace", namespace)
    cluster_with_pods.kubectl(*rollout)

    assert running == len(cluster_with_pods.record.nodes)
    assert set(before) < set(container_ids(cluster_with_pods, namespace))
