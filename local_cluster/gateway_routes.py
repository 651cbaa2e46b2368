"""What Gateways and HTTPRoutes ask for, as pure functions of the objects of a cluster.

Of the Gateway API (v1) it knows what a rollout needs: listeners for HTTP with the namespaces that
they allow, host names, paths, headers and methods, and weights of Services. A route that asks for
more is not accepted, with the field as the reason, so that no request goes where it must not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from local_cluster.gateway_parents import (
    Listener,
    ParentVerdict,
    gateway_of,
    http_listeners,
    judge,
)
from local_cluster.kubernetes_api import Document
from local_cluster.watches import Key, key_of
from shared.connections import envoy_documents

GATEWAY_CLASS: Final = "local"
CONTROLLER: Final = "factory-runtime/local-cluster"
_RULE_FIELDS: Final = frozenset({"name", "matches", "backendRefs"})
_MATCH_FIELDS: Final = frozenset({"path", "headers", "method"})
_SERVICE: Final = ("", "Service")

Objects = Mapping[Key, Document]


@dataclass(frozen=True)
class ClusterObjects:
    """What the API server has, by namespace and name."""

    gateways: Objects
    routes: Objects
    services: Objects
    slices: Objects
    namespaces: Objects
    pods: Objects


@dataclass(frozen=True, order=True)
class Backend:
    """One port of a Service."""

    namespace: str
    service: str
    port: int

    @property
    def name(self) -> str:
        """Of its cluster in Envoy."""
        return envoy_documents.backend(self.namespace, self.service, self.port)


@dataclass(frozen=True)
class Rule:
    """Where requests at *listener* go that have one of *hosts* and match *match*.

    *match* is a `matches` entry.
    """

    listener: Listener
    hosts: tuple[str, ...]
    match: Document
    weights: Mapping[Backend, int]
    route: Key
    made_at: str

    @property
    def precedence(self) -> tuple[Any, ...]:
        """Sort key: the most specific first, then the oldest, as the Gateway API says."""
        path = self.match.get("path", {})
        return (
            path.get("type") != "Exact",
            -len(path.get("value", "/")),
            "method" not in self.match,
            -len(self.match.get("headers") or ()),
            self.made_at,
            self.route,
        )


@dataclass(frozen=True)
class RouteVerdict:
    """What becomes of a route at its Gateways of this class."""

    parents: tuple[ParentVerdict, ...]
    unresolved: str = ""
    """Which backend is not there, empty where all are."""


@dataclass(frozen=True)
class GatewayTable:
    """What the proxy has to do."""

    rules: Mapping[Key, Sequence[Rule]] = field(default_factory=dict)
    """By Gateway, the most specific first."""
    listeners: Mapping[Key, Sequence[Listener]] = field(default_factory=dict)
    verdicts: Mapping[Key, RouteVerdict] = field(default_factory=dict)
    """By route."""

    @property
    def backends(self) -> Sequence[Backend]:
        rules = [rule for rules in self.rules.values() for rule in rules]
        return sorted({backend for rule in rules for backend in rule.weights})


def table_of(found: ClusterObjects) -> GatewayTable:
    mine = [key for key, gateway in found.gateways.items() if _is_mine(gateway)]
    verdicts = {key: _verdict(route, found) for key, route in found.routes.items()}
    rules = {
        gateway: sorted(
            (
                rule
                for key, verdict in verdicts.items()
                for listener, hosts in _hosts(verdict, gateway).items()
                for rule in _rules(found.routes[key], listener, hosts)
            ),
            key=lambda rule: rule.precedence,
        )
        for gateway in mine
    }
    listeners = {gateway: http_listeners(found.gateways[gateway]) for gateway in mine}
    return GatewayTable(rules, listeners, {key: v for key, v in verdicts.items() if v.parents})


def instances_of(backend: Backend, found: ClusterObjects) -> Sequence[tuple[str, int, bool]]:
    """Return address, port, and whether it takes new requests, of each pod of *backend*.

    Where no pod is ready, those take requests whose application said last that it is: only their
    nodes are silent.
    """
    service = found.services.get((backend.namespace, backend.service))
    ports = [] if service is None else service["spec"].get("ports") or []
    names = [port.get("name") or "" for port in ports if port["port"] == backend.port]
    if not names:
        return ()
    endpoints = [
        (endpoint, port["port"])
        for each in found.slices.values()
        if each["metadata"]["namespace"] == backend.namespace
        and each["metadata"].get("labels", {}).get("kubernetes.io/service-name") == backend.service
        for port in each.get("ports") or ()
        if (port.get("name") or "") == names[0] and port.get("port")
        for endpoint in each.get("endpoints") or ()
    ]
    instances = {
        (address, port, _is_ready(endpoint))
        for endpoint, port in endpoints
        if _is_ready(endpoint) or endpoint["conditions"].get("serving") is True
        for address in endpoint["addresses"]
    }
    if not any(is_ready for _, _, is_ready in instances):
        instances |= {
            (address, port, True)
            for endpoint, port in endpoints
            if _takes_requests(endpoint, found)
            for address in endpoint["addresses"]
        }
    return sorted(instances)


def _is_ready(endpoint: Document) -> bool:
    return endpoint.get("conditions", {}).get("ready") is not False


def _takes_requests(endpoint: Document, found: ClusterObjects) -> bool:
    """Return whether the application of its pod is ready, whatever its node and its slice say.

    When the API server was away for longer than nodes may be silent, the cluster takes `Ready` from
    every pod that there is; what the application said stays in `ContainersReady`. A pod that has
    `Ready` again has it before its slice says so.
    """
    target = endpoint.get("targetRef") or {}
    pod = found.pods.get((target.get("namespace", ""), target.get("name", "")))
    if pod is None or "deletionTimestamp" in pod["metadata"] or pod["spec"].get("readinessGates"):
        return False
    conditions = pod.get("status", {}).get("conditions") or ()
    status = {each["type"]: each["status"] for each in conditions}
    return status.get("ContainersReady") == "True"


def _is_mine(gateway: Document) -> bool:
    return bool(gateway["spec"]["gatewayClassName"] == GATEWAY_CLASS)


def _verdict(route: Document, found: ClusterObjects) -> RouteVerdict:
    own = key_of(route)[0]
    unknown = "; ".join(_unknown_fields(route))
    parents = []
    for reference in route["spec"].get("parentRefs") or ():
        key = gateway_of(reference, own)
        gateway = None if key is None else found.gateways.get(key)
        if key is not None and gateway is not None and _is_mine(gateway):
            namespace = (own, found.namespaces.get(("", own), {}))
            hostnames = route["spec"].get("hostnames") or ()
            judged = judge(reference, key, gateway, namespace, hostnames)
            if unknown and not judged.refusal:
                judged = replace(judged, hosts={}, reason="UnsupportedValue", refusal=unknown)
            parents.append(judged)
    return RouteVerdict(tuple(parents), "; ".join(_absent(route, found)))


def _unknown_fields(route: Document) -> Iterator[str]:
    for rule in route["spec"].get("rules") or ():
        for name in sorted(rule.keys() - _RULE_FIELDS):
            yield f"{name} is not served here"
        for match in rule.get("matches") or ():
            for name in sorted(match.keys() - _MATCH_FIELDS):
                yield f"matches by {name} are not served here"
            if match.get("path", {}).get("type") == "RegularExpression" or any(
                header.get("type", "Exact") != "Exact" for header in match.get("headers") or ()
            ):
                yield "regular expressions are not served here"
        for backend in rule.get("backendRefs") or ():
            if backend.get("filters"):
                yield "filters of a backend are not served here"


def _absent(route: Document, found: ClusterObjects) -> Iterator[str]:
    own = key_of(route)[0]
    for rule in route["spec"].get("rules") or ():
        for backend in rule.get("backendRefs") or ():
            if backend.get("namespace", own) != own:
                yield f"{backend['name']} is in another namespace"
            elif (own, backend["name"]) not in found.services:
                yield f"there is no Service {backend['name']}"


def _hosts(verdict: RouteVerdict, gateway: Key) -> Mapping[Listener, tuple[str, ...]]:
    """Return by each listener of *gateway* that takes the route, whichever parent names it."""
    return {
        listener: hosts
        for parent in verdict.parents
        if parent.gateway == gateway
        for listener, hosts in parent.hosts.items()
    }


def _rules(route: Document, listener: Listener, hosts: tuple[str, ...]) -> Iterator[Rule]:
    own = key_of(route)[0]
    for rule in route["spec"].get("rules") or ():
        weights = {
            Backend(own, backend["name"], backend["port"]): backend.get("weight", 1)
            for backend in rule.get("backendRefs") or ()
            if (backend.get("group", ""), backend.get("kind", "Service")) == _SERVICE
            and backend.get("namespace", own) == own
        }
        for match in rule.get("matches") or ({"path": {"type": "PathPrefix", "value": "/"}},):
            made_at = route["metadata"].get("creationTimestamp", "")
            yield Rule(listener, hosts, match, weights, key_of(route), made_at)
