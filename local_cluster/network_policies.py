"""What NetworkPolicies let each pod send and take, as networks and ports: pure.

A pod that no policy of a direction selects is open in it; of one that is selected passes what any
of its policies allows. Traffic with its own node is not theirs to refuse.
https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

import json
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from ipaddress import (
    IPv4Address,
    IPv4Network,
    collapse_addresses,
    ip_network,
    summarize_address_range,
)
from typing import Any, Final

from local_cluster.kubernetes_api import Document
from local_cluster.watches import Key, key_of

PROTOCOLS: Final = ("TCP", "UDP", "SCTP")
RULES_MAX: Final = 20_000
"""Of all pods of a node; a tenant of the platform has about ten for each of its pods."""
PARTS_MAX: Final = 500
"""Of a policy: its peers, with what they except, times its ports."""
_SPEC: Final = frozenset({"podSelector", "policyTypes", "ingress", "egress"})
_PEER: Final = frozenset({"podSelector", "namespaceSelector", "ipBlock"})
_PORT: Final = frozenset({"protocol", "port", "endPort"})
_SELECTOR: Final = frozenset({"matchLabels", "matchExpressions"})
_PORT_MAX: Final = 65_535
_IPV4: Final = 4

Labels = Mapping[str, str]
Networks = tuple[IPv4Network, ...]


class Direction(StrEnum):
    INGRESS = "Ingress"
    EGRESS = "Egress"


_FIELDS: Final = {Direction.INGRESS: ("ingress", "from"), Direction.EGRESS: ("egress", "to")}


class PolicyRefused(Exception):
    """A policy has what is not understood here; so nothing is let through by it."""


@dataclass(frozen=True)
class PodPort:
    """A port of a container that has a name."""

    name: str
    protocol: str
    number: int


@dataclass(frozen=True)
class Pod:
    """A pod with an address of its own, and where it is."""

    namespace: str
    name: str
    node: str
    link: str
    """Its port of the node's bridge."""
    address: str
    labels: Labels
    ports: tuple[PodPort, ...] = ()

    @property
    def network(self) -> IPv4Network:
        return IPv4Network(self.address)


@dataclass(frozen=True)
class Allowed:
    """Traffic with *networks*, by *protocol* and *ports*; None: all of them."""

    networks: Networks | None
    protocol: str | None = None
    ports: tuple[int, int] | None = None
    """The first and the last."""


@dataclass(frozen=True)
class Policies:
    """All policies of a cluster and what their selectors are about."""

    policies: Mapping[Key, Document]
    namespaces: Mapping[str, Labels]
    pods: Collection[Pod]
    _found: dict[tuple[str, str], Networks] = field(default_factory=dict, init=False, compare=False)
    """By peers and namespace: many pods and policies ask for the same ones."""

    def how_many(self, pod: Pod, direction: Direction) -> int:
        """Return about how many rules `allowed` has, without the work of it."""
        rules, _ = _FIELDS[direction]
        return sum(
            max(1, len(rule.get("ports") or ()))
            for policy in self._closing(pod, direction)
            if key_of(policy) not in self.refused
            for rule in policy["spec"].get(rules) or ()
        )

    def allowed(self, pod: Pod, direction: Direction) -> Sequence[Allowed] | None:
        """Return what *pod* may take or send; None where no policy closes it.

        A policy that is not understood closes what it selects, and allows nothing: `refused` has
        the reason.
        """
        closing = self._closing(pod, direction)
        if not closing:
            return None
        return [each for policy in closing for each in self._of(policy, pod, direction)]

    def _closing(self, pod: Pod, direction: Direction) -> Sequence[Document]:
        of_namespace = self._by_namespace.get(pod.namespace, ())
        return [each for each in of_namespace if _closes(each, pod, direction)]

    @cached_property
    def _by_namespace(self) -> Mapping[str, Sequence[Document]]:
        found: dict[str, list[Document]] = {}
        for (namespace, _), each in sorted(self.policies.items(), key=lambda pair: pair[0]):
            found.setdefault(namespace, []).append(each)
        return found

    @cached_property
    def refused(self) -> Mapping[Key, str]:
        """The policies that are not understood, and why."""
        problems = {key: _problem(policy) for key, policy in self.policies.items()}
        return {key: problem for key, problem in problems.items() if problem}

    def _of(self, policy: Document, pod: Pod, direction: Direction) -> Iterator[Allowed]:
        if key_of(policy) in self.refused:
            return
        rules, peers = _FIELDS[direction]
        for rule in policy["spec"].get(rules) or ():
            others = rule.get(peers) or None  # an empty list is everybody, as one that is absent
            networks = None if others is None else self._networks(others, pod.namespace)
            if networks == ():
                continue
            ports = rule.get("ports") or ()
            if not ports:
                yield Allowed(networks)
            for port in ports:
                yield from self._of_port(port, networks, pod, direction)

    def _of_port(
        self, port: Document, networks: Networks | None, pod: Pod, direction: Direction
    ) -> Iterator[Allowed]:
        protocol, number = port.get("protocol", "TCP"), port.get("port")
        if number is None:
            yield Allowed(networks, protocol)
        elif isinstance(number, int):
            yield Allowed(networks, protocol, (number, port.get("endPort", number)))
        elif direction is Direction.INGRESS:
            for found in _numbers(pod, number, protocol):
                yield Allowed(networks, protocol, (found, found))
        else:  # the name is of a port of whoever is sent to
            for each in self.pods:
                if networks is None or _has(networks, each.network):
                    for found in _numbers(each, number, protocol):
                        yield Allowed((each.network,), protocol, (found, found))

    def _networks(self, peers: Sequence[Document], namespace: str) -> Networks:
        """Return the networks of *peers*, none of which is in another."""
        key = json.dumps(peers), namespace
        if key not in self._found:
            found = [network for peer in peers for network in self._of_peer(peer, namespace)]
            self._found[key] = tuple(sorted(collapse_addresses(found)))
        return self._found[key]

    def _of_peer(self, peer: Document, namespace: str) -> Iterator[IPv4Network]:
        if "ipBlock" in peer:
            yield from _block(peer["ipBlock"])
            return
        of_namespaces, of_pods = peer.get("namespaceSelector"), peer.get("podSelector")
        for pod in self.pods:
            if of_namespaces is None:
                is_there = pod.namespace == namespace
            else:
                # Of a namespace that is not known nobody can say that it lacks a label.
                labels = self.namespaces.get(pod.namespace)
                is_there = labels is not None and matches(of_namespaces, labels)
            if is_there and matches(of_pods or {}, pod.labels):
                yield pod.network


