"""Parts of Envoy's configuration that every proxy of ours has, in the form of its v3 API.

What changes while a proxy runs comes from files (`file_source`), which are replaced by rename.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

Document = Mapping[str, Any]
TYPE: Final = "type.googleapis.com/"
RETRIES_MAX: Final = 2
BOUND: Final = 4096
_BOUNDED: Final = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
IDLE_S: Final = 1
"""Envoy closes upstream connections that are idle for longer. It is below the keep-alive of common
servers (uvicorn 5 s, gunicorn 2 s), so a server never closes one that a request is about to use."""


def listener(name: str, host: str, port: int, routes: str, routes_file: Path) -> Document:
    """Return a listener whose requests follow the table *routes* in *routes_file*."""
    by_file = {"route_config_name": routes, "config_source": file_source(routes_file)}
    return _listener(name, host, port, {"rds": by_file})


def fixed_listener(name: str, host: str, port: int, table: Document) -> Document:
    """Return a listener whose requests always follow *table*."""
    return _listener(name, host, port, {"route_config": table})


def _listener(name: str, host: str, port: int, routes: Document) -> Document:
    manager = {
        "@type": f"{TYPE}envoy.extensions.filters.network.http_connection_manager.v3"
        ".HttpConnectionManager",
        "stat_prefix": "site",
        "codec_type": "AUTO",
        **routes,
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{TYPE}envoy.extensions.filters.http.router.v3.Router"},
            }
        ],
        "use_remote_address": True,
        "server_header_transformation": "PASS_THROUGH",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "stream_idle_timeout": "300s",
    }
    filters = [
        {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager},
    ]
    return {
        "name": name,
        "address": socket_address(host, port),
        # Otherwise two Envoys would share the port without an error.
        "enable_reuse_port": False,
        "filter_chains": [{"filters": filters}],
    }


def weighted_route(
    match: Document, weights: Mapping[str, int], retries: int = RETRIES_MAX
) -> Document:
    """Return a route of requests that *match* to clusters, by their *weights*."""
    split = [{"name": name, "weight": weight} for name, weight in weights.items()]
    return {
        "match": match,
        "route": {
            "weighted_clusters": {"clusters": split},
            "timeout": "0s",
            "retry_policy": {
                # Only requests that never reached the workload, so none is executed twice.
                "retry_on": "reset-before-request,connect-failure",
                "num_retries": retries,
                "retry_host_predicate": [
                    {
                        "name": "envoy.retry_host_predicates.previous_hosts",
                        "typed_config": {
                            "@type": f"{TYPE}envoy.extensions.retry.host.previous_hosts.v3"
                            ".PreviousHostsPredicate"
                        },
                    }
                ],
                "host_selection_retry_max_attempts": 5,
            },
        },
    }


def refusal(match: Document, status: int, body: str) -> Document:
    """Return a route that answers requests that *match* itself."""
    answer = {"status": status, "body": {"inline_string": body}}
    return {"match": match, "direct_response": answer}


def prefix_match(prefix: str) -> Document:
    """Return the match of paths below *prefix*, by whole parts."""
    return {"prefix": "/"} if prefix == "/" else {"path_separated_prefix": prefix.rstrip("/")}


def route_table(
    name: str, virtual_hosts: Sequence[Document], *, ignores_port: bool = False
) -> Document:
    """Return a table by host; with *ignores_port* a port in a request's host says nothing."""
    table = {
        "@type": f"{TYPE}envoy.config.route.v3.RouteConfiguration",
        "name": name,
        "virtual_hosts": list(virtual_hosts),
    }
    ignored = {"ignore_port_in_host_matching": True} if ignores_port else {}
    return response([{**table, **ignored}])


def cluster(name: str, endpoints_file: Path) -> Document:
    """Return the cluster *name*, whose instances are in *endpoints_file*."""
    return {
        "@type": f"{TYPE}envoy.config.cluster.v3.Cluster",
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": file_source(endpoints_file)},
        "connect_timeout": "2s",
        "lb_policy": "LEAST_REQUEST",
        # Envoy's default bounds would refuse requests that the workload can still take.
        "circuit_breakers": {"thresholds": [dict.fromkeys(_BOUNDED, BOUND)]},
        # A panic threshold would send requests to instances that are not ready.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{TYPE}envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": f"{IDLE_S}s"},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
        "track_cluster_stats": {"timeout_budgets": False, "request_response_sizes": False},
    }


def backend(namespace: str, service: str, port: int | str) -> str:
    """Return the name of the cluster of a Service's port; a dot would end the name in counters."""
    return f"{namespace}_{service}_{port}"


def endpoints(name: str, instances: Iterable[tuple[str, int, bool]]) -> Document:
    """Return the instances of a cluster: host, port, and whether it takes new requests."""
    hosts = [
        {
            "endpoint": {"address": socket_address(host, port)},
            "health_status": "HEALTHY" if takes_requests else "DRAINING",
        }
        for host, port, takes_requests in instances
    ]
    resource = {
        "@type": f"{TYPE}envoy.config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": name,
        "endpoints": [{"lb_endpoints": hosts}],
    }
    return response([resource])


def admin(socket: str) -> Document:
    """Return the place of the admin interface; *socket* is relative to the working directory."""
    return {"address": {"pipe": {"path": socket, "mode": 0o600}}}


def file_source(path: Path) -> Document:
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}


def socket_address(host: str, port: int) -> Document:
    return {"socket_address": {"address": host, "port_value": port}}


def response(resources: Sequence[Document]) -> Document:
    """Return the content of a file; `version_info` is the hash of *resources*."""
    content = json.dumps(resources, sort_keys=True).encode()
    version = hashlib.sha256(content).hexdigest()[:16]
    return {"version_info": version, "resources": list(resources)}
