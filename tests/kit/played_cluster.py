"""A control plane of a test's own, with nodes that are played: one that it may kill parts of."""

import base64
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import aiohttp

from cli.state_folder import REPOSITORY, StateFolder
from local_cluster.cluster_folder import ClusterFolder, Form
from tests.kit.cluster_rights import confined_kubeconfig
from tests.kit.kubernetes_cluster import (
    READY_WITHIN_S,
    KubernetesCluster,
    programs_of_clusters,
    until,
)
from tests.kit.pod_cluster import PodCluster

_NOBODY: Final = "http://127.0.0.1:1/"
"""Where no counters of a gateway are: nothing flows in this cluster."""
_NOWHERE: Final = "192.0.2.1/32"
"""From where nobody asks: a cluster without pods has no network of its own."""


@dataclass(frozen=True)
class PlayedCluster:
    """The cluster in *folder*, as tests of the surface use one: its pods are ready, and nowhere."""

    folder: ClusterFolder
    pods: PodCluster

    def kill_api_server(self) -> None:
        """End it as a crash does; its keeper starts it again within a second."""
        os.kill(self._api_server()[0], signal.SIGKILL)

    async def compact(self) -> None:
        """Let etcd forget all versions but the last, as the API server does every five minutes."""
        words = self._api_server()[1]
        url = next(each for each in words if each.startswith("--etcd-servers=")).partition("=")[2]
        context = ssl.create_default_context(cafile=str(self.folder.certificate("ca")))
        context.load_cert_chain(self.folder.certificate("etcd"), self.folder.key("etcd"))
        async with aiohttp.ClientSession(base_url=url) as session:

            async def ask(call: str, body: dict[str, Any]) -> Any:
                async with session.post(f"/v3/kv/{call}", json=body, ssl=context) as answer:
                    assert answer.status == 200, await answer.text()
                    return await answer.json()

            some = await ask("range", {"key": base64.b64encode(b"/").decode()})
            await ask("compaction", {"revision": some["header"]["revision"], "physical": True})

    def _api_server(self) -> tuple[int, list[str]]:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_text().split("\0")
            except OSError:
                continue  # it ended meanwhile
            if "kube-apiserver" in words and str(self.folder.path) in " ".join(words):
                return int(process.name), words
        raise AssertionError("no API server runs")


@contextmanager
def played_cluster(path: Path) -> Iterator[PlayedCluster]:
    """Run one below *path* meanwhile."""
    binaries, folder = programs_of_clusters(), ClusterFolder(path / "played")
    folder.path.mkdir(parents=True)
    line = [
        sys.executable, "-m", "local_cluster", "--state", str(folder.path), "--form", Form.KWOK,
        "--nodes", "2", "--cache", str(StateFolder(REPOSITORY / ".factory").cache),
        "--end-with", str(os.getpid()),
    ]  # fmt: skip
    with (
        folder.log.open("ab") as log,
        subprocess.Popen(
            line, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        ) as process,
    ):
        try:
            until(lambda: folder.record() or process.poll() is not None, READY_WITHIN_S)
            record = folder.record()
            assert record is not None, folder.log.read_text()
            record = replace(record, counters=_NOBODY, gateway_networks=_NOWHERE)
            cluster = KubernetesCluster(folder, record, binaries.kubebox, binaries.runtime)
            platform = confined_kubeconfig(cluster, path)
            digests = (f"sha256:{each * 64}" for each in "ab")
            pods = PodCluster(cluster, "registry.test/shop", *digests, ("serve",), platform)
            yield PlayedCluster(folder, pods)
        finally:
            process.terminate()
