"""Starts the host of a state folder, and waits until it answers."""

import os
import re
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from cli.client import Client, HostUnreachable
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.host_process import HostProcess, end_instances, kill, log_size, log_tail, pause
from cli.host_settings import RECORDED, settings_in
from cli.interruption import interruptions_held
from cli.state_folder import REPOSITORY, StateFolder, write_private
from local_agent import process_trees, starts
from local_agent.process_identity import reap
from shared.connections.loopback_ports import free_port, taken_because
from shared.kernel.clock import Clock, isoformat
from shared.kernel.entropy import Entropy, SystemEntropy

READY_WITHIN_S: Final = 60.0
"""It takes 2 s; a starved machine may need longer."""
APPS_READY_WITHIN_S: Final = 90.0
"""Each process of an app takes 3 s of a core."""
_REFUSED: Final = re.compile(r"\bInvalidSetting: (.+)")
"""A line of the log of a host whose settings are refused; what stands around it is of its code."""
_NO_SERVICES: Final = "its services do not run"
_POLL_INTERVAL_S: Final = 0.05
INSTANCES: Final = "/admin/instances"
"""Of a front end: its processes."""
_ALIVE: Final = "/v1/platform/environments/alive"


@dataclass(frozen=True)
class HostProgram:
    """The module that `up` starts, and what it is told besides port and state folder."""

    module: str
    arguments: tuple[str, ...]
    processes_per_app: int = 0


def start_host(
    folder: StateFolder, program: HostProgram, port: int, clock: Clock, entropy: Entropy
) -> HostProcess:
    """Start *program* in a session of its own, and return it when it answers.

    Raises:
        Failure: the port is in use, or the host did not start; the message has its last output.
    """
    end_instances(folder)
    port = _resolve_port(port)
    token = entropy.uuid().hex
    starts.delete_starts(folder.private)
    start = _Start(
        folder, f"http://127.0.0.1:{port}", token, clock.monotonic_s(), log_size(folder.host_log)
    )
    with interruptions_held() as held:
        pid = starts.spawn(
            folder.private,
            token,
            [
                sys.executable, "-m", program.module, *program.arguments,
                "--port", str(port), "--state", str(folder.path),
            ],
            environ=environ_of_host(port),
            workdir=REPOSITORY,
            output=folder.host_log,
            limits={},
        )  # fmt: skip
    try:
        for number in held:
            signal.raise_signal(number)
        start.wait(pid, clock, is_joined=bool(program.processes_per_app))
        return start.record(port, clock)
    except KeyboardInterrupt:
        # Nobody else could end it: it has no record yet.
        _end(pid, token)
        raise


def _end(pid: int, token: str) -> None:
    """Kill our child *pid* and what it started, and wait for its end."""
    kill(pid)
    process_trees.kill_by_token({token})
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)


@dataclass(frozen=True)
class _Start:
    """A host that starts: it logs behind the first *logged* bytes."""

    folder: StateFolder
    url: str
    token: str
    started_s: float
    logged: int

    def wait(self, pid: int, clock: Clock, *, is_joined: bool) -> None:
        """Wait until the host answers, one that *is_joined* with its instances. Raises Failure."""
        is_ready = _has_instances if is_joined else _has_services
        give_up_at_s = self.started_s + (APPS_READY_WITHIN_S if is_joined else READY_WITHIN_S)
        client = Client(self.url, None)
        reason = ""
        while not reason and not (answers := is_ready(client)):
            pause(clock, _POLL_INTERVAL_S)
            if reap(pid) is not None:
                reason = "it ended at once"
            elif answers is None:
                reason = _NO_SERVICES
            elif clock.monotonic_s() > give_up_at_s:
                reason = "it did not answer in time"
        client.close()
        if reason:
            _end(pid, self.token)
            raise self._failed(reason)

    def record(self, port: int, clock: Clock) -> HostProcess:
        """Write down which process it is, for the commands after this one. Raises Failure."""
        identity = starts.read_claim(starts.claim_file(self.folder.private, self.token))
        if identity is None:
            raise self._failed("it answers, but has no claim")
        host = HostProcess(identity, port, self.url, isoformat(clock.now()))
        write_private(
            self.folder.host_file,
            {
                "pid": identity.pid,
                "ticks": identity.ticks,
                "boot": identity.boot,
                "token": self.token,
                "port": port,
                "url": self.url,
                "startedAt": host.started_at,
                RECORDED: list(settings_in(os.environ)),
            },
        )
        return host

    def _failed(self, reason: str) -> Failure:
        """Return the failure, with what this start has written.

        A host that answers and has no services refused its settings: the next start does so too.
        """
        lines = log_tail(self.folder.host_log, self.logged)
        if refused := dict.fromkeys(found[1] for found in map(_REFUSED.search, lines) if found):
            return Failure(
                f"the host did not start: {'; '.join(refused)}",
                ExitCode.REFUSED,
                code="InvalidSetting",
            )
        output = "\n".join(f"  | {line}" for line in lines)
        return Failure(
            f"the host did not start: {reason}\n{output}",
            ExitCode.REFUSED if reason == _NO_SERVICES else ExitCode.UNAVAILABLE,
            remedy=f"read {self.folder.host_log}; correct what it names; `runtimectl up`",
        )


def environ_of_host(port: int) -> Mapping[str, str]:
    """Return the environ of a host on *port*; what the caller's own says comes first."""
    defaults = {
        # As in Azure; the apps find each other at this address.
        "WEBSITE_HOSTNAME": f"127.0.0.1:{port}",
        "RUNTIME_PROFILE": "local",
        "PYTHONUNBUFFERED": "1",
    }
    return {**defaults, **os.environ}


def _resolve_port(port: int) -> int:
    """Return *port*, or a free one for 0; refuse a port that is in use."""
    if port == 0:
        return free_port(SystemEntropy())
    if because := taken_because(port):
        raise Failure(
            f"port {port} is in use: {because}",
            ExitCode.CONFLICT,
            remedy="choose another: `runtimectl up --port 7072`, or any free one: `--port 0`",
        )
    return port


def _has_instances(client: Client) -> bool:
    """Return whether the front end answers, and has a ready instance of each app."""
    try:
        listed = client.get(INSTANCES).body["value"]
    except Failure:
        return False
    return {each["app"] for each in listed} == {each["app"] for each in listed if each["isReady"]}


def _has_services(client: Client) -> bool | None:
    """Return whether the services answer; None when the host does, and has no services."""
    try:
        client.get(_ALIVE)
    except HostUnreachable:
        return False
    except Failure as failure:
        return None if failure.exit_code is ExitCode.NOT_FOUND else False
    return True
