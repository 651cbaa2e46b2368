"""The ports of the last start: what was printed for apps still holds after the next.

Apps that run look for the cloud there and nowhere else, so a port that another program has taken
meanwhile ends the start, and is not exchanged silently. So the first start takes none that the
kernel gives to outgoing connections.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from shared.connections.loopback_ports import free_port
from shared.kernel.entropy import Entropy
from shared.persistence.plain_files import read_plain


def chosen_ports(
    given: Mapping[str, int], addresses: Mapping[str, object], entropy: Entropy
) -> Mapping[str, int]:
    """Return the port of each service in *given*; *addresses* are those of the last start.

    It is the one that was given; for 0 that of the last start, and at the first start a free one.

    Raises:
        Unavailable: the machine has no free port left.
    """
    ports = {service: port or _kept_port(addresses, service) for service, port in given.items()}
    for service in [service for service, port in ports.items() if not port]:
        ports[service] = free_port(entropy, set(ports.values()))
    return ports


def _kept_port(addresses: Mapping[str, object], service: str) -> int:
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
