"""The files from which Envoy reads the listeners, routes, clusters and instances of Gateways."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from local_cluster.gateway_parents import ANY_HOST, Listener, closest
from local_cluster.gateway_routes import Backend, Rule
from local_cluster.watches import Key
from shared.connections import envoy_documents
from shared.connections.envoy_documents import Document
from shared.surfaces import envoy_counters
from shared.surfaces.envoy_counters import STARTED_HEADER

ADMIN: Final = "admin.sock"
STARTED: Final = "FACTORY_RUNTIME_STARTED"
"""In Envoy's environ: another word at each of its starts."""
_ADMIN_CLUSTER: Final[Document] = {
    "name": "admin",
    "type": "STATIC",
    "connect_timeout": "2s",
    "load_assignment": {
        "cluster_name": "admin",
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": ADMIN}}}}]}],
    },
}
_CONNECT_WITHIN: Final = "1s"
"""A dead node answers nothing, not even that a port is closed; its pods are a millisecond away."""
_RETRIES: Final = 4
"""So that a request, which no pod has seen yet, outlives as many pods of a dead node."""
_OUTLIERS: Final[Document] = {
    "split_external_local_origin_errors": True,
    "consecutive_local_origin_failure": 2,
    "enforcing_consecutive_local_origin_failure": 100,
    # What an application answers is its own, and what a gate judges.
    "enforcing_consecutive_5xx": 0,
    "enforcing_consecutive_gateway_failure": 0,
    "enforcing_success_rate": 0,
    "enforcing_local_origin_success_rate": 0,
    "interval": "1s",
    # As long as a cluster takes to say itself that a node is dead.
    "base_ejection_time": "30s",
    # Never the last one: it may be the gateway that has no way.
    "max_ejection_percent": 90,
}
"""A pod that twice in a row takes no connection gets no request for a while."""
_NO_BACKEND: Final = 500
"""What the Gateway API says for requests that no backend is to get."""


def bootstrap(folder: Path, counters_port: int) -> Document:
    """Return the start configuration; at *counters_port* of 127.0.0.1 are Envoy's counters."""
    return {
        "node": {"id": "gateway", "cluster": "local"},
        "admin": envoy_documents.admin(ADMIN),
        **envoy_counters.counting(),
        "static_resources": {
            "listeners": [_counters_listener(counters_port)],
            "clusters": [_ADMIN_CLUSTER],
        },
        "dynamic_resources": {
            "lds_config": envoy_documents.file_source(folder / "listeners.json"),
            "cds_config": envoy_documents.file_source(folder / "clusters.json"),
        },
    }


def _counters_listener(port: int) -> Document:
    """Return the listener at which the counters are, and nothing else of the admin interface."""
    route = {
        "match": {
            "path": f"/{envoy_counters.PATH}",
            "headers": [{"name": ":method", "string_match": {"exact": "GET"}}],
        },
        "route": {"cluster": _ADMIN_CLUSTER["name"], "timeout": "5s"},
    }
    started = {"key": STARTED_HEADER, "value": f"%ENVIRONMENT({STARTED})%"}
    table = {
        "name": "counters",
        "virtual_hosts": [{"name": "counters", "domains": ["*"], "routes": [route]}],
        "response_headers_to_add": [
            {"header": started, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        ],
    }
    return envoy_documents.fixed_listener("counters", "127.0.0.1", port, table)


def listeners(places: Mapping[Key, tuple[str, Sequence[int]]], folder: Path) -> Document:
    """Return the listeners of each Gateway at its address and ports."""
    return envoy_documents.response(
        [
            {
                "@type": f"{envoy_documents.TYPE}envoy.config.listener.v3.Listener",
                **envoy_documents.listener(
                    table_name(gateway, port), address, port, table_name(gateway, port),
                    folder / f"routes-{table_name(gateway, port)}.json",
                ),
            }
            for gateway, (address, ports) in sorted(places.items())
            for port in sorted(set(ports))
        ]
    )  # fmt: skip


def routes(
    gateway: Key, port: int, rules: Sequence[Rule], listeners: Sequence[Listener]
) -> Document:
    """Return the table of one port of a Gateway with *listeners*; *rules* in their precedence."""
    own = [rule for rule in rules if rule.listener.port == port]
    of_listeners = [each.host for each in listeners if each.port == port]
    hosts = {ANY_HOST, *of_listeners, *(host for rule in own for host in rule.hosts)}
    tables = [
        {
            "name": host,
            "domains": [host],
            "routes": [_route(rule) for rule in _rules_of(host, own, of_listeners)],
        }
        for host in sorted(hosts)
    ]
    return envoy_documents.route_table(table_name(gateway, port), tables, ignores_port=True)


def clusters(backends: Iterable[Backend], folder: Path) -> Document:
    return envoy_documents.response(
        [
            {
                **envoy_documents.cluster(each.name, folder / f"endpoints-{each.name}.json"),
                "connect_timeout": _CONNECT_WITHIN,
                "outlier_detection": _OUTLIERS,
            }
            for each in sorted(backends)
        ]
    )


def table_name(gateway: Key, port: int) -> str:
    """Return the name of a listener of Envoy, and of its table of routes."""
    return f"{'.'.join(gateway)}-{port}"


def _rules_of(host: str, rules: Sequence[Rule], listeners: Sequence[str]) -> Sequence[Rule]:
    """Return the rules of *host*, those of narrower names first: Envoy looks at one table only.

    All are of the listener that is closest to *host*: another gets nothing of its requests.
    """
    listener = closest(listeners, host)
    found = [
        (len(covering), rule)
        for rule in rules
        if rule.listener.host == listener and (covering := closest(rule.hosts, host)) is not None
    ]
    return [rule for _, rule in sorted(found, key=lambda each: -each[0])]


def _route(rule: Rule) -> Document:
    match = _match(rule.match)
    weights = {backend.name: weight for backend, weight in rule.weights.items() if weight}
    if not weights:
        return envoy_documents.refusal(match, _NO_BACKEND, "no backend has a weight\n")
    return envoy_documents.weighted_route(match, weights, _RETRIES)


def _match(match: Document) -> Document:
    path = match.get("path", {})
    value = path.get("value", "/")
    matched: dict[str, Any] = (
        {"path": value}
        if path.get("type") == "Exact"
        else dict(envoy_documents.prefix_match(value))
    )
    headers = [(header["name"], header["value"]) for header in match.get("headers") or ()]
    headers += [(":method", match["method"])] if "method" in match else []
    if headers:
        matched["headers"] = [
            {"name": name, "string_match": {"exact": value}} for name, value in headers
        ]
    return matched
