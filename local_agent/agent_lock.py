"""The lock of a state folder's agent: held from its start to its end, however it ends.

Who starts an agent takes the lock and passes the descriptor on, so there is no moment in which a
starting agent is not known. The agent writes its process id into the file.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from shared.persistence.plain_files import open_lock, read_plain

LOCK: Final = "agent.lock"
LOG: Final = "agent.log"
LOCK_DESCRIPTOR: Final = 3
"""Of the agent, where it was started with the lock."""


@contextmanager
def held_lock(path: Path) -> Iterator[int | None]:
    """Hold the lock *path* and yield its descriptor; None where an agent has it."""
    descriptor = open_lock(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield None
    else:
        os.ftruncate(descriptor, 0)  # who had it before has ended
        yield descriptor
    finally:
        # A descriptor that was passed on holds the lock as well.
        os.close(descriptor)


def write_owner(lock: int, pid: int) -> None:
    os.write(lock, str(pid).encode())


def has_agent(state: Path) -> bool:
    """Return whether an agent of the folder *state* runs, or starts."""
    if not (state / LOCK).exists():
        return False
    with held_lock(state / LOCK) as lock:
        return lock is None


def read_owner(state: Path) -> int | None:
    """Return the process id of the agent that `has_agent` says there is; None for a moment."""
    with suppress(OSError, ValueError):
        return int(read_plain(state / LOCK, at_most=32))
    return None
