"""The lock of a state folder's agent: held from its start to its end, however it ends.

Who starts an agent takes the lock and passes the descriptor on, so there is no moment in which a
starting agent is not known. The agent writes its process id into the file.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from shared.kernel.errors import Conflict
from shared.persistence import lock_files

LOCK: Final = "agent.lock"
LOG: Final = "agent.log"
LOCK_DESCRIPTOR: Final = 3
"""Of the agent, where it was started with the lock."""


class AgentRunning(Conflict):
    """An agent has this folder, and only one may."""


@contextmanager
def held_lock(state: Path) -> Iterator[int | None]:
    """Hold the lock of the folder *state* and yield its descriptor; None where an agent has it."""
    descriptor = lock_files.take_lock(state / LOCK)
    try:
        yield descriptor
    finally:
        # A descriptor that was passed on holds the lock as well.
        if descriptor is not None:
            os.close(descriptor)


def has_agent(state: Path) -> bool:
    """Return whether an agent of the folder *state* runs, or starts."""
    if not (state / LOCK).exists():
        return False
    with held_lock(state) as lock:
        return lock is None


def read_owner(state: Path) -> int | None:
    """Return the process id of the agent that `has_agent` says there is; None for a moment."""
    return lock_files.read_owner(state / LOCK)
