"""Locks that a process holds until it ends, however it ends, and whose file has its id.

A lock goes with its descriptor: who passes that on to a process that it starts passes the lock on.
"""

import os
from contextlib import suppress
from pathlib import Path

from shared.persistence.plain_files import open_lock, read_plain


def take_lock(path: Path) -> int | None:
    """Return a descriptor that holds the lock *path*; None where another one does.

    The file is made where there is none, and is empty until `write_owner`.

    Raises:
        OSError: it cannot be written.
    """
    import fcntl  # noqa: PLC0415  not on Windows, where no host runs

    descriptor = open_lock(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)  # who had it before has ended
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def write_owner(lock: int, pid: int) -> None:
    """Write the process id of who holds *lock*, for `read_owner`. Raises OSError."""
    os.write(lock, str(pid).encode())


def read_owner(path: Path) -> int | None:
    """Return the process id of who holds the lock *path*; None where it has not written it yet."""
    with suppress(OSError, ValueError):
        return int(read_plain(path, at_most=32))
    return None
