"""Keeps the write-ahead log of a SQLite file written in advance and short, beside the commits.

A commit that makes the file longer waits for the journal of the file system, and so for whatever
others write there: 0.2 ms on a quiet disk, 4 ms on a busy one. A commit that writes over old pages
takes 0.1 ms on both. So the log is made long once, and begins anew at its start when it is full:
https://www.sqlite.org/wal.html#checkpointing.
"""

import os
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

from shared.kernel.errors import Unavailable

LENGTHEN_AFTER: Final = 16
"""Commands: a file that is written to that often is worth the disk space."""
LOG_BYTES: Final = 8 * 1024 * 1024
_PIECE: Final = bytes(256 * 1024)
"""Bytes that may be added to those for which a commit waits."""
_CHECKPOINT_AFTER: Final = 256
"""Commands, about 1,400 pages: the writes until the checkpoint ends still fit into the log.
Checkpoints sync and slow the commits beside them on a slow disk, so they are not more frequent."""
_PAGES_MAX: Final = 800
"""Beyond it the rest of a checkpoint holds the next group back, so that the log begins anew."""


class WriteAheadLog:
    """The log of the database at *path*; *connect* opens another connection to it."""

    def __init__(self, path: Path, connect: Callable[[], sqlite3.Connection]) -> None:
        self.threads = ThreadPoolExecutor(2, f"sqlite {path}")
        self.writing = threading.Lock()
        """Held from a group's first statement to the end of its commit."""
        self.is_long = False
        """Whether the next commit should end with `shorten_if_long`."""
        self._path = path.with_name(f"{path.name}-wal")
        self._connect = connect
        self._checkpointer: sqlite3.Connection | None = None
        self._commands = 0
        self._lengthened = False
        self._closed = False

    def count(self, commands: int) -> None:
        """Count *commands* that were committed; from time to time have the log looked after."""
        self._commands += commands
        if not self._lengthened and self._commands > LENGTHEN_AFTER:
            self._lengthened = True
            self.threads.submit(self._lengthen)
        if self._commands > _CHECKPOINT_AFTER:
            self._commands = 0
            self.threads.submit(self._checkpoint)

    def shorten_if_long(self) -> None:
        """Finish the checkpoint while nobody writes: the next commit begins the log anew."""
        if self.is_long:
            self._checkpoint()

    def _lengthen(self) -> None:
        """Write zeros behind the log's end, where SQLite finds no valid page."""
        with suppress(OSError), self._path.open("r+b", buffering=0) as file:
            while not self._closed:
                with self.writing:
                    if file.seek(0, os.SEEK_END) >= LOG_BYTES:
                        return
                    file.write(_PIECE)
                os.fdatasync(file.fileno())

    def _checkpoint(self) -> None:
        # What is wrong with the file, the next read or commit meets too.
        with suppress(Unavailable, sqlite3.Error):
            if self._checkpointer is None:
                self._checkpointer = self._connect()
            row = self._checkpointer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            self.is_long = not self.is_long and row[1] > _PAGES_MAX

    def close(self) -> None:
        """End the threads and the checkpointer; the database closes the log itself."""
        self._closed = True
        self.threads.shutdown()
        if self._checkpointer is not None:
            self._checkpointer.close()
