"""A lock is one process's until it ends, and its file says whose."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from cli.state_folder import REPOSITORY
from shared.persistence.lock_files import read_owner, take_lock, write_owner

pytestmark = pytest.mark.real
HOLDER: Final = """
import os, sys
from pathlib import Path
from shared.persistence.lock_files import take_lock, write_owner
write_owner(take_lock(Path(sys.argv[1])), os.getpid())
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_goes_with_the_process_that_holds_it_and_names_it_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as holder:  # fmt: skip
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert take_lock(path) is None
        assert read_owner(path) == holder.pid
        holder.kill()

    lock = take_lock(path)

    assert lock is not None
    assert read_owner(path) is None
    write_owner(lock, os.getpid())
    assert read_owner(path) == os.getpid()
    os.close(lock)


def test_a_descriptor_that_was_passed_on_holds_the_lock_alone(tmp_path: Path) -> None:
    lock = take_lock(tmp_path / "lock")
    assert lock is not None
    passed_on = os.dup(lock)

    os.close(lock)

    assert take_lock(tmp_path / "lock") is None
    os.close(passed_on)
