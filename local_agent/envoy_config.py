"""Envoy's configuration for one site, as pure functions of its routes.

Each revision is a cluster, so Envoy counts requests per revision. A request reaches its component
by `Host: <module>.<tenant>.localhost`, by the header `x-service: <service id>`, or by the longest
path prefix that a component declares. Paths are those of the site's owner: a host name of a
component that is not there is not answered by them. Field names are those of Envoy's v3 API.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.connections import envoy_documents
from shared.connections.envoy_documents import Document
from shared.kernel.ids import ServiceId
from shared.surfaces import envoy_counters
from shared.surfaces.spec import SurfaceComponent

_ADDRESS: Final = "127.0.0.1"
ROUTES: Final = "site"
_HOST_OF_A_COMPONENT: Final = r"(?i)module-[^.]+\.[^.]+\.localhost\.?(:[0-9]+)?"
"""What `host_name` gives, in any case, also with the dot of a full name and with a port."""


@dataclass(frozen=True)
class RevisionRoute:
    """One revision with the ports of its instances; False for an instance that drains."""

    revision: int
    takes_requests: Mapping[int, bool]


@dataclass(frozen=True)
class ComponentRoute:
    """One component with its weights; without weights its requests get a 503 with the reason.

    Also one that has no revision for the moment.
    """

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
    public = envoy_documents.listener(
        "public", _ADDRESS, public_port, ROUTES, folder / "routes.json"
    )
    return {
        "node": {"id": "edge", "cluster": "local"},
        "admin": envoy_documents.admin(admin_socket),
        **envoy_counters.counting(),
        "dynamic_resources": {"cds_config": envoy_documents.file_source(folder / "clusters.json")},
        "static_resources": {"listeners": [public]},
    }


def endpoints(name: str, route: RevisionRoute) -> Document:
    """Return the instances of one cluster. Draining ones get no new requests but are counted."""
    ports = sorted(route.takes_requests.items())
    return envoy_documents.endpoints(name, [(_ADDRESS, port, takes) for port, takes in ports])


def clusters(names: Sequence[str], folder: Path) -> Document:
    return envoy_documents.response(
        [
            envoy_documents.cluster(name, folder / "endpoints" / f"{name}.json")
            for name in sorted(names)
        ]
    )


def routes(components: Sequence[ComponentRoute]) -> Document:
    """Return the route table of the site; `version_info` is the hash of its content."""
    ordered = sorted(components, key=lambda c: c.component)
    by_name = [_route({"prefix": "/", "headers": [_service_header(c)]}, c) for c in ordered]
    by_path = [
        _route(envoy_documents.prefix_match(c.path_prefix), c)
        # The first that fits has the path: one that is gone is not before another one with it.
        for c in sorted(ordered, key=lambda c: (-len(c.path_prefix or ""), not c.weights))
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
    default = {
        "name": "default",
        "domains": ["*"],
        "routes": [*by_name, _no_component_of_that_host(), *by_path],
    }
    return envoy_documents.route_table(ROUTES, [*hosts, default])


def _no_component_of_that_host() -> Document:
    """Return the refusal of host names that were a guest's, whose requests are not the owner's."""
    host = {"name": ":authority", "string_match": {"safe_regex": {"regex": _HOST_OF_A_COMPONENT}}}
    match = {"prefix": "/", "headers": [host]}
    return envoy_documents.refusal(match, 404, "no component has this host name\n")


def _service_header(route: ComponentRoute) -> Document:
    return {"name": "x-service", "string_match": {"exact": route.component.service}}


def _route(match: Document, route: ComponentRoute) -> Document:
    if not route.weights:
        body = f"no revision of {route.component.module} receives traffic\n"
        return envoy_documents.refusal(match, 503, body)
    service = route.component.service
    weights = {cluster_name(service, each): n for each, n in sorted(route.weights.items())}
    # Its name says whose it is, also where somebody turned its requests elsewhere.
    return {**envoy_documents.weighted_route(match, weights), "name": service}


def weights_in(table: Document) -> Mapping[ServiceId, Mapping[int, int]]:
    """Return the weights that each component has in its own routes of *table*, zeros left out.

    Where its routes differ, as somebody changed one of them, the least of each revision.
    """
    weights: dict[ServiceId, dict[int, int]] = {}
    for route in (each for host in table["virtual_hosts"] for each in host.get("routes", [])):
        split = route.get("route", {}).get("weighted_clusters", {}).get("clusters", [])
        found = [(parse_cluster_name(each["name"]), int(each["weight"])) for each in split]
        own = ServiceId(route.get("name") or next((each[0] for each, _ in found if each), ""))
        if not own:
            continue
        here = {each[1]: percent for each, percent in found if each and each[0] == own}
        before = weights.setdefault(own, here)
        weights[own] = {n: min(before.get(n, 0), here.get(n, 0)) for n in {*before, *here}}
    return {
        service: {n: percent for n, percent in split.items() if percent}
        for service, split in weights.items()
    }
