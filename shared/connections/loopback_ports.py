"""Finds free loopback ports that stay free; the caller records which are in use."""

import socket
from collections.abc import Set as AbstractSet
from contextlib import closing
from typing import Final

from shared.kernel.entropy import Entropy
from shared.kernel.errors import Unavailable

FIRST: Final = 20_000
COUNT: Final = 10_000
"""Below the ephemeral range of Linux and macOS, so that no outgoing connection takes one."""
_TRIES: Final = 200


def is_free(port: int) -> bool:
    return not taken_because(port)


def taken_because(port: int) -> str:
    """Return why nobody can listen on *port*, in the system's words; empty where it is free."""
    with closing(socket.socket()) as probe:
        # As servers do: a port in TIME_WAIT is free, a port with a listener is not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as taken:
            return taken.strerror or str(taken)
    return ""


def free_port(entropy: Entropy, in_use: AbstractSet[int] = frozenset()) -> int:
    """Return a port without a listener that is not in *in_use*.

    A port that the kernel chooses (0) is free only until its listener ends: then any connection of
    this machine may get it. These are for listeners that start later, or come back.

    Raises:
        Unavailable: the machine has none left.
    """
    for _ in range(_TRIES):
        port = FIRST + int(entropy.fraction() * COUNT)
        if port not in in_use and is_free(port):
            return port
    raise Unavailable(f"no free port from {FIRST} to {FIRST + COUNT - 1} on 127.0.0.1")
