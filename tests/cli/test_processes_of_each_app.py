"""`up --processes-per-app`: apps that share nothing but what the local cloud and the agent give."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from cli.client import Client
from cli.cloud_process import find_cloud, stop_cloud
from cli.exit_codes import ExitCode
from cli.host_process import find_host, pause, stop_host, stop_workloads
from cli.host_start import INSTANCES
from cli.state_folder import REPOSITORY, StateFolder, state_folder_at
from local_agent.process_identity import machine_processes
from shared.contracts.events import BUILT
from shared.kernel.clock import SystemClock
from tests.kit.patience import PATIENCE_S

pytestmark = [pytest.mark.real, pytest.mark.long(minutes=5), pytest.mark.xdist_group("processes")]


def run(folder: StateFolder, line: str) -> tuple[int, Any]:
    """Return the exit code of *line*, and what it says."""
    ended = subprocess.run(
        [sys.executable, "-m", "cli.main", *line.split(), "-o", "json"],
        cwd=REPOSITORY, env={**os.environ, "RUNTIMECTL_STATE": str(folder.path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    *_, last = (ended.stdout or ended.stderr).strip().split("\n\n")
    return ended.returncode, json.loads(last) if last.startswith(("{", "[")) else last


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StateFolder]:
    pytest.importorskip("proton", reason="python-qpid-proton is not installed: no C compiler")
    state, clock = state_folder_at(tmp_path_factory.mktemp("system")), SystemClock()
    try:
        code, said = run(state, "up --port 0 --processes-per-app 2")
        assert code == 0, said
        run(state, "login --dev --tenant acme")
        yield state
    finally:
        stop_host(state, clock)
        stop_workloads(state, clock)
        stop_cloud(state, clock)


def instances(folder: StateFolder) -> Sequence[Mapping[str, Any]]:
    """Return the processes of all apps, once all are ready."""
    host = find_host(folder)
    assert host is not None
    clock = SystemClock()
    give_up_at_s = clock.monotonic_s() + PATIENCE_S
    with closing(Client(host.url, None)) as client:
        while True:
            listed: Sequence[Mapping[str, Any]] = client.get(INSTANCES).body["value"]
            if all(each["isReady"] for each in listed):
                return listed
            assert clock.monotonic_s() < give_up_at_s, listed
            pause(clock, 0.1)


def kill(pids: Sequence[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def wait_until_ended(pids: Sequence[int]) -> list[int]:
    """Return those of *pids* that still run in the end."""
    found = [each for each in machine_processes() if each.pid in pids]
    _, alive = psutil.wait_procs(found, timeout=PATIENCE_S)
    return [process.pid for process in alive]


def test_each_app_has_its_processes(folder: StateFolder) -> None:
    listed = instances(folder)

    assert sorted(each["name"] for each in listed) == [
        f"{app}-{number}"
        for app in sorted(service.public_name for service in BUILT)
        for number in (1, 2)
    ]
    assert len({each["pid"] for each in listed}) == len(listed)


def test_the_embedded_stores_are_not_used(folder: StateFolder) -> None:
    code, _ = run(folder, "env create one --stage test --project proj-shop --wait")

    assert code == 0
    assert not (folder.path / "databases").exists()
    assert [path for path in folder.path.glob("apps/*/databases/**/*") if path.is_file()] == []


def test_commands_go_on_while_every_process_is_killed(folder: StateFolder) -> None:
    killed = [each["pid"] for each in instances(folder)]
    kill(killed)

    command = "env create two --stage test --project proj-shop --wait"
    code, said = run(folder, command)
    if code == ExitCode.UNAVAILABLE:  # as it proposes, where so many start on a busy machine
        code, said = run(folder, command)

    assert code == 0, said
    assert not {each["pid"] for each in instances(folder)} & set(killed)


def test_the_processes_end_with_the_front_end_however_that_ends(folder: StateFolder) -> None:
    run(folder, "env create three --stage test --project proj-shop --wait")
    host = find_host(folder)
    assert host is not None
    before = [each["pid"] for each in instances(folder)]
    kill([host.pid])

    assert wait_until_ended(before) == []
    code, said = run(folder, "up")
    assert code == 0, said
    code, listed = run(folder, "env list")
    assert {each["name"] for each in listed} >= {"three"}


@pytest.mark.sweep
def test_what_hangs_when_the_front_end_is_killed_is_ended_by_the_next_start(
    folder: StateFolder,
) -> None:
    host = find_host(folder)
    assert host is not None
    frozen = [each["pid"] for each in instances(folder) if each["app"] == "environments"]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    kill([host.pid])

    code, said = run(folder, "up")

    assert code == 0, said
    assert wait_until_ended(frozen) == []
    code, said = run(folder, "env create three --stage test --project proj-shop --wait")
    assert code == 0, said


def test_another_number_of_processes_is_refused_while_it_runs(folder: StateFolder) -> None:
    code, said = run(folder, "up --processes-per-app 1")

    assert code == 5, said
    assert "with --processes-per-app 2" in str(said)


@pytest.mark.sweep
def test_up_starts_a_cloud_that_has_ended_beside_the_processes(folder: StateFolder) -> None:
    cloud = find_cloud(folder)
    assert cloud is not None
    kill([cloud.pid])
    wait_until_ended([cloud.pid])

    code, said = run(folder, "up")

    assert code == 0, said
    code, said = run(folder, "env create four --stage test --project proj-shop --wait")
    assert code == 0, said


def test_what_another_kind_of_host_keeps_is_not_overlooked(tmp_path: Path) -> None:
    state = state_folder_at(tmp_path)
    state.create()
    state.host_file.write_text(
        json.dumps({"pid": 1, "ticks": 1, "boot": "b", "token": "t", "port": 7071, "url": "u",
                    "startedAt": "s"})
    )  # fmt: skip

    code, said = run(state, "up --port 0 --processes-per-app 1")

    assert code == 5, said
    assert "in the host of all apps" in str(said)


def test_everything_ends_when_the_folder_is_no_longer_there(folder: StateFolder) -> None:
    host, cloud = find_host(folder), find_cloud(folder)
    assert host is not None
    assert cloud is not None
    running = [host.pid, cloud.pid, *(each["pid"] for each in instances(folder))]

    folder.path.rename(folder.path.with_name("aside"))  # what writes there is in nobody's way

    assert wait_until_ended(running) == []
