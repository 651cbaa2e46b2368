"""`up` and `down` leave one system or none, however they are killed and mixed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.folder_lock import folder_lock, sole_command
from cli.host_process import find_process, stop_host, stop_workloads
from cli.state_folder import REPOSITORY, StateFolder, state_folder_at
from local_agent.agent_lock import has_agent, held_lock
from local_agent.envoy_admin import wait_until
from local_agent.process_identity import start_ticks
from local_host.agent_process import AgentProcess
from shared.kernel.clock import SystemClock
from tests.kit.host_processes import started
from tests.kit.patience import PATIENCE_S
from tests.kit.stores import HandClock

pytestmark = pytest.mark.real
CLOCK: Final = SystemClock()
PROGRAM: Final = """
import azure.functions as func
app = func.FunctionApp()
@app.route(route="hello", auth_level=func.AuthLevel.ANONYMOUS)
def hello(req: func.HttpRequest) -> str:
    return "hello"
"""


class Shell:
    """Types commands for one state folder."""

    def __init__(self, folder: StateFolder) -> None:
        self.folder = folder

    def begin(self, line: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "cli.main", *line.split(), "-o", "json"],
            cwd=REPOSITORY, env={**os.environ, "RUNTIMECTL_STATE": str(self.folder.path)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, line: str) -> tuple[int, Any]:
        """Return the exit code of *line*, and what it says."""
        return ended(self.begin(line))

    def begin_up(self) -> "subprocess.Popen[str]":
        """Begin `up`, and come back when its host starts."""
        up = self.begin("up --port 0")
        until(lambda: find_process(self.folder) is not None)
        assert not self.folder.host_file.exists()
        return up


def ended(process: "subprocess.Popen[str]") -> tuple[int, Any]:
    out, err = process.communicate(timeout=120)
    return process.returncode, json.loads(out or err)


def until(is_so: Callable[[], bool]) -> None:
    async def look() -> bool:
        return is_so()

    asyncio.run(wait_until(look, CLOCK, PATIENCE_S, "it did not come to that"))


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    folder = state_folder_at(tmp_path / "state")
    try:
        yield Shell(folder)
    finally:
        stop_host(folder, CLOCK)
        stop_workloads(folder, CLOCK)


@pytest.mark.long
def test_a_host_whose_up_was_killed_is_named_and_stopped(shell: Shell) -> None:
    up = shell.begin_up()
    up.send_signal(signal.SIGKILL)
    up.communicate()
    host = find_process(shell.folder)
    assert host is not None

    code, again = shell.run("up --port 0")
    stopped = shell.run("down")

    assert code == ExitCode.CONFLICT
    assert f"with pid {host.pid}" in again["error"]["message"]
    assert "runtimectl down" in json.dumps(again)
    assert stopped[0] == ExitCode.OK
    assert stopped[1]["host"] == f"stopped (pid {host.pid})"
    assert start_ticks(host.pid) is None
    assert find_process(shell.folder) is None
    assert not has_agent(shell.folder.path)


@pytest.mark.long
def test_a_host_that_was_started_by_hand_is_named_and_stopped(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "function_app.py").write_text(PROGRAM)
    (tmp_path / "app" / "host.json").write_text('{"version": "2.0"}')
    with started(tmp_path / "app", "--port", "0", state=shell.folder.path) as host:
        host.read_until("hello")
        until(lambda: find_process(shell.folder) is not None)

        code, up = shell.run("up --port 0")
        stopped = shell.run("down")

        assert code == ExitCode.CONFLICT
        assert f"with pid {host.process.pid}" in up["error"]["message"]
        assert stopped[1]["host"] == f"stopped (pid {host.process.pid})"
        assert host.end() == 0
    assert shell.run("down")[1]["host"] == "did not run"


@pytest.mark.long
def test_two_at_once_start_one_system(shell: Shell) -> None:
    first, second = shell.begin("up --port 0"), shell.begin("up --port 0")

    shown = [ended(first), ended(second)]
    code, down = shell.run("down")

    assert [code for code, _ in shown] == [ExitCode.OK, ExitCode.OK]
    (pid,) = {each["pid"] for _, each in shown}
    assert sum(each["status"] == "was running already" for _, each in shown) == 1
    assert (code, down["host"]) == (ExitCode.OK, f"stopped (pid {pid})")
    assert start_ticks(pid) is None


@pytest.mark.long
def test_down_in_the_middle_of_a_start_leaves_nothing(shell: Shell) -> None:
    up = shell.begin_up()

    code, down = shell.run("down")
    up_code, shown = ended(up)

    assert (code, up_code) == (ExitCode.OK, ExitCode.OK)
    assert down["host"] == f"stopped (pid {shown['pid']})"
    assert find_process(shell.folder) is None
    assert not has_agent(shell.folder.path)


def test_an_agent_that_has_made_no_folder_yet_is_stopped(shell: Shell) -> None:
    shell.folder.create()
    AgentProcess(shell.folder.path, CLOCK).ensure()
    assert not shell.folder.surface.exists()

    stop_workloads(shell.folder, CLOCK)

    assert not has_agent(shell.folder.path)


def test_an_agent_that_does_not_end_is_said(shell: Shell) -> None:
    with held_lock(shell.folder.path), pytest.raises(Failure, match="does not end"):
        stop_workloads(shell.folder, HandClock())


def test_a_command_that_hangs_is_waited_for_within_a_bound(shell: Shell) -> None:
    with (
        folder_lock(shell.folder, CLOCK) as is_first,
        folder_lock(shell.folder, HandClock()) as is_second,
    ):
        assert is_first
        assert not is_second


def test_nothing_is_started_beside_a_command_that_hangs(shell: Shell) -> None:
    with (
        folder_lock(shell.folder, CLOCK),
        pytest.raises(Failure, match="does not end") as refused,
        sole_command(shell.folder, HandClock()),
    ):
        pytest.fail("it has begun")

    assert refused.value.exit_code is ExitCode.CONFLICT


def test_down_makes_no_folder(shell: Shell) -> None:
    assert shell.run("down")[1]["host"] == "did not run"
    assert not shell.folder.path.exists()