def matches(selector: Document, labels: Labels) -> bool:
    """Return whether *labels* are those that *selector* asks for; an empty one takes any."""
    if any(
        labels.get(name) != value for name, value in (selector.get("matchLabels") or {}).items()
    ):
        return False
    return all(_holds(each, labels) for each in selector.get("matchExpressions") or ())


def _holds(expression: Document, labels: Labels) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case unknown:
            raise PolicyRefused(f"there is no operator {unknown}")


def _closes(policy: Document, pod: Pod, direction: Direction) -> bool:
    spec = policy["spec"]
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]
    if direction not in types:
        return False
    try:
        return matches(spec.get("podSelector") or {}, pod.labels)
    except PolicyRefused:  # whom it selects is not known: so everybody
        return True


def _numbers(pod: Pod, name: str, protocol: str) -> Iterator[int]:
    for each in pod.ports:
        if (each.name, each.protocol) == (name, protocol):
            yield each.number


def _block(block: Document) -> Iterator[IPv4Network]:
    """Yield the networks of an ipBlock without what it excepts; no pod is in one of IPv6."""
    if ip_network(block["cidr"], strict=False).version != _IPV4:
        return
    whole = IPv4Network(block["cidr"], strict=False)
    outside = [IPv4Network(text, strict=False) for text in block.get("except") or ()]
    first, end = int(whole[0]), int(whole[-1]) + 1
    for each in sorted(collapse_addresses(outside)):
        yield from _between(first, min(int(each[0]), end))
        first = max(first, int(each[-1]) + 1)
    yield from _between(first, end)


def _between(first: int, end: int) -> Iterator[IPv4Network]:
    if first < end:
        yield from summarize_address_range(IPv4Address(first), IPv4Address(end - 1))


def _has(networks: Networks, one: IPv4Network) -> bool:
    """Return whether *one* is in one of *networks*, which are in order and apart."""
    before = bisect_right(networks, one)
    return before > 0 and one.subnet_of(networks[before - 1])


def _problem(policy: Document) -> str:
    """Return what of *policy* is not understood here; empty where all is."""
    try:
        _check(policy["spec"])
    except PolicyRefused as refused:
        return str(refused)
    except (ValueError, LookupError, TypeError, AttributeError) as odd:
        return f"it cannot be read: {odd!r}"
    return ""


def _check(spec: Document) -> None:
    _only(_SPEC, spec)
    parts = sum(map(_parts, (*(spec.get("ingress") or ()), *(spec.get("egress") or ()))))
    if parts > PARTS_MAX:
        raise PolicyRefused(f"it has {parts} parts; {PARTS_MAX} is the limit")
    _check_selector(spec.get("podSelector") or {})
    for rules, peers in _FIELDS.values():
        for rule in spec.get(rules) or ():
            _only({peers, "ports"}, rule)
            for peer in rule.get(peers) or ():
                _check_peer(peer)
            for port in rule.get("ports") or ():
                _check_port(port)


def _parts(rule: Document) -> int:
    others = [*(rule.get("from") or ()), *(rule.get("to") or ())]
    blocks = [each.get("ipBlock") or {} for each in others]
    excepted = sum(len(each.get("except") or ()) for each in blocks)
    return max(1, len(others) + excepted) * max(1, len(rule.get("ports") or ()))


def _check_peer(peer: Document) -> None:
    _only(_PEER, peer)
    for name in ("podSelector", "namespaceSelector"):
        _check_selector(peer.get(name) or {})
    if block := peer.get("ipBlock"):
        _only({"cidr", "except"}, block)
        for text in (block["cidr"], *(block.get("except") or ())):
            ip_network(text, strict=False)


def _check_port(port: Document) -> None:
    _only(_PORT, port)
    if port.get("protocol", "TCP") not in PROTOCOLS:
        raise PolicyRefused(f"there is no protocol {port['protocol']}")
    first = port.get("port")
    if isinstance(first, int) and not 0 < first <= port.get("endPort", first) <= _PORT_MAX:
        raise PolicyRefused(f"there are no ports {first} to {port.get('endPort', first)}")


def _check_selector(selector: Document) -> None:
    _only(_SELECTOR, selector)
    matches(selector, {})


def _only(known: Collection[str], document: Mapping[str, Any]) -> None:
    if unknown := sorted(document.keys() - known):
        raise PolicyRefused(f"{unknown[0]} is not known here")
