"""The filter of a node: what NetworkPolicies allow its pods, as a table of nftables.

It looks at what a node passes on. Bridged packets are among them, as the kernel shows them to it
(br_netfilter), and those to a Service, whose address is that of a pod by then. What the node itself
sends, the probes of its kubelet say, is not: its pods take that always.

It goes by addresses, so a second table holds each pod to its own one, by its port of the bridge: a
pod sends and is told nothing else, and so no broadcast, whatever it may write itself.
"""

import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

from local_cluster.network import UPLINK
from local_cluster.network_policies import RULES_MAX, Allowed, Direction, Pod, Policies
from shared.kernel.errors import Unavailable

TABLE: Final = "inet network-policies"
PORTS_TABLE: Final = "bridge network-policies"
BRIDGED: Final = Path("/proc/sys/net/bridge")
"""There where the kernel shows bridged packets to filters."""
_ASKED_WITHIN_S: Final = 10.0
_SIDES: Final = {
    Direction.EGRESS: ("out", "saddr", "daddr"),
    Direction.INGRESS: ("in", "daddr", "saddr"),
}
"""Of each direction: the name of a pod's chain, where the pod stands in a packet, and the other."""


def problem_of_filters(nft: str) -> str:
    """Return why this machine's nodes cannot filter by *nft* what their pods send; else nothing.

    Of a user namespace that is known from inside of it only, where everybody is root.
    """
    if not BRIDGED.is_dir():
        return "the kernel has no br_netfilter (`modprobe br_netfilter`)"
    if os.geteuid() != 0:
        return ""
    answer = subprocess.run(  # noqa: S603  our own words
        [nft, "--check", f"add table {PORTS_TABLE}"],
        capture_output=True, timeout=_ASKED_WITHIN_S, check=False,
    )  # fmt: skip
    return "" if answer.returncode == 0 else "the kernel has no nftables for bridges"


def table_of(policies: Policies, node: str) -> str:
    """Return the script that replaces the tables of *node* as a whole.

    Each node looks at its own pods: what one sends where it is sent, what one takes where it comes.

    Raises:
        Unavailable: there are more rules than a node is given.
    """
    own_pods = sorted(
        (each for each in policies.pods if each.node == node), key=lambda each: each.address
    )
    _check(node, sum(policies.how_many(pod, side) for pod in own_pods for side in _SIDES))
    chains: list[str] = []
    ways: list[str] = []
    rules = 0
    for direction, (prefix, own, _) in _SIDES.items():
        jumps = []
        for pod in own_pods:
            allowed = policies.allowed(pod, direction)
            if allowed is None:
                continue
            lines = list(dict.fromkeys(_lines(pod, allowed, direction)))
            rules += len(lines)
            _check(node, rules)
            name = f"{prefix}-{pod.address.replace('.', '-')}"
            jumps.append(f"{pod.address} : jump {name}")
            chains.append(_chain(name, lines))
        if jumps:
            ways.append(f"ip {own} vmap {{ {', '.join(jumps)} }}")
    first = [
        "type filter hook forward priority filter; policy accept;",
        # Pods have no other addresses of IPv6 than those of their links, which no policy names.
        "meta nfproto ipv6 drop",
        "ct state established,related accept",
        *ways,
    ]
    return _table(PORTS_TABLE, _ports(own_pods)) + _table(
        TABLE, [*chains, _chain("forward", first)]
    )


def _check(node: str, rules: int) -> None:
    if rules > RULES_MAX:
        raise Unavailable(f"{node} would have {rules} rules of policies; {RULES_MAX} is the limit")


def _ports(pods: Sequence[Pod]) -> Iterator[str]:
    """Yield the chains that hold each of *pods* to its own address."""
    pairs = ", ".join(f'"{each.link}" . {each.address}' for each in pods)
    from_pods = [
        "type filter hook prerouting priority filter; policy drop;",
        f'iifname "{UPLINK}" accept',
    ]
    to_pods = [
        "type filter hook forward priority filter; policy drop;",
        f'oifname "{UPLINK}" accept',
        "ether type arp accept",
    ]
    if pods:
        from_pods += [
            f"ether type ip iifname . ip saddr {{ {pairs} }} accept",
            f"ether type arp iifname . arp saddr ip {{ {pairs} }} accept",
        ]
        to_pods.append(f"ether type ip oifname . ip daddr {{ {pairs} }} accept")
    yield _chain("from-pods", from_pods)
    yield _chain("to-pods", to_pods)


def _lines(pod: Pod, allowed: Iterable[Allowed], direction: Direction) -> Iterator[str]:
    """Yield the rules of a pod's chain: what is allowed returns, and the rest goes nowhere."""
    other = _SIDES[direction][2]
    yield f"ip {other} {pod.address} return"  # by way of a Service it may come to itself
    for each in allowed:
        yield " ".join([*_match(each, other), "return"])
    yield "drop"


def _match(allowed: Allowed, other: str) -> Iterator[str]:
    if allowed.networks is not None:
        yield f"ip {other} {{ {', '.join(map(_text, allowed.networks))} }}"
    if allowed.protocol is not None:
        protocol = allowed.protocol.lower()
        if allowed.ports is None:
            yield f"meta l4proto {protocol}"
        else:
            first, last = allowed.ports
            yield f"{protocol} dport {first}" + (f"-{last}" if last > first else "")


def _text(network: IPv4Network) -> str:
    return str(network if network.prefixlen < network.max_prefixlen else network.network_address)


def _table(name: str, chains: Iterable[str]) -> str:
    return f"add table {name}\ndelete table {name}\ntable {name} {{\n{''.join(chains)}}}\n"


def _chain(name: str, lines: Sequence[str]) -> str:
    return f"  chain {name} {{\n" + "".join(f"    {each}\n" for each in lines) + "  }\n"
