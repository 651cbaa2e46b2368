"""Queries to the admin socket of a running Envoy: its state, and its counters of requests.

The socket is a file, in a folder that no workload reaches: whoever has it can end the proxy.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiohttp
from yarl import URL

from local_agent.envoy_config import parse_cluster_name, weights_in
from shared.kernel.clock import Clock
from shared.kernel.ids import ServiceId
from shared.persistence.unix_sockets import short_name
from shared.surfaces import envoy_counters
from shared.surfaces.errors import TrafficUnavailable
from shared.surfaces.traffic import RevisionTraffic

ADMIN_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)
SOCKET: Final = "admin.sock"
_POLL_INTERVAL_S: Final = 0.01


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
        weights = weights_in(configs[0]["route_config"])
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
        pattern = quote(envoy_counters.pattern(rf"{service}-r[0-9]+"))
        text = await self._get(f"{envoy_counters.PATH}?filter={pattern}")
        return envoy_counters.read(text, _revision)

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


def _revision(cluster: str) -> int | None:
    parsed = parse_cluster_name(cluster)
    return parsed[1] if parsed else None


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
