"""Envoy's configuration for one site, as pure functions of its routes.

Each revision is a cluster, so Envoy counts requests per revision. A request reaches its component
by `Host: <module>.<tenant>.localhost`, by the header `x-service: <service id>`, or by the longest
path prefix that a component declares. Field names are those of Envoy's v3 API.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shared.kernel.ids import ServiceId
from shared.surfaces.spec import SurfaceComponent
from shared.surfaces.traffic import LATENCY_BOUNDS_MS

Document = Mapping[str, Any]
_TYPE: Final = "type.googleapis.com/"
ROUTES: Final = "site"
RETRIES_MAX: Final = 2
BOUND: Final = 4096
_BOUNDED: Final = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
IDLE_S: Final = 1
"""Envoy closes upstream connections that are idle for longer. It is below the keep-alive of common
servers (uvicorn 5 s, gunicorn 2 s), so a server never closes one that a request is about to use."""


@dataclass(frozen=True)
class RevisionRoute:
    """One revision with the ports of its instances; False for an instance that drains."""

    revision: int
    takes_requests: Mapping[int, bool]


@dataclass(frozen=True)
class ComponentRoute:
    """One component with its weights; without weights its requests get a 503 with the reason."""

    component: SurfaceComponent
    path_prefix: str | None
    weights: Mapping[int, int]
    revisions: tuple[RevisionRoute, ...]


def cluster_name(service: ServiceId, revision: int) -> str:
    return f"{service}-r{revision}"


def parse_cluster_name(cluster: str) -> tuple[ServiceId, int] | None:
    """Return service and revision of a name from `cluster_name`; None for another name."""
    service, mark, revision = cluster.rpartition("-r")
    return (ServiceId(service), int(revision)) if mark and revision.isdecimal() else None


def host_name(component: SurfaceComponent) -> str:
    return f"{component.module}.{component.tenant}.localhost"


def bootstrap(folder: Path, public_port: int, admin_socket: str) -> Document:
    """Return the start configuration; everything that changes comes from files in *folder*.

    *admin_socket* is relative to the working directory of the proxy.
    """
    manager = {
        "@type": f"{_TYPE}envoy.extensions.filters.network.http_connection_manager.v3"
        ".HttpConnectionManager",
        "stat_prefix": "site",
        "codec_type": "AUTO",
        "rds": {
            "route_config_name": ROUTES,
            "config_source": _file(folder / "routes.json"),
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPE}envoy.extensions.filters.http.router.v3.Router"},
            }
        ],
        "use_remote_address": True,
        "server_header_transformation": "PASS_THROUGH",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "stream_idle_timeout": "300s",
    }
    return {
        "node": {"id": "edge", "cluster": "local"},
        "admin": {"address": {"pipe": {"path": admin_socket, "mode": 0o600}}},
        # Histograms are as of the last flush, counters are current.
        "stats_flush_interval": "0.5s",
        "stats_config": {
            "histogram_bucket_settings": [
                {"match": {"prefix": "cluster."}, "buckets": list(LATENCY_BOUNDS_MS)}
            ]
        },
        "dynamic_resources": {"cds_config": _file(folder / "clusters.json")},
        "static_resources": {
            "listeners": [
                {
                    "name": "public",
                    "address": _address(public_port),
                    # Otherwise two Envoys would share the port without an error.
                    "enable_reuse_port": False,
                    "filter_chains": [
                        {
                            "filters": [
                                {
                                    "name": "envoy.filters.network.http_connection_manager",
                                    "typed_config": manager,
                                }
                            ]
                        }
                    ],
                }
            ]
        },
    }


def endpoints(name: str, route: RevisionRoute) -> Document:
    """Return the instances of one cluster. Draining ones get no new requests but are counted."""
    hosts = [
        {
            "endpoint": {"address": _address(port)},
            "health_status": "HEALTHY" if takes_requests else "DRAINING",
        }
        for port, takes_requests in sorted(route.takes_requests.items())
    ]
    resource = {
        "@type": f"{_TYPE}envoy.config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": name,
        "endpoints": [{"lb_endpoints": hosts}],
    }
    return _response([resource])


def clusters(names: Sequence[str], folder: Path) -> Document:
    return _response([_cluster(name, folder) for name in sorted(names)])


def routes(components: Sequence[ComponentRoute]) -> Document:
    """Return the route table of the site; `version_info` is the hash of its content."""
    ordered = sorted(components, key=lambda c: c.component)
    by_name = [_route({"prefix": "/", "headers": [_service_header(c)]}, c) for c in ordered]
    by_path = [
        _route(_path(c.path_prefix), c)
        for c in sorted(ordered, key=lambda c: -len(c.path_prefix or ""))
        if c.path_prefix is not None
    ]
    hosts = [
        {
            "name": c.component.service,
            "domains": [host_name(c.component), f"{host_name(c.component)}:*"],
            "routes": [_route({"prefix": "/"}, c)],
        }
        for c in ordered
    ]
    table = {
        "@type": f"{_TYPE}envoy.config.route.v3.RouteConfiguration",
        "name": ROUTES,
        "virtual_hosts": [
            *hosts,
            {"name": "default", "domains": ["*"], "routes": [*by_name, *by_path]},
        ],
    }
    return _response([table])


def _service_header(route: ComponentRoute) -> Document:
    return {"name": "x-service", "string_match": {"exact": route.component.service}}


def _path(prefix: str) -> Document:
    return {"prefix": "/"} if prefix == "/" else {"path_separated_prefix": prefix.rstrip("/")}


def _route(match: Document, route: ComponentRoute) -> Document:
    if not route.weights:
        body = f"no revision of {route.component.module} receives traffic\n"
        return {
            "match": match,
            "direct_response": {"status": 503, "body": {"inline_string": body}},
        }
    service = route.component.service
    split = [
        {"name": cluster_name(service, revision), "weight": percent}
        for revision, percent in sorted(route.weights.items())
    ]
    return {
        "match": match,
        "route": {
            "weighted_clusters": {"clusters": split},
            "timeout": "0s",
            "retry_policy": {
                # Only requests that never reached the workload, so none is executed twice.
                "retry_on": "reset-before-request,connect-failure",
                "num_retries": RETRIES_MAX,
                "retry_host_predicate": [
                    {
                        "name": "envoy.retry_host_predicates.previous_hosts",
                        "typed_config": {
                            "@type": f"{_TYPE}envoy.extensions.retry.host.previous_hosts.v3"
                            ".PreviousHostsPredicate"
                        },
                    }
                ],
                "host_selection_retry_max_attempts": 3,
            },
        },
    }


def _cluster(name: str, folder: Path) -> Document:
    return {
        "@type": f"{_TYPE}envoy.config.cluster.v3.Cluster",
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": _file(folder / "endpoints" / f"{name}.json")},
        "connect_timeout": "2s",
        "lb_policy": "LEAST_REQUEST",
        # Envoy's default bounds would refuse requests that the workload can still take.
        "circuit_breakers": {"thresholds": [dict.fromkeys(_BOUNDED, BOUND)]},
        # A panic threshold would send requests to instances that are not ready.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_TYPE}envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": f"{IDLE_S}s"},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
        "track_cluster_stats": {"timeout_budgets": False, "request_response_sizes": False},
    }


def _file(path: Path) -> Document:
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}


def _address(port: int) -> Document:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _response(resources: Sequence[Document]) -> Document:
    content = json.dumps(resources, sort_keys=True).encode()
    version = hashlib.sha256(content).hexdigest()[:16]
    return {"version_info": version, "resources": list(resources)}
