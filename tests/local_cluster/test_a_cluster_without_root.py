"""A user without any right has a cluster with real pods, in a user namespace of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

from cli.state_folder import REPOSITORY, StateFolder
from local_cluster.cluster_folder import ClusterFolder, Form
from local_cluster.programs import programs_of
from tests.kit.kubernetes_cluster import KubernetesCluster, programs_of_clusters, until
from tests.kit.machine_state import left_by, machine_state
from tests.kit.patience import PATIENCE_S
from tests.kit.program_images import PORT, push_server
from tests.kit.unprivileged_user import as_user
from tests.kit.web_deployments import web_server

pytestmark = [pytest.mark.real, pytest.mark.long(minutes=1)]


CLOSED: Final = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "closed"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
}


@pytest.fixture
def home() -> Iterator[Path]:
    """Yield a folder that the user reaches, as pytest's own are root's."""
    with TemporaryDirectory(prefix="rt-", dir="/tmp") as name:
        yield Path(name)


class User:
    """Who runs `runtimectl cluster`, with a state folder in its home."""

    def __init__(self, home: Path) -> None:
        line = (sys.executable, "-m", "cli.main", "cluster")
        self._command, self._environ = as_user(home, line)
        self.state = home / "state"

    def cluster(self, *words: str) -> Mapping[str, Any]:
        ended = subprocess.run(
            [*self._command, *words, "--state", str(self.state), "-o", "json"],
            cwd=REPOSITORY, env=self._given(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        shown: Mapping[str, Any] = json.loads(ended.stdout)
        return shown

    def _given(self) -> Mapping[str, str]:
        cache = str(StateFolder(REPOSITORY / ".factory").cache)
        settings = {n: v for n, v in os.environ.items() if n.startswith("RUNTIMECTL_")}
        return {
            **self._environ,
            "RUNTIMECTL_CACHE": cache,
            **settings,
        }


def test_real_pods_run_without_root_and_nothing_is_left(home: Path) -> None:
    binaries, before = programs_of_clusters(), machine_state()
    user = User(home)
    folder = ClusterFolder(user.state / "cluster")
    try:
        shown = user.cluster("up", "--form", "rootless", "--nodes", "1")
        record = folder.record()
        assert record is not None
        cluster = KubernetesCluster(folder, record, binaries.kubebox, binaries.runtime)
        image = push_server(cluster, "test/server", home / "layer.tar")
        cluster.apply("default", CLOSED, *web_server("web", image))
        cluster.kubectl("rollout", "status", "deployment/web", f"--timeout={PATIENCE_S:.0f}s")
        log = cluster.kubectl("logs", "deployment/web")
        # Closed from the start: a connection that is there would stay.
        was_closed = not _is_reached(cluster)
        cluster.kubectl("delete", "networkpolicy", "closed")
        until(lambda: _is_reached(cluster), PATIENCE_S)
        owners = {_owner(pid) for pid in programs_of(folder.path)}
    finally:
        user.cluster("down")

    assert Form(shown["form"]) is Form.ROOTLESS
    assert shown["lacks"][0].startswith("no limits of memory and CPU")
    assert "GET /v2/" in log
    assert shown["networkPolicies"] == "enforced"
    assert was_closed
    assert 0 not in owners, "nothing of it is root's"
    assert left_by("no network of this machine", before) == set()
    assert list(programs_of(folder.path)) == []


def _is_reached(cluster: KubernetesCluster) -> bool:
    """Return whether the API server reaches the pods of the web server."""
    pods = cluster.read("pods", "--selector", "app=web")["items"]
    way = f"/api/v1/namespaces/default/pods/{pods[0]['metadata']['name']}:{PORT}/proxy/v2/"
    try:
        cluster.kubectl("get", "--raw", way, "--request-timeout=3s")
    except AssertionError:
        return False
    return True


def _owner(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid
