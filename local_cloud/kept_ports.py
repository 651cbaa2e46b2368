"""The ports of the last start: what was printed for apps still holds after the next.

Apps that run look for the cloud there and nowhere else, so a port that another program has taken
meanwhile ends the start, and is not exchanged silently.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from shared.persistence.plain_files import read_plain


def kept_port(addresses: Mapping[str, object], service: str) -> int:
    """Return the port at which *service* listened last; 0, any, where it has none."""
    try:
        return urlsplit(str(addresses.get(service, ""))).port or 0
    except ValueError:
        return 0


def last_addresses(file: Path) -> Mapping[str, object]:
    """Return where each service listened last; empty where *file* is absent or damaged."""
    try:
        addresses = json.loads(read_plain(file))
    except (OSError, ValueError):
        return {}
    return addresses if isinstance(addresses, dict) else {}
