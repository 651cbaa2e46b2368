"""One Kubernetes cluster for a whole test session, whatever the number of workers.

Its form is the most real one that this machine can have; a test that needs real pods asks for the
fixture `cluster_with_pods`, and for `real_cluster` if it talks to them. Each test has a namespace
of its own. The first test that needs a cluster starts it; it ends with the session.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest

from cli.state_folder import REPOSITORY, StateFolder
from local_cluster.binaries import Binaries, find_binaries
from local_cluster.cluster_folder import ClusterFolder, ClusterRecord, Form
from local_cluster.nodes import STOPPED
from local_cluster.programs import programs_of
from shared.kernel.clock import SystemClock, parse_instant
from shared.kernel.entropy import SystemEntropy
from shared.kernel.errors import Unavailable
from tests.kit.patience import PATIENCE_S

NODES: Final = 2
READY_WITHIN_S: Final = 180.0
_FOLDER: Final = "cluster"
_STARTED: Final[list["subprocess.Popen[bytes]"]] = []
"""What this process has started; it runs until the session ends."""


@dataclass(frozen=True)
class KubernetesCluster:
    """A cluster that runs."""

    folder: ClusterFolder
    record: ClusterRecord
    kubebox: Path
    runtime: Path | None
    """The folder of containerd, crane and their like; None without it."""

    @property
    def kubeconfig(self) -> Path:
        """Of its administrator."""
        return self.folder.kubeconfig

    @property
    def has_real_pods(self) -> bool:
        return self.record.form is not Form.KWOK

    def kubectl(self, *words: str, input_text: str = "") -> str:
        """Return what kubectl prints; AssertionError with its complaint where it fails."""
        ended = subprocess.run(
            [str(self.kubebox), "kubectl", *words],
            input=input_text, capture_output=True, text=True, check=False,
            env={"PATH": os.defpath, "KUBECONFIG": str(self.kubeconfig), "HOME": "/nonexistent"},
        )  # fmt: skip
        assert ended.returncode == 0, f"kubectl {' '.join(words)}: {ended.stderr}"
        return ended.stdout

    def read(self, *words: str) -> Mapping[str, Any]:
        """Return the object or list that `kubectl get` has for *words*."""
        found: Mapping[str, Any] = json.loads(self.kubectl("get", *words, "-o", "json"))
        return found

    def ready_nodes(self) -> set[str]:
        return {
            node["metadata"]["name"]
            for node in self.read("nodes")["items"]
            for condition in node["status"]["conditions"]
            if (condition["type"], condition["status"]) == ("Ready", "True")
        }

    @contextmanager
    def switched_off(self, node: str) -> Iterator[None]:
        """Have *node* without power meanwhile; return when it is ready again."""
        switch = self.folder.nodes / node / STOPPED
        switch.touch()
        try:
            yield
        finally:
            instant = SystemClock().now()
            switch.unlink()
            until(lambda: self._is_ready_since(node, instant))

    def _is_ready_since(self, node: str, instant: datetime) -> bool:
        """Return whether *node* is ready by the word of a kubelet that started after *instant*.

        A word is in whole seconds: one of the same second may be that of the kubelet before.
        """
        conditions = self.read("node", node)["status"]["conditions"]
        ready = next(each for each in conditions if each["type"] == "Ready")
        return bool(
            ready["status"] == "True" and parse_instant(ready["lastHeartbeatTime"]) > instant
        )

    def are_ready_since(self, instant: datetime) -> bool:
        """Return whether every node is ready, and its kubelet has said so since *instant*."""
        return all(self._is_ready_since(node, instant) for node in self.record.nodes)

    def processes(self, component: str, node: str = "") -> list[int]:
        """Return the processes of *component*, as this machine numbers them; of *node* only."""
        return [
            pid
            for pid in programs_of(self.folder.path)
            if (words := _words(pid))
            and component in {Path(words[0]).name, *words[1:2]}
            and (not node or any(f"/nodes/{node}/" in word for word in words))
        ]

    def kill(self, component: str, node: str = "") -> None:
        """Kill *component* and return when it runs again; what it has started may go on."""
        killed = set(self.processes(component, node))
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        until(lambda: len({*self.processes(component, node)} - killed) == len(killed), PATIENCE_S)

    def apply(self, namespace: str, *objects: Mapping[str, Any]) -> None:
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        words = ("apply", "--server-side", "--namespace", namespace, "-f", "-")
        self.kubectl(*words, input_text=json.dumps(listed))


def programs_of_clusters() -> Binaries:
    """Return the programs of a cluster, or skip, which fails in CI: there they must be."""
    try:
        return find_binaries(StateFolder(REPOSITORY / ".factory").cache)
    except Unavailable as absent:
        pytest.skip(str(absent))


@pytest.fixture(scope="session")
def kubernetes_cluster(tmp_path_factory: pytest.TempPathFactory) -> KubernetesCluster:
    binaries = programs_of_clusters()
    folder = ClusterFolder(_shared_folder(tmp_path_factory) / _FOLDER)
    with _lock(folder.path.with_suffix(".start")):
        if folder.record() is None:
            _start(folder, binaries)
    return _cluster_of(folder, binaries)


@contextmanager
def own_cluster(base: Path) -> Iterator[KubernetesCluster]:
    """Have a cluster with its state below *base* that nobody else uses, to do it harm."""
    binaries, folder = programs_of_clusters(), ClusterFolder(base / _FOLDER)
    _start(folder, binaries)
    try:
        yield _cluster_of(folder, binaries)
    finally:
        _end(base)


@pytest.fixture
def cluster_with_pods(kubernetes_cluster: KubernetesCluster) -> KubernetesCluster:
    """Return a cluster whose pods run; whether the test reaches them is another question."""
    if not kubernetes_cluster.has_real_pods:
        pytest.skip("this machine has no real nodes: " + "; ".join(kubernetes_cluster.record.lacks))
    return kubernetes_cluster


@pytest.fixture
def real_cluster(cluster_with_pods: KubernetesCluster) -> KubernetesCluster:
    """Return a cluster whose pods run, and are reached by their addresses."""
    if cluster_with_pods.record.form is not Form.ROOT:
        pytest.skip("this machine's user is not root, and reaches no pod")
    return cluster_with_pods


@pytest.fixture
def namespace(kubernetes_cluster: KubernetesCluster) -> Iterator[str]:
    """Yield the name of a new namespace; it is deleted afterwards, which nobody waits for."""
    name = f"test-{SystemEntropy().uuid().hex[:12]}"
    kubernetes_cluster.kubectl("create", "namespace", name)

    def has_account() -> bool:
        words = ("serviceaccounts", "--namespace", name)
        return bool(kubernetes_cluster.read(*words)["items"])

    until(has_account)  # pods are refused before it is there
    yield name
    kubernetes_cluster.kubectl("delete", "namespace", name, "--wait=false")


def end_cluster_of_session(config: pytest.Config) -> None:
    """End the session's cluster, if there is one; called once, by the session's main process."""
    factory = getattr(config, "_tmp_path_factory", None)
    base = getattr(factory, "_basetemp", None)
    if base is not None and (Path(base) / _FOLDER).is_dir():
        _end(Path(base))


def until(holds: Callable[[], Any], within_s: float = PATIENCE_S) -> Any:
    """Return the first true result of *holds*, or fail."""
    clock = SystemClock()
    deadline_s = clock.monotonic_s() + within_s
    while not (result := holds()):
        assert clock.monotonic_s() < deadline_s, f"not within {within_s} s"
        threading.Event().wait(0.05)
    return result


def _cluster_of(folder: ClusterFolder, binaries: Binaries) -> KubernetesCluster:
    record = folder.record()
    assert record is not None
    return KubernetesCluster(folder, record, binaries.kubebox, binaries.runtime)


def _end(base: Path) -> None:
    line = ["-m", "cli.main", "cluster", "down", "--state", str(base)]
    subprocess.run([sys.executable, *line], cwd=REPOSITORY, check=True, capture_output=True)


def _words(pid: int) -> list[str]:
    with suppress(OSError):  # it may have ended
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return []


def _start(folder: ClusterFolder, binaries: Binaries) -> None:
    folder.path.mkdir(parents=True, exist_ok=True)
    with folder.log.open("ab") as log:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "local_cluster",
                "--state", str(folder.path), "--nodes", str(NODES),
                "--cache", str(StateFolder(REPOSITORY / ".factory").cache),
                "--end-with", str(_session_process()),
            ],
            cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip

    _STARTED.append(process)

    def is_decided() -> bool:
        return folder.record() is not None or process.poll() is not None

    until(is_decided, READY_WITHIN_S)
    assert folder.record() is not None, folder.log.read_text()


def _session_process() -> int:
    """Return the process whose end is that of the session."""
    return os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()


def _shared_folder(factory: pytest.TempPathFactory) -> Path:
    """Return the folder that all workers of the session have in common."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
