"""What is pushed to the cluster's registry runs in its pods, by its digest, and stays."""

import os
import signal
import urllib.request
from pathlib import Path

import pytest

from local_cluster.programs import programs_of
from tests.kit.kubernetes_cluster import KubernetesCluster, until
from tests.kit.patience import PATIENCE_S
from tests.kit.program_images import PORT
from tests.kit.web_deployments import web_server

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("images")]  # one of them kills the registry


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def start(cluster: KubernetesCluster, namespace: str, image: str) -> None:
    cluster.apply(namespace, *web_server("server", image))
    rollout = ("rollout", "status", "deployment/server", "--namespace", namespace)
    cluster.kubectl(*rollout, f"--timeout={PATIENCE_S:.0f}s")


@pytest.mark.long
def test_a_pod_runs_the_digest_that_was_pushed_and_answers(
    real_cluster: KubernetesCluster, namespace: str, server_image: str
) -> None:
    start(real_cluster, namespace, server_image)

    pods = real_cluster.read("pods", "--namespace", namespace)["items"]
    images = {pod["status"]["containerStatuses"][0]["imageID"] for pod in pods}
    assert images == {server_image}
    assert all(answers(f"http://{pod['status']['podIP']}:{PORT}/v2/") for pod in pods)


@pytest.mark.long
def test_a_service_leads_to_its_pods_from_every_node(
    real_cluster: KubernetesCluster, namespace: str, server_image: str
) -> None:
    if any(lack.startswith("Services have no address") for lack in real_cluster.record.lacks):
        pytest.skip("this machine has no nft, by which Services have addresses")
    start(real_cluster, namespace, server_image)

    service = real_cluster.read("service", "server", "--namespace", namespace)
    port, nodes = service["spec"]["ports"][0]["nodePort"], real_cluster.read("nodes")["items"]
    addresses = [node["status"]["addresses"][0]["address"] for node in nodes]
    for address in addresses:
        until(lambda at=address: answers(f"http://{at}:{port}/v2/"), PATIENCE_S)


def test_what_was_pushed_is_there_after_the_registry_was_killed(
    real_cluster: KubernetesCluster, server_image: str
) -> None:
    name, _, digest = server_image.partition("@")
    registry, _, repository = name.partition("/")
    manifest = urllib.request.Request(
        f"http://{registry}/v2/{repository}/manifests/{digest}",
        headers={"Accept": "application/vnd.oci.image.manifest.v1+json"},
    )

    for pid in registries(real_cluster):
        os.kill(pid, signal.SIGKILL)
    until(lambda: answers(f"http://{registry}/v2/"), PATIENCE_S)

    with urllib.request.urlopen(manifest, timeout=5) as answer:
        assert answer.headers["Docker-Content-Digest"] == digest


def registries(cluster: KubernetesCluster) -> list[int]:
    return [
        pid
        for pid in programs_of(cluster.folder.path)
        if "/registry\0serve" in Path(f"/proc/{pid}/cmdline").read_text()
    ]
