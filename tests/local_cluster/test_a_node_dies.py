"""A node that loses its power takes its pods with it: others run elsewhere, and it comes back."""

from collections.abc import Iterator

import pytest

from tests.kit.kubernetes_cluster import KubernetesCluster, own_cluster, until
from tests.kit.web_deployments import web_server

pytestmark = [pytest.mark.real, pytest.mark.long(minutes=1)]


@pytest.fixture(scope="module")
def kubernetes_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesCluster]:
    """A cluster of its own: on that of the session others would lose their pods."""
    with own_cluster(tmp_path_factory.mktemp("mortal")) as cluster:
        yield cluster


def addresses(cluster: KubernetesCluster, namespace: str, node: str) -> set[str]:
    """Return the addresses of the pods on *node*."""
    return {
        pod["status"]["podIP"]
        for pod in cluster.read("pods", "--namespace", namespace)["items"]
        if pod["spec"].get("nodeName") == node and "podIP" in pod["status"]
    }


def places(cluster: KubernetesCluster, namespace: str) -> list[str]:
    """Return the node of each pod that is ready."""
    return [
        pod["spec"]["nodeName"]
        for pod in cluster.read("pods", "--namespace", namespace)["items"]
        for condition in pod["status"].get("conditions", ())
        if (condition["type"], condition["status"]) == ("Ready", "True")
    ]


def test_pods_of_a_dead_node_run_on_another_and_it_comes_back_empty(
    real_cluster: KubernetesCluster, namespace: str, server_image: str
) -> None:
    real_cluster.apply(namespace, *web_server("web", server_image, replicas=4))
    until(lambda: len(places(real_cluster, namespace)) == 4)
    assert set(places(real_cluster, namespace)) == {"node1", "node2"}
    before = addresses(real_cluster, namespace, "node2")

    with real_cluster.switched_off("node2"):
        until(lambda: real_cluster.ready_nodes() == {"node1"})
        until(lambda: places(real_cluster, namespace) == ["node1"] * 4)

    until(lambda: real_cluster.ready_nodes() == {"node1", "node2"})
    real_cluster.kubectl("scale", "deployment/web", "--replicas=8", "--namespace", namespace)
    until(lambda: len(places(real_cluster, namespace)) == 8)
    assert "node2" in places(real_cluster, namespace)
    assert before.isdisjoint(addresses(real_cluster, namespace, "node2")), "still known by others"
