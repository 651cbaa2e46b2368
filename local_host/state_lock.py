"""Locks a state folder for one host: two would both run its timers and deliver its messages."""

import os
from pathlib import Path
from typing import Final

from shared.persistence.disk_errors import translated_errors
from shared.persistence.lock_files import read_owner, take_lock, write_owner

LOCK: Final = "host.lock"


class StateInUse(Exception):
    """Another host has the folder; `process` is its id, None where it has not written it yet."""

    def __init__(self, folder: Path, process: int | None) -> None:
        super().__init__(
            f"{folder} is in use by the host with process id {process or 'unknown'}: stop that one,"
            " or choose another folder with --state"
        )
        self.folder = folder
        self.process = process


class StateLock:
    """Held until closed or until the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        """Take the lock of *folder*, which is made.

        Raises:
            StateInUse: another host has it.
            Unavailable: it cannot be written.
        """
        with translated_errors(LOCK):
            lock = take_lock(folder / LOCK)
            if lock is None:
                raise StateInUse(folder, read_owner(folder / LOCK))
            self._lock: int | None = lock
            # A child that an app forks may outlive this process, and would keep the lock for it.
            os.register_at_fork(after_in_child=self.close)
            try:
                write_owner(lock, os.getpid())
            except OSError:
                self.close()
                raise

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
