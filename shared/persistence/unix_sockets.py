"""Sockets that are files: who cannot reach their folder can neither use nor replace them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_ADDRESS_MAX: Final = 107
"""Bytes of a path in an address (unix(7))."""


@contextmanager
def short_name(socket: Path) -> Iterator[str]:
    """Yield a name of *socket* that fits into an address, while it is bound or connected.

    Raises:
        OSError: its folder is not there.
    """
    if len(os.fsencode(socket)) <= _ADDRESS_MAX:
        yield str(socket)
        return
    folder = os.open(socket.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{socket.name}"
    finally:
        os.close(folder)
