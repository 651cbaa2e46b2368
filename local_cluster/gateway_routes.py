"""What Gateways and HTTPRoutes ask for, as pure functions of the objects of a cluster.

Of the Gateway API (v1) it knows what a rollout needs: listeners for HTTP with the namespaces that
they allow, host names, paths, headers and methods, and weights of Services. A route that asks for
more is not accepted, with the field as the reason, so that no request goes where it must not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from local_cluster.kubernetes_api import Document
from local_cluster.watches import Key, key_of
from shared.connections import envoy_documents

GATEWAY_CLASS: Final = "local"
CONTROLLER: Final = "factory-runtime/local-cluster"
_GROUP: Final = "gateway.networking.k8s.io"
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
    """Where requests go that have one of *hosts* and match *match*, a `matches` entry."""

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

    gateways: tuple[Key, ...]
    refusal: str = ""
    """Why it is not accepted, empty where it is."""
    unresolved: str = ""
    """Which backend is not there, empty where all are."""


@dataclass(frozen=True)
class GatewayTable:
    """What the proxy has to do."""

    rules: Mapping[Key, Sequence[Rule]] = field(default_factory=dict)
    """By Gateway, the most specific first."""
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
                if gateway in verdict.gateways and not verdict.refusal
                for rule in _rules(found.routes[key])
            ),
            key=lambda rule: rule.precedence,
        )
        for gateway in mine
    }
    return GatewayTable(rules, {key: v for key, v in verdicts.items() if v.gateways})


def instances_of(backend: Backend, found: ClusterObjects) -> Sequence[tuple[str, int, bool]]:
    """Return address, port, and whether it takes new requests, of each pod of *backend*."""
    service = found.services.get((backend.namespace, backend.service))
    ports = [] if service is None else service["spec"].get("ports") or []
    names = [port.get("name") or "" for port in ports if port["port"] == backend.port]
    if not names:
        return ()
    instances = {
        (address, port["port"], endpoint.get("conditions", {}).get("ready") is not False)
        for each in found.slices.values()
        if each["metadata"]["namespace"] == backend.namespace
        and each["metadata"].get("labels", {}).get("kubernetes.io/service-name") == backend.service
        for port in each.get("ports") or ()
        if (port.get("name") or "") == names[0] and port.get("port")
        for endpoint in each.get("endpoints") or ()
        if _is_of_use(endpoint)
        for address in endpoint["addresses"]
    }
    return sorted(instances)


def _is_of_use(endpoint: Document) -> bool:
    """Return whether it takes requests, or still answers those that it has."""
    conditions = endpoint.get("conditions", {})
    return conditions.get("ready") is not False or conditions.get("serving") is True


def _is_mine(gateway: Document) -> bool:
    return bool(gateway["spec"]["gatewayClassName"] == GATEWAY_CLASS)


def _verdict(route: Document, found: ClusterObjects) -> RouteVerdict:
    own = key_of(route)[0]
    gateways, refusals = [], []
    for parent in route["spec"].get("parentRefs") or ():
        key = (parent.get("namespace", own), parent["name"])
        gateway = found.gateways.get(key)
        if parent.get("kind", "Gateway") == "Gateway" and gateway is not None and _is_mine(gateway):
            gateways.append(key)
            namespace = found.namespaces.get(("", own), {})
            if not any(
                _allows(listener, namespace, own, key[0])
                for listener in gateway["spec"]["listeners"]
                if parent.get("sectionName") in {None, listener["name"]}
            ):
                refusals.append(f"Gateway {key[1]} has no listener that takes routes of {own}")
    refusals += _unknown_fields(route)
    return RouteVerdict(tuple(gateways), "; ".join(refusals), "; ".join(_absent(route, found)))


def _allows(listener: Document, namespace: Document, name: str, gateways_own: str) -> bool:
    allowed = listener.get("allowedRoutes", {}).get("namespaces", {})
    labels = namespace.get("metadata", {}).get("labels", {})
    if listener["protocol"] != "HTTP":
        return False
    match allowed.get("from", "Same"):
        case "All":
            return True
        case "Same":
            return name == gateways_own
        case "Selector":
            wanted = allowed.get("selector", {})
            matched = wanted.get("matchLabels", {}).items() <= labels.items()
            return matched and not wanted.get("matchExpressions")
        case _:
            return False


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


def _rules(route: Document) -> Iterator[Rule]:
    own = key_of(route)[0]
    hosts = tuple(route["spec"].get("hostnames") or ("*",))
    for rule in route["spec"].get("rules") or ():
        weights = {
            Backend(own, backend["name"], backend["port"]): backend.get("weight", 1)
            for backend in rule.get("backendRefs") or ()
            if (backend.get("group", ""), backend.get("kind", "Service")) == _SERVICE
            and backend.get("namespace", own) == own
        }
        for match in rule.get("matches") or ({"path": {"type": "PathPrefix", "value": "/"}},):
            made_at = route["metadata"].get("creationTimestamp", "")
            yield Rule(hosts, match, weights, key_of(route), made_at)
