"""The network of a cluster: one bridge of this machine, on which every pod and node has an address.

A cluster has a number from 0 to 255, from which its bridge, its links, its control groups and its
addresses have their names. Whoever makes the bridge has the number: the kernel lets nobody make a
second one of that name.
"""

import hashlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, Final

from shared.kernel.errors import Unavailable

COUNT: Final = 256
NODES_MAX: Final = 15
ALL: Final = IPv4Network("10.240.0.0/12")
UPLINK: Final = "uplink"
"""A node's end of its cable; on the node's bridge, as the pods are."""
_PREFIX: Final = 20
_ALIAS_MAX: Final = 200
"""Of the 255 characters that the kernel keeps."""


@dataclass(frozen=True)
class ClusterNetwork:
    """The names and addresses of the cluster *number*."""

    number: int

    @property
    def name(self) -> str:
        """Of the bridge, and of the control group."""
        return f"rtk{self.number}"

    @property
    def subnet(self) -> IPv4Network:
        size = 1 << (32 - _PREFIX)
        return IPv4Network((int(ALL.network_address) + self.number * size, _PREFIX))

    @property
    def address(self) -> IPv4Address:
        """Of this machine, where the control plane listens."""
        return self.subnet[1]

    def link(self, node: int) -> str:
        """Return the end of the node's cable that is on this machine."""
        return f"{self.name}n{node}"

    def node_address(self, node: int) -> IPv4Address:
        return self.subnet[256 * node + 1]

    def pod_range(self, node: int) -> tuple[IPv4Address, IPv4Address]:
        """Return the first and the last address of the node's pods."""
        return self.subnet[256 * node + 10], self.subnet[256 * node + 250]


def claim(state: Path) -> ClusterNetwork:
    """Make the bridge of a cluster that keeps its state in *state*, and return its network.

    A network that this machine has a way to, a VPN's say, is left alone.

    Raises:
        Unavailable: every network is taken.
    """
    reached = list(_reached())
    first = int.from_bytes(hashlib.sha256(str(state).encode()).digest()[:1], "big")
    for step in range(COUNT):
        network = ClusterNetwork((first + step) % COUNT)
        if not any(network.subnet.overlaps(other) for other in reached) and _make(network, state):
            return network
    raise Unavailable(f"each of the {COUNT} networks in {ALL} is in use on this machine")


def claimed(state: Path) -> Iterator[ClusterNetwork]:
    """Yield the networks whose bridges were made for *state*: of a cluster that was killed, say."""
    for link in _read("-details", "link", "show", "type", "bridge"):
        name, alias = str(link.get("ifname", "")), link.get("ifalias")
        number = name.removeprefix("rtk")
        if alias == _alias(state) and number.isdecimal():
            yield ClusterNetwork(int(number))


def connect(network: ClusterNetwork, node: int, pid: int) -> None:
    """Lay a cable from the bridge into the network namespace of *pid*, where it is `uplink`."""
    link = network.link(node)
    ip("link", "add", link, "type", "veth", "peer", "name", UPLINK, "netns", str(pid))
    ip("link", "set", link, "master", network.name, "up")


def release(network: ClusterNetwork) -> None:
    """Remove the bridge and every cable on it; nothing where there is none."""
    for link in _read("link", "show", "master", network.name):
        ip("link", "delete", str(link["ifname"]), must=False)
    ip("link", "delete", network.name, must=False)


def ip(*words: str, must: bool = True) -> bool:
    """Run `ip`; return whether it succeeded.

    Raises:
        Unavailable: it did not, and it *must*.
    """
    ended = _run(words)
    if ended.returncode and must:
        raise Unavailable(f"ip {' '.join(words)}: {ended.stderr.decode(errors='replace').strip()}")
    return not ended.returncode


def _make(network: ClusterNetwork, state: Path) -> bool:
    if not ip("link", "add", network.name, "type", "bridge", must=False):
        return False
    ip("link", "set", network.name, "alias", _alias(state))
    ip("address", "add", f"{network.address}/{_PREFIX}", "dev", network.name)
    ip("link", "set", network.name, "up")
    return True


def _alias(state: Path) -> str:
    return f"Factory Runtime: {state}"[-_ALIAS_MAX:]


def _reached() -> Iterator[IPv4Network]:
    for route in _read("-4", "route", "show", "table", "all"):
        destination = str(route.get("dst", "default"))
        if destination != "default" and route.get("type") not in {"local", "broadcast"}:
            yield IPv4Network(destination, strict=False)


def _read(*words: str) -> Sequence[dict[str, Any]]:
    ended = _run(("-json", *words))
    return [] if ended.returncode else json.loads(ended.stdout or b"[]")


def _run(words: Sequence[str]) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(["ip", *words], capture_output=True, check=False)  # noqa: S603, S607
