"""Host and agent are killed together, also an agent that has only just been started."""

import subprocess
import sys
from pathlib import Path

import pytest

from cli.host_process import kill_control_plane
from cli.state_folder import StateFolder
from shared.kernel.clock import SystemClock
from tests.kit.patience import PATIENCE_S

pytestmark = pytest.mark.real

HOLDS = """
import os, sys, threading
from pathlib import Path
from shared.persistence.lock_files import take_lock, write_owner
lock = take_lock(Path(sys.argv[1]))
"""
HOST = f"{HOLDS}write_owner(lock, os.getpid()); print(flush=True); threading.Event().wait()"
AGENT = f"""{HOLDS}
print(flush=True)
sys.stdin.readline()  # until the host has ended
write_owner(lock, os.getpid())
threading.Event().wait()
"""


def test_an_agent_that_says_who_it_is_after_the_host_has_ended_is_killed_too(
    tmp_path: Path,
) -> None:
    def start(script: str, lock: str, **given: int | None) -> "subprocess.Popen[bytes]":
        words = [sys.executable, "-c", script, str(tmp_path / lock)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, **given)  # type: ignore[call-overload]
        process.stdout.readline()
        return process  # type: ignore[no-any-return]

    folder = StateFolder(tmp_path)
    host = start(HOST, "host.lock")
    agent = start(AGENT, "agent.lock", stdin=subprocess.PIPE)

    class Clock(SystemClock):
        """One that lets the agent go on once the host has been killed."""

        async def sleep(self, seconds: float) -> None:
            if host.poll() is not None and not agent.stdin.closed:
                agent.stdin.close()
            await super().sleep(seconds)

    kill_control_plane(folder, Clock())

    assert host.poll() is not None
    assert agent.wait(PATIENCE_S) == -9
    for process in (host, agent):
        process.stdout.close()
