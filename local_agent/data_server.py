"""The process of one server that keeps data of an environment: started, found again, ended.

    <site>/servers/<name>/
        setup/       its settings, for the eyes of this start alone
        home/ tmp/   empty at each start
        started      the token of the latest start
        output.log   what it wrote, bounded; order.json, claim- and exit- as of an instance

Its data is a data folder of the environment and outlives it, as it outlives the agent.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local_agent import process_trees, starts
from local_agent.limits import rlimits
from local_agent.process_identity import ProcessIdentity, is_alive
from local_agent.sandbox_means import tried_means
from local_agent.sandbox_order import sandbox_order
from local_agent.server_programs import RESOURCES, server_start
from local_agent.server_readiness import takes_logins
from local_agent.starts import SpawnedProcesses, make_folders, started_token
from local_agent.state_files import SiteFolder, write_atomically
from shared.connections.loopback_ports import taken_because
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Unavailable
from shared.persistence.plain_files import read_plain, remove, write_new
from shared.surfaces.data_servers import LiveServer, ServerSpec
from shared.surfaces.errors import DataMissing, ServerMissing

RESTART_AFTER_S: Final = 1.0
ENDS_WITHIN_S: Final = 10.0
"""It ends its sessions and writes what it has in memory."""
SETTLED_WITHIN_S: Final = 90.0
"""A new PostgreSQL makes its files in 2 s; on a busy disk that was 12 s."""
_LOOK_S: Final = 0.1
_LOG: Final = "output.log"
_LOG_TAIL_BYTES: Final = 4096
_CANNOT: Final = "cannot"
"""The file that says why the latest start was none."""


@dataclass
class DataServer:
    """One server; only the supervisor has it. `folder` is its own, `data` that with its data."""

    folder: Path
    data: Path
    clock: Clock
    entropy: Entropy

    def __post_init__(self) -> None:
        self._processes = SpawnedProcesses()
        self._started_s = float("-inf")
        self._kill_at_s: float | None = None
        self._running: ServerSpec | None = None

    def ensure_running(self, server: ServerSpec) -> None:
        """Start *server* unless it runs; one that an earlier agent started is adopted.

        Looks through the processes and the files of the program, so it runs in a thread.
        """
        now_s = self.clock.monotonic_s()
        if self._find() is not None or now_s - self._started_s < RESTART_AFTER_S:
            return
        self._started_s, self._kill_at_s = now_s, None
        try:
            self._start(server)
        except (ServerMissing, DataMissing) as missing:
            self._note(missing.message)
        except OSError as failed:
            self._note(failed.strerror or str(failed))

    def stop(self) -> bool:
        """End the server, and kill one that does not; return whether it has ended."""
        identity = self._find()
        if identity is None:
            if token := started_token(self.folder):
                self._processes.end(self.folder, token)
            return True
        now_s = self.clock.monotonic_s()
        self._kill_at_s = self._kill_at_s or now_s + ENDS_WITHIN_S
        (process_trees.kill if now_s >= self._kill_at_s else process_trees.terminate)(identity)
        return False

    def _find(self) -> ProcessIdentity | None:
        token = started_token(self.folder)
        return self._processes.find(self.folder, token) if token else None

    def _start(self, server: ServerSpec) -> None:
        """Raises ServerMissing, DataMissing, OSError."""
        setup = self.folder / "setup"
        start = server_start(server, self.data, setup)
        if not self.data.is_dir() or self.data.is_symlink():
            raise DataMissing(f"data folder {server.name} is not there: put it back")
        if taken := taken_because(server.port):
            raise OSError(0, f"port {server.port} is taken: {taken}")
        if token := started_token(self.folder):
            # What its session left would write to the same data.
            self._processes.end(self.folder, token)
        self.folder.mkdir(parents=True, exist_ok=True)
        starts.delete_starts(self.folder)
        for name in ("home", "tmp", "root", "setup", _CANNOT):
            remove(self.folder / name)
        make_folders(self.folder)
        setup.mkdir(mode=0o700)
        for name, content in start.files.items():
            write_new(setup / name, content.encode())
        token = self.entropy.uuid().hex
        write_atomically(self.folder / starts.STARTED, token.encode())
        in_force = tried_means()
        sandbox = sandbox_order(
            in_force,
            self.folder,
            token,
            owned=[self.folder / "home", self.folder / "tmp"],
            given=[setup],
            readable=start.readable,
            data=[self.data],
            port=server.port,
        )
        home, tmp = str(self.folder / "home"), str(self.folder / "tmp")
        pid = starts.spawn(
            self.folder,
            token,
            ["/bin/sh", "-c", start.script],
            environ={
                "PATH": "/usr/bin:/bin",
                "LANG": "C.UTF-8",
                "HOME": home,
                "TMPDIR": tmp,
                **start.environ,
            },
            workdir=self.folder / "home",
            output=self.folder / _LOG,
            limits=rlimits(RESOURCES, in_force),
            sandbox=sandbox,
        )
        self._processes.add(token, pid)

    def _note(self, problem: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / _CANNOT, problem.encode(), is_durable=False)


def live_server(folder: Path, server: ServerSpec) -> LiveServer:
    """Return what *server*, whose own folder is *folder*, is now: Ready, Starting or why not."""
    with suppress(OSError):
        problem = read_plain(folder / _CANNOT, at_most=_LOG_TAIL_BYTES).decode(errors="replace")
        return LiveServer(server.name, server.kind, server.port, "CannotStart", problem)
    token = started_token(folder)
    identity = starts.read_claim(starts.claim_file(folder, token)) if token else None
    if identity is None:
        return LiveServer(server.name, server.kind, server.port, "Starting")
    if not is_alive(identity):
        return LiveServer(server.name, server.kind, server.port, "Exited", _last_line(folder))
    reason = "Ready" if takes_logins(server.kind, server.port) else "Starting"
    return LiveServer(server.name, server.kind, server.port, reason)


def live_servers(site: SiteFolder, servers: Sequence[ServerSpec]) -> tuple[LiveServer, ...]:
    """Return what each of *servers* of *site* is now."""
    return tuple(live_server(site.server(server.name), server) for server in servers)


async def settled_servers(site: SiteFolder, wanted: Sequence[ServerSpec], clock: Clock) -> None:
    """Wait until the servers of *site* take logins, and those that are not *wanted* have ended.

    Raises:
        Unavailable: one is late, and why.
    """
    deadline_s = clock.monotonic_s() + SETTLED_WITHIN_S
    while problem := await asyncio.to_thread(_unsettled_server, site, wanted):
        if clock.monotonic_s() >= deadline_s:
            raise Unavailable(problem, retry_after_s=2.0)
        await clock.sleep(_LOOK_S)


def _unsettled_server(site: SiteFolder, wanted: Sequence[ServerSpec]) -> str:
    """Return what is not as *wanted* of the servers of *site*; empty once all of it is."""
    for live in live_servers(site, wanted):
        if not live.is_ready:
            why = f": {live.message}" if live.message else ""
            return f"server {live.name} is {live.reason}{why}"
    names = {path.name for path in site.path.glob("servers/*")}
    left = names - {server.name for server in wanted}
    return f"server {min(left)} is still stopping" if left else ""


def _last_line(folder: Path) -> str:
    written: Sequence[str] = ()
    with suppress(OSError):
        tail = read_plain(folder / _LOG, at_most=_LOG_TAIL_BYTES)
        written = tail.decode(errors="replace").splitlines()
    return written[-1] if written else f"its output is {folder / _LOG}"
