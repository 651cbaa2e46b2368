"""Keeps what a workload writes within a bound: the last file of it, and the one before.

The workload writes to a pipe, which its shim reads: so the bound holds at any speed, whether an
agent lives or not, and a workload has no descriptor of a file of the agent.
"""

from __future__ import annotations

import _thread
import os

BYTES_MAX = 5 * 2**20
"""Two files of this size are kept: the current one and the one before."""
_CHUNK_BYTES = 2**16
_READ_WITHIN_S = 5.0


class Output:
    """The standard output and error of this process's children, written to the file *path*."""

    def __init__(self, path: str) -> None:
        """Give children that are made from now on the pipe in place of the file."""
        self._path = path
        self._file = os.dup(1)
        self._size = os.fstat(self._file).st_size
        self._pipe, written = os.pipe()
        self._is_read = _thread.allocate_lock()
        os.dup2(written, 1)
        os.dup2(written, 2)
        os.close(written)

    def read(self) -> None:
        """Begin to read, after the children were made: this process gets its output back."""
        os.dup2(self._file, 1)
        os.dup2(self._file, 2)
        self._is_read.acquire()
        _thread.start_new_thread(self._copy, ())

    def finish(self) -> None:
        """Wait until all is written that the children, which have ended, left in the pipe."""
        self._is_read.acquire(timeout=_READ_WITHIN_S)

    def _copy(self) -> None:
        while chunk := os.read(self._pipe, _CHUNK_BYTES):
            try:
                self._write(chunk)
            except OSError:
                pass  # a full disk costs output, and never holds the workload up
        self._is_read.release()

    def _write(self, chunk: bytes) -> None:
        if self._size + len(chunk) > BYTES_MAX:
            self._rotate()
        self._size += os.write(self._file, chunk)

    def _rotate(self) -> None:
        """Begin the next file; where a step fails the next chunk tries again, and nothing grows."""
        following = f"{self._path}.next"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        opened = os.open(following, flags, 0o600)
        try:
            try:
                os.rename(self._path, f"{self._path}.1")
            except FileNotFoundError:
                pass  # somebody removed it, or an earlier try came this far
            os.rename(following, self._path)
            os.dup2(opened, self._file, inheritable=False)
        finally:
            os.close(opened)
        self._size = 0
