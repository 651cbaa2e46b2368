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

PROGRAM: Final = Path(pod_server.__file__).read_text()
_IMPORTS: Final = (
    "__future__", "encodings.idna", "hashlib", "http.client", "http.server", "json", "pathlib",
    "signal", "socketserver", "ssl", "threading", "typing",
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

    @property
    def isolation_image(self) -> str:
        """By which isolation is tried from inside: any with a Python does."""
        return f"{self.image}@{self.digest}"

    @property
    def gateway_networks(self) -> str:
        """From where pods are asked, by its gateway and its API server."""
        found = self.cluster.record.gateway_networks
        assert found is not None, "a cluster with pods has a network"
        return found

    def push(self, script: str, layout: Path, *imports: str) -> str:
        """Make an image of *script* in the new folder *layout*, and return its digest.

        *imports* are what it imports besides what each has.
        """
        assert self.cluster.runtime is not None, "a cluster with pods has crane"
        digest = python_image.write_image(layout, script, (*_IMPORTS, *imports))
        _push(self.cluster.runtime, layout, f"{self.image}:{layout.name}")
        return digest


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
    image = f"{record.registry}/shop/web"
    digest = python_image.write_image(layout, PROGRAM, _IMPORTS)
    _push(runtime, layout, f"{image}:1")
    index = _push(runtime, layout, f"{image}:index", "--index")
    platform = confined_kubeconfig(cluster, folder)
    return PodCluster(cluster, image, digest, index, python_image.COMMAND, platform)


def _push(runtime: Path, layout: Path, name: str, *options: str) -> str:
    """Push the image in *layout* as *name*; return the digest of what was pushed."""
    line = [str(runtime / CRANE), "push", str(layout), "--insecure", name, *options]
    pushed = subprocess.run(line, check=True, capture_output=True, text=True)
    return pushed.stdout.strip().rpartition("@")[2]
