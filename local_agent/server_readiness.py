"""Whether a server takes logins: it may have its port and still read what it had written."""

import socket
import struct
from collections.abc import Mapping
from contextlib import closing
from typing import Final

from shared.surfaces.data_servers import HOST, LOCAL_POSTGRES, LOCAL_VALKEY

_WITHIN_S: Final = 1.0
_PROTOCOL: Final = 3 << 16
_PARAMETERS: Final = b"user\0readiness\0database\0postgres\0\0"
_QUESTIONS: Final[Mapping[str, tuple[bytes, bytes]]] = {
    # A start of the protocol, which PostgreSQL answers with how to log in, or an error (E).
    LOCAL_POSTGRES: (struct.pack("!ii", 8 + len(_PARAMETERS), _PROTOCOL) + _PARAMETERS, b"R"),
    # Asked without a login, it says that there is none; while it loads, that it does.
    LOCAL_VALKEY: (b"PING\r\n", b"-NOAUTH"),
}
"""Of each kind: what is sent, and how the answer of one that is ready begins."""


def takes_logins(kind: str, port: int) -> bool:
    question, expected = _QUESTIONS[kind]
    with closing(socket.socket()) as connection:
        connection.settimeout(_WITHIN_S)
        try:
            connection.connect((HOST, port))
            connection.sendall(question)
            return connection.recv(len(expected)) == expected
        except OSError:
            return False
