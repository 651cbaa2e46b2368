"""Lets one `up` or `down` at a time work on a state folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.host_process import pause
from cli.state_folder import StateFolder
from shared.kernel.clock import Clock
from shared.persistence.lock_files import take_lock

WITHIN_S: Final = 50.0
"""More than a start and a stop of the host may take."""
_POLL_INTERVAL_S: Final = 0.05


@contextmanager
def folder_lock(folder: StateFolder, clock: Clock) -> Iterator[bool]:
    """Wait for the other commands on *folder*; yield whether they ended in time.

    Held until the command ends, however it ends: the host that it starts does not get the lock.

    Raises:
        Failure: this user cannot write there.
    """
    folder.create()
    deadline_s = clock.monotonic_s() + WITHIN_S
    while (lock := _take(folder)) is None and clock.monotonic_s() < deadline_s:
        pause(clock, _POLL_INTERVAL_S)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            os.close(lock)


@contextmanager
def sole_command(folder: StateFolder, clock: Clock) -> Iterator[None]:
    """Hold the lock of *folder* for a command that starts something.

    Raises:
        Failure: another command does not end, or this user cannot write there.
    """
    with folder_lock(folder, clock) as is_ours:
        if not is_ours:
            raise Failure(
                "another `up` or `down` of this state folder does not end",
                ExitCode.CONFLICT,
                remedy="`runtimectl down`, then again",
            )
        yield


def _take(folder: StateFolder) -> int | None:
    try:
        return take_lock(folder.private / "lock")
    except OSError as refused:
        raise Failure(
            f"{folder.private} cannot be written: {refused.strerror}", ExitCode.USAGE
        ) from refused
