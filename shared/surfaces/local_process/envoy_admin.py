"""Queries to the admin port of a running Envoy."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import aiohttp
from yarl import URL

from shared.kernel.ids import ServiceId
from shared.surfaces.errors import TrafficUnavailable
from shared.surfaces.local_process.envoy_config import parse_cluster_name
from shared.surfaces.local_process.metrics import read_traffic
from shared.surfaces.traffic import RevisionTraffic

ADMIN_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)


@dataclass(frozen=True)
class UpstreamHost:
    """One instance as Envoy sees it."""

    takes_requests: bool
    active: int
    """Requests without an answer so far."""


UpstreamHosts = Mapping[str, Mapping[int, UpstreamHost]]
"""By cluster name, then by port."""


class EnvoyAdmin:
    """The admin interface of one Envoy. All queries raise TrafficUnavailable without an answer."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def is_ready(self) -> bool:
        try:
            return (await self._get("ready")).strip() == "LIVE"
        except TrafficUnavailable:
            return False

    async def route_table(self) -> tuple[str, Mapping[ServiceId, Mapping[int, int]]]:
        """Return the version of the route table in force and its weights."""
        dump = json.loads(await self._get("config_dump?resource=dynamic_route_configs"))
        configs = dump.get("configs", [])
        if not configs:
            return "", {}
        weights: dict[ServiceId, dict[int, int]] = {}
        for virtual_host in configs[0]["route_config"]["virtual_hosts"]:
            for route in virtual_host.get("routes", []):
                split = route.get("route", {}).get("weighted_clusters", {}).get("clusters", [])
                for entry in split:
                    if cluster := parse_cluster_name(entry["name"]):
                        service, revision = cluster
                        weights.setdefault(service, {})[revision] = int(entry["weight"])
        return configs[0].get("version_info", ""), weights

    async def weights(self, service: ServiceId) -> Mapping[int, int]:
        """Return the weights in force of *service*, zeros left out."""
        _, weights = await self.route_table()
        return {number: percent for number, percent in weights.get(service, {}).items() if percent}

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
        url = URL(f"http://127.0.0.1:{self._port}/{path}", encoded=True)
        try:
            async with (
                aiohttp.ClientSession(timeout=ADMIN_TIMEOUT) as session,
                session.get(url) as response,
            ):
                text = await response.text()
                if response.status != 200:  # noqa: PLR2004  OK
                    raise TrafficUnavailable(f"Envoy answers {response.status} to {path}")
                return text
        except (aiohttp.ClientError, TimeoutError) as failed:
            raise TrafficUnavailable(f"Envoy does not answer {path}: {failed!r}") from failed


def _host(status: Mapping[str, Any]) -> UpstreamHost:
    stats = {stat["name"]: int(stat.get("value", 0)) for stat in status.get("stats", [])}
    health = status.get("health_status", {}).get("eds_health_status", "HEALTHY")
    return UpstreamHost(takes_requests=health == "HEALTHY", active=stats.get("rq_active", 0))
