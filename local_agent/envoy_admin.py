"""Queries to the admin socket of a running Envoy: its state, and its counters of requests.

The socket is a file, in a folder that no workload reaches: whoever has it can end the proxy.
"""

import json
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiohttp
from yarl import URL

from local_agent.envoy_config import parse_cluster_name
from shared.kernel.clock import Clock
from shared.kernel.ids import ServiceId
from shared.persistence.unix_sockets import short_name
from shared.surfaces.errors import TrafficUnavailable
from shared.surfaces.traffic import LATENCY_BOUNDS_MS, Histogram, RevisionTraffic

ADMIN_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)
SOCKET: Final = "admin.sock"
_POLL_INTERVAL_S: Final = 0.01
_SAMPLE: Final = re.compile(r"^(envoy_cluster_\w+)\{([^}]*)\} (\d+)", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')
_NO_ANSWER: Final = (
    "envoy_cluster_upstream_cx_connect_fail",
    "envoy_cluster_upstream_rq_rx_reset",
    "envoy_cluster_upstream_rq_timeout",
)
_INFINITE: Final = "+Inf"


@dataclass(frozen=True)
class UpstreamHost:
    """One instance as Envoy sees it."""

    takes_requests: bool
    active: int
    """Requests without an answer so far."""


UpstreamHosts = Mapping[str, Mapping[int, UpstreamHost]]
"""By cluster name, then by port."""


class EnvoyAdmin:
    """The admin interface of the Envoy in the folder *edge*.

    All queries raise TrafficUnavailable without an answer.
    """

    def __init__(self, edge: Path) -> None:
        self._socket = edge / SOCKET

    async def is_ready(self) -> bool:
        try:
            return (await self._get("ready")).strip() == "LIVE"
        except TrafficUnavailable:
            return False

    async def route_table(self) -> tuple[str, Mapping[ServiceId, Mapping[int, int]]]:
        """Return the version of the route table in force and its weights, zeros left out."""
        dump = json.loads(await self._get("config_dump?resource=dynamic_route_configs"))
        configs = dump.get("configs", [])
        if not configs:
            return "", {}
        weights: dict[ServiceId, dict[int, int]] = {}
        for virtual_host in configs[0]["route_config"]["virtual_hosts"]:
            for route in virtual_host.get("routes", []):
                split = route.get("route", {}).get("weighted_clusters", {}).get("clusters", [])
                for entry in split:
                    cluster, percent = parse_cluster_name(entry["name"]), int(entry["weight"])
                    if cluster and percent:
                        service, revision = cluster
                        weights.setdefault(service, {})[revision] = percent
        return configs[0].get("version_info", ""), weights

    async def weights(self, service: ServiceId) -> Mapping[int, int]:
        """Return the weights in force of *service*, zeros left out."""
        _, weights = await self.route_table()
        return weights.get(service, {})

    async def hosts(self) -> UpstreamHosts:
        """Return the instances of each warm cluster."""
        status = json.loads(await self._get("clusters?format=json"))
        return {
            cluster["name"]: {
                host["address"]["socket_address"]["port_value"]: _host(host)
                for host in cluster.get("host_statuses", [])
            }
            for cluster in status.get("cluster_statuses", [])
        }

    async def traffic(self, service: ServiceId) -> Mapping[int, RevisionTraffic]:
        pattern = quote(rf"^cluster\.{service}-r[0-9]+\.upstream_(rq|cx_connect_fail)")
        return read_traffic(await self._get(f"stats/prometheus?filter={pattern}"))

    async def _get(self, path: str) -> str:
        url = URL(f"http://envoy/{path}", encoded=True)
        try:
            with short_name(self._socket) as socket:
                connector = aiohttp.UnixConnector(socket)
                async with (
                    aiohttp.ClientSession(connector=connector, timeout=ADMIN_TIMEOUT) as session,
                    session.get(url) as response,
                ):
                    text = await response.text()
        except (aiohttp.ClientError, TimeoutError, OSError) as failed:
            raise TrafficUnavailable(f"Envoy does not answer {path}: {failed!r}") from failed
        if response.status != 200:  # noqa: PLR2004  OK
            raise TrafficUnavailable(f"Envoy answers {response.status} to {path}")
        return text


def _host(status: Mapping[str, Any]) -> UpstreamHost:
    stats = {stat["name"]: int(stat.get("value", 0)) for stat in status.get("stats", [])}
    health = status.get("health_status", {}).get("eds_health_status", "HEALTHY")
    return UpstreamHost(takes_requests=health == "HEALTHY", active=stats.get("rq_active", 0))


async def wait_until(
    is_shown: Callable[[], Awaitable[bool]], clock: Clock, within_s: float, otherwise: str
) -> None:
    """Return when *is_shown* holds.

    Raises:
        TrafficUnavailable: it did not hold within *within_s*; *otherwise* is the message.
    """
    deadline_s = clock.monotonic_s() + within_s
    while not await is_shown():
        if clock.monotonic_s() > deadline_s:
            raise TrafficUnavailable(otherwise, retry_after_s=2.0)
        await clock.sleep(_POLL_INTERVAL_S)


def read_traffic(text: str) -> Mapping[int, RevisionTraffic]:
    """Return the counters by revision; *text* has the clusters of one component."""
    counters: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    buckets: dict[int, dict[str, int]] = defaultdict(dict)
    for match in _SAMPLE.finditer(text):
        name, labels, value = match[1], dict(_LABEL.findall(match[2])), int(match[3])
        cluster = parse_cluster_name(labels.get("envoy_cluster_name", ""))
        if cluster is None:
            continue
        _, revision = cluster
        if name == "envoy_cluster_upstream_rq_time_bucket":
            buckets[revision][labels["le"]] = value
        elif name == "envoy_cluster_upstream_rq_xx":
            counters[revision][f"{labels['envoy_response_code_class']}xx"] += value
        else:
            counters[revision][name] += value
    return {revision: _traffic(counts, buckets[revision]) for revision, counts in counters.items()}


def _traffic(counters: Mapping[str, int], buckets: Mapping[str, int]) -> RevisionTraffic:
    classes = {c: n for c, n in counters.items() if c.endswith("xx") and c[0].isdigit()}
    return RevisionTraffic(
        requests=sum(classes.values()),
        by_class=classes,
        no_answer=sum(counters.get(name, 0) for name in _NO_ANSWER),
        retries=counters.get("envoy_cluster_upstream_rq_retry", 0),
        latency=_histogram(buckets),
    )


def _histogram(cumulative: Mapping[str, int]) -> Histogram:
    """Return Envoy's cumulative buckets as counts per bucket; `bootstrap` gave it the bounds."""
    by_bound = {float(le): count for le, count in cumulative.items() if le != _INFINITE}
    counts, below = [], 0
    for bound in LATENCY_BOUNDS_MS:
        cumulated = by_bound.get(bound, below)
        counts.append(cumulated - below)
        below = cumulated
    counts.append(cumulative.get(_INFINITE, below) - below)
    return Histogram(LATENCY_BOUNDS_MS, tuple(counts))
