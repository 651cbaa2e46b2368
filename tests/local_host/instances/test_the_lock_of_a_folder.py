"""The lock of a state folder goes with the process of its host, whatever that leaves behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local_host.state_lock import StateInUse, StateLock
from tests.kit.real_system import REPOSITORY

HOLDER = """
import os, signal, sys
from pathlib import Path
from local_host.state_lock import StateLock

lock = StateLock(Path(sys.argv[1]))
if not os.fork():
    print(os.getpid(), flush=True)
signal.pause()
"""


@pytest.mark.real
def test_a_child_that_an_app_forked_does_not_keep_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        try:
            with pytest.raises(StateInUse):
                StateLock(tmp_path)
            holder.kill()
            holder.wait()

            StateLock(tmp_path).close()

            os.kill(child, 0)  # it is still there
        finally:
            os.kill(child, signal.SIGKILL)
