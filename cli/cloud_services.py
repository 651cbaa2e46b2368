"""Whether the services of the local cloud answer: each is asked what any client asks first."""

import socket
import ssl
from contextlib import closing
from typing import Final
from urllib.parse import urlsplit

WITHIN_S: Final = 2.0
_AMQP: Final = b"AMQP\x03\x01\x00\x00"
"""The header with which a client of Service Bus begins."""
_HTTP: Final = b"GET / HTTP/1.0\r\n\r\n"


def answers(address: str) -> bool:
    """Return whether what listens at the URL *address* answers within 2 s, whatever it says."""
    url = urlsplit(address)
    is_amqp = url.scheme.startswith("amqp")
    try:
        plain = socket.create_connection((url.hostname, url.port), WITHIN_S)
        with closing(_secured(plain) if url.scheme.endswith("s") else plain) as wire:
            wire.sendall(_AMQP if is_amqp else _HTTP)
            return bool(wire.recv(1))
    except OSError:  # ssl.SSLError is one
        return False


def _secured(plain: socket.socket) -> ssl.SSLSocket:
    # Nothing is told to it, so whose certificate it has does not matter.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        return context.wrap_socket(plain)
    except OSError:
        plain.close()
        raise
