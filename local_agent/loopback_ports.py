"""Finds free loopback ports for sites and instances; the caller records which are in use."""

import socket
from contextlib import closing
from typing import Final

from shared.kernel.entropy import Entropy
from shared.kernel.errors import Unavailable

FIRST: Final = 20_000
COUNT: Final = 10_000
"""Below the ephemeral range of Linux and macOS, so that no outgoing connection takes one."""
_TRIES: Final = 200


def is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        # As servers do: a port in TIME_WAIT is free, a port with a listener is not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(entropy: Entropy, in_use: set[int]) -> int:
    """Return a port without a listener that is not in *in_use*.

    Raises:
        Unavailable: the machine has none left.
    """
    for _ in range(_TRIES):
        port = FIRST + int(entropy.fraction() * COUNT)
        if port not in in_use and is_free(port):
            return port
    raise Unavailable(f"no free port from {FIRST} to {FIRST + COUNT - 1} on 127.0.0.1")
