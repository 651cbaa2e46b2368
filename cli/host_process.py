"""The host as a process of this machine: started apart from the command, found again, stopped.

It outlives the command that started it, writes to a file, and is known by pid, start time and
boot, so that `down` never stops a stranger.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.client import Client, HostAway
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.state_folder import REPOSITORY, Place, read_json, write_private
from shared.kernel.clock import Clock, isoformat
from shared.kernel.entropy import Entropy
from shared.surfaces.local_process import processes
from shared.surfaces.local_process.processes import Identity

READY_WITHIN_S: Final = 30.0
"""It takes 2 s; a starved machine may need longer."""
STOPPED_WITHIN_S: Final = 15.0
_LOOK_EVERY_S: Final = 0.05
_ALIVE: Final = "/v1/platform/environments/alive"
_TAIL_LINES: Final = 15


@dataclass(frozen=True)
class RunningHost:
    """A host that was started from here."""

    identity: Identity
    port: int
    url: str
    started_at: str

    @property
    def pid(self) -> int:
        return self.identity.pid


def find_host(place: Place) -> RunningHost | None:
    """Return the host of *place* if exactly that process lives."""
    said = read_json(place.host_file)
    if said is None:
        return None
    identity = Identity(said["pid"], said["ticks"], said["boot"], said["token"])
    processes.reap(identity.pid)
    if not processes.is_alive(identity):
        return None
    return RunningHost(identity, said["port"], said["url"], said["startedAt"])


def start_host(
    place: Place, port: int, clock: Clock, entropy: Entropy, apps: Sequence[Path] = (REPOSITORY,)
) -> RunningHost:
    """Start a host detached and return it when it answers.

    Raises:
        Failure: the port is taken, it ended at once, or it does not come up; names the log.
    """
    place.prepare()
    port = _usable(port)
    token = entropy.uuid().hex
    for old in place.own.glob("claim-*"):
        old.unlink(missing_ok=True)
    claim = place.own / f"claim-{token}"
    began_s = clock.monotonic_s()
    pid = processes.start(
        place.own / "order.json",
        token=token,
        claim=claim,
        folder=REPOSITORY,
        command=[
            sys.executable, "-m", "local_host", *(str(app) for app in apps),
            "--port", str(port), "--state", str(place.state),
            # Histories and administration of every tenant are behind the host's own keys.
            "--auth",
        ],
        environ=_environ(port),
        output=place.host_log,
        limits={},
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    _until_ready(place, pid, url, clock, began_s)
    identity = processes.read_claim(claim)
    if identity is None:
        raise _not_up(place, "it answers, but did not say who it is")
    host = RunningHost(identity, port, url, isoformat(clock.now()))
    write_private(
        place.host_file,
        {
            "pid": identity.pid,
            "ticks": identity.ticks,
            "boot": identity.boot,
            "token": token,
            "port": port,
            "url": url,
            "startedAt": host.started_at,
        },
    )
    return host


def stop_host(place: Place, clock: Clock) -> int | None:
    """Ask the host to stop, insist after a while; return its pid, None when none ran."""
    host = find_host(place)
    if host is None:
        return None
    processes.terminate(host.identity)
    deadline_s = clock.monotonic_s() + STOPPED_WITHIN_S
    while find_host(place) is not None and clock.monotonic_s() < deadline_s:
        pause(clock, _LOOK_EVERY_S)
    processes.kill(host.identity)
    processes.reap(host.pid)
    return host.pid


def kill_host(place: Place, clock: Clock) -> RunningHost:
    """End the host with SIGKILL, as a crash does, and return what it was.

    Raises:
        Failure: none runs.
    """
    host = find_host(place)
    if host is None:
        raise Failure("no host runs here", ExitCode.UNAVAILABLE, code="HostAway")
    with suppress(ProcessLookupError):
        os.kill(host.pid, signal.SIGKILL)
    while find_host(place) is not None:
        pause(clock, _LOOK_EVERY_S)
    return host


def stop_workloads(place: Place, clock: Clock) -> int:
    """Stop every workload and proxy of *place*; return how many there were."""
    from shared.surfaces.local_process.shutdown import stop_everything  # noqa: PLC0415

    if not place.surface.exists():
        return 0
    return asyncio.run(stop_everything(place.surface, clock))


def pause(clock: Clock, seconds: float) -> None:
    """Wait, by the clock that everything here uses."""
    asyncio.run(clock.sleep(seconds))


def log_tail(path: Path, lines: int = _TAIL_LINES) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []


def _environ(port: int) -> Mapping[str, str]:
    defaults = {
        # As the real host does: apps that ask each other find each other here.
        "WEBSITE_HOSTNAME": f"127.0.0.1:{port}",
        "RUNTIME_TASK_HUB": "FactoryRuntime",
        "RUNTIME_PROFILE": "local",
        "PYTHONUNBUFFERED": "1",
    }
    return {**defaults, **os.environ}


def _usable(port: int) -> int:
    """Return *port*, or a free one for 0; refuse one that somebody listens on."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as taken:
            raise Failure(
                f"port {port} is taken: {taken.strerror}",
                ExitCode.CONFLICT,
                fix="choose another: `runtimectl up --port 7072`, or any free one: `--port 0`",
            ) from taken
        found: int = probe.getsockname()[1]
        return found


def _until_ready(place: Place, pid: int, url: str, clock: Clock, began_s: float) -> None:
    client = Client(url, None)
    why = ""
    while not why and not (answer := _answers(client)):
        pause(clock, _LOOK_EVERY_S)
        if processes.reap(pid) is not None:
            why = "it ended at once"
        elif answer is None:
            why = "its services do not run"
        elif clock.monotonic_s() - began_s > READY_WITHIN_S:
            why = f"it did not answer within {READY_WITHIN_S:.0f} s"
    client.close()
    if why:
        # What does not come up is not left behind, unrecorded.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        processes.reap(pid)
        raise _not_up(place, why)


def _answers(client: Client) -> bool | None:
    """Return whether the services answer; None when the host does and they never will."""
    try:
        client.get(_ALIVE)
    except HostAway:
        return False
    except Failure as failed:
        return None if failed.exit_code is ExitCode.NOT_FOUND else False
    return True


def _not_up(place: Place, why: str) -> Failure:
    said = "\n".join(f"  | {line}" for line in log_tail(place.host_log))
    return Failure(
        f"the host did not start: {why}\n{said}",
        ExitCode.UNAVAILABLE,
        fix=f"read {place.host_log}; correct what it names; `runtimectl up`",
    )
