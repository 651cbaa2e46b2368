"""Locks a state folder for one host: two would both run its timers and deliver its messages."""

import os
from pathlib import Path
from typing import Final, TextIO

from shared.persistence.disk_errors import translated_errors

LOCK: Final = "host.lock"


class StateInUse(Exception):
    """Another host has the folder; `process` is its id as it wrote it."""

    def __init__(self, folder: Path, process: str) -> None:
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
        import fcntl  # noqa: PLC0415  not on Windows, where the host does not run

        with translated_errors(LOCK):
            folder.mkdir(parents=True, exist_ok=True)
            self._file: TextIO = (folder / LOCK).open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            self._file.seek(0)
            process = self._file.read().strip()
            self._file.close()
            raise StateInUse(folder, process) from problem
        with translated_errors(LOCK):
            self._file.truncate(0)
            self._file.write(str(os.getpid()))
            self._file.flush()

    def close(self) -> None:
        self._file.close()
