"""Ends what an agent started, after the folder that says what it started was removed."""

import asyncio
from pathlib import Path
from typing import Final

import psutil

from local_agent.launcher import TOKEN_VARIABLE
from local_agent.memory_place import forget_state
from local_agent.process_identity import environ_of, machine_processes
from shared.kernel.clock import Clock

GRACE_S: Final = 5.0
_POLL_INTERVAL_S: Final = 0.1


async def end_processes_of(state: Path, clock: Clock) -> int:
    """End every workload and Envoy of the folder *state*; return how many there were.

    They are known by the environ that each start and its children have: nothing else is left.
    """
    running = _processes_of(state)
    for process in running:
        _signal(process, is_late=False)
    deadline_s = clock.monotonic_s() + GRACE_S
    # Only those: another agent may have begun in a new folder of that name.
    while (left := [each for each in running if each.is_running()]) and (
        clock.monotonic_s() < deadline_s
    ):
        await clock.sleep(_POLL_INTERVAL_S)
    for process in left:
        _signal(process, is_late=True)
    await asyncio.to_thread(forget_state, state)
    return len(running)


def _processes_of(state: Path) -> list[psutil.Process]:
    return [process for process in machine_processes() if _is_of(process, state)]


def _is_of(process: psutil.Process, state: Path) -> bool:
    environ = environ_of(process.pid)
    home = environ.get("HOME", "")
    return TOKEN_VARIABLE in environ and Path(home).is_relative_to(state / "surface")


def _signal(process: psutil.Process, *, is_late: bool) -> None:
    try:
        (process.kill if is_late else process.terminate)()
    except psutil.Error:
        return  # it has ended meanwhile, or belongs to somebody else
