"""The session's cluster with an image of what the tests of the surface run, in its registry."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from local_cluster.binaries import CRANE
from tests.kit import pod_server, python_image
from tests.kit.cluster_rights import confined_kubeconfig
from tests.kit.kubernetes_cluster import KubernetesCluster

_IMPORTS: Final = (
    "encodings.idna", "http.server", "json", "pathlib", "signal", "socketserver", "threading",
)  # fmt: skip


@dataclass(frozen=True)
class PodCluster:
    """A cluster, and an image of the tests' server that its nodes can pull."""

    cluster: KubernetesCluster
    image: str
    digest: str
    index: str
    """The digest of an index of that image alone: another reference to the same."""
    command: tuple[str, ...]
    platform: Path
    """The kubeconfig of the platform's ServiceAccount, which has the rights that ship, no others.
    """


@pytest.fixture(scope="session")
def pod_cluster(
    kubernetes_cluster: KubernetesCluster, tmp_path_factory: pytest.TempPathFactory
) -> PodCluster:
    """Return the session's cluster; skip where it has no real pods."""
    return with_pods(kubernetes_cluster, tmp_path_factory.mktemp("pods"))


def with_pods(cluster: KubernetesCluster, folder: Path) -> PodCluster:
    """Give *cluster* the image and the platform's rights; skip where it has no real pods."""
    record, runtime = cluster.record, cluster.runtime
    if record.registry is None or runtime is None or not cluster.has_real_pods:
        pytest.skip("this machine has no real nodes: " + "; ".join(record.lacks))
    layout = folder / "layout"
    script = Path(pod_server.__file__).read_text()
    digest = python_image.write_image(layout, script, _IMPORTS)
    image = f"{record.registry}/shop/web"
    push = [str(runtime / CRANE), "push", str(layout), "--insecure"]
    subprocess.run([*push, f"{image}:1"], check=True, capture_output=True)
    pushed = subprocess.run(
        [*push, f"{image}:index", "--index"], check=True, capture_output=True, text=True
    )
    index = pushed.stdout.strip().rpartition("@")[2]
    platform = confined_kubeconfig(cluster, folder)
    return PodCluster(cluster, image, digest, index, python_image.COMMAND, platform)
