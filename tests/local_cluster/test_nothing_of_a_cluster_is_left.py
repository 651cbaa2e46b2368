"""A cluster that was stopped, or killed, leaves nothing on this machine."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cli.cluster_process import find_cluster
from cli.state_folder import REPOSITORY, StateFolder
from local_cluster.cluster_folder import Form
from local_cluster.forms import choose
from local_cluster.network import claimed
from local_cluster.programs import programs_of
from tests.kit.kubernetes_cluster import programs_of_clusters, until
from tests.kit.machine_state import left_by, machine_state

pytestmark = pytest.mark.real


def runtimectl(*words: str, code: int = 0) -> Mapping[str, Any]:
    ended = subprocess.run(
        [sys.executable, "-m", "cli.main", "cluster", *words, "-o", "json"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == code, ended.stderr
    shown: Mapping[str, Any] = json.loads(ended.stdout if code == 0 else ended.stderr)
    return shown


@contextmanager
def down_at_the_end(state: Path) -> Iterator[None]:
    try:
        yield
    finally:
        runtimectl("down", "--state", str(state))


@pytest.mark.long
def test_a_cluster_is_started_shown_and_stopped_by_commands(tmp_path: Path) -> None:
    programs_of_clusters()
    state = ("--state", str(tmp_path))
    with down_at_the_end(tmp_path):
        started = runtimectl("up", "--form", "kwok", *state)
        again = runtimectl("up", *state)
        other = runtimectl("up", "--form", "root", *state, code=5)
        shown = runtimectl("status", *state)
        mode = Path(started["kubeconfig"]).stat().st_mode & 0o777

    assert (started["status"], again["status"]) == ("ready", "was running already")
    assert started["lacks"][0].startswith("no container runs")
    assert mode == 0o600
    assert other["error"]["message"] == "the cluster runs already, in the form kwok"
    assert shown["nodes"] == ["node1", "node2"]
    assert runtimectl("status", *state)["status"] == "does not run"
    assert list(programs_of(tmp_path / "cluster")) == []
    kept = {path.name for path in (tmp_path / "cluster").iterdir()}
    assert kept == {"cluster.lock", "cluster.log", "logs", "registry-port"}


@pytest.mark.long
def test_a_killed_cluster_with_real_nodes_is_removed_by_down(tmp_path: Path) -> None:
    if choose(programs_of_clusters(), tmp_path).form is not Form.ROOT:
        pytest.skip("this machine has no real nodes")
    before, folder = machine_state(), StateFolder(tmp_path)
    with down_at_the_end(tmp_path):
        runtimectl("up", "--nodes", "1", "--state", str(tmp_path))
        network = next(claimed(folder.cluster)).name
        running = find_cluster(folder)
        assert running is not None
        assert left_by(network, before), "a cluster that runs has links and groups"

        os.kill(running.pid, signal.SIGKILL)
        until(lambda: not list(programs_of(folder.cluster)), 10)
        runtimectl("down", "--state", str(tmp_path))

        until(lambda: not left_by(network, before))  # the kernel takes links away by itself
        assert list(claimed(folder.cluster)) == []
