"""The ports of the last start: what was printed for apps still holds after the next."""

import json
import socket
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from shared.persistence.plain_files import read_plain


def kept_port(addresses: Mapping[str, object], service: str) -> int:
    """Return the port at which *service* listened last; 0, any, where it has none that is free."""
    try:
        port = urlsplit(str(addresses.get(service, ""))).port or 0
    except ValueError:
        return 0
    return port if port and _is_free(port) else 0


def last_addresses(file: Path) -> Mapping[str, object]:
    """Return where each service listened last; empty where *file* is absent or damaged."""
    try:
        found = json.loads(read_plain(file))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
