"""Readiness and liveness probes of the instances of this machine, as in Kubernetes."""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Final

import aiohttp

from local_agent.controller_context import ControllerContext
from local_agent.state_files import InstanceRecord
from shared.connections.bounded_body import PLAIN, BodyTooLong, read_bounded
from shared.surfaces.spec import CommandProbe, HttpProbe, Probe, RevisionSpec, TcpProbe

PASSES_BELOW: Final = 400
_PATH_SHOWN: Final = 200
WORKER_READY_AFTER_S: Final = 1.0
"""A worker has no port to probe: it counts as started when it has run for this long."""
_CONNECTION: Final = TcpProbe(period_s=0.2, timeout_s=1.0)
"""What decides where a spec has no readiness probe."""


def probe_session() -> aiohttp.ClientSession:
    """Return a session for the probes of all instances, which wait for no others of them.

    Each instance has two at most, and the time of a probe counts from its connection on.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )


async def send_probe(session: aiohttp.ClientSession, port: int, probe: Probe) -> str:
    """Return why *port* of this machine does not pass *probe*, in words; empty when it passes.

    *session* does not unpack: an answer without an end does not pass. The words have nothing that
    the workload wrote but its status.
    """
    assert not isinstance(probe, CommandProbe)  # the plan has refused it
    question = (
        f"GET {probe.path[:_PATH_SHOWN]}" if isinstance(probe, HttpProbe) else "the connection"
    )
    try:
        async with asyncio.timeout(probe.timeout_s):
            if not isinstance(probe, HttpProbe):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return ""
            url = f"http://127.0.0.1:{port}{probe.path}"
            async with session.get(url, headers=PLAIN, allow_redirects=False) as response:
                await read_bounded(response)
                is_passed = response.status < PASSES_BELOW
                return "" if is_passed else f"{question} answered {response.status}"
    except TimeoutError:
        return f"{question} got no answer within {probe.timeout_s:g} s"
    except (ConnectionRefusedError, aiohttp.ClientConnectorError):
        return f"connection refused on port $PORT ({port}): does it listen on $PORT?"
    except BodyTooLong:
        return f"{question} answered more than 64 KiB"
    except (aiohttp.ClientError, OSError, ValueError):
        return f"{question} got no answer in HTTP"


@dataclass
class _Probe:
    """A probe of one instance; `contradictions` counts the latest results against the verdict.

    `failure` is the last result in words, empty when that passed.
    """

    spec: Probe
    verdict: bool
    due_s: float
    contradictions: int = 0
    failure: str = ""
    is_running: bool = False

    async def run(self, port: int, context: ControllerContext) -> None:
        try:
            before = self.verdict
            self.failure = await send_probe(context.session, port, self.spec)
            self._record(not self.failure)
            if self.verdict != before:
                context.on_change()
        finally:
            self.is_running = False

    def _record(self, passed: bool) -> None:  # noqa: FBT001  the result itself
        if passed == self.verdict:
            self.contradictions = 0
            return
        self.contradictions += 1
        threshold = self.spec.success_threshold if passed else self.spec.failure_threshold
        if self.contradictions >= threshold:
            self.verdict, self.contradictions = passed, 0


class InstanceProbes:
    """The probes of one start of one instance; a verdict stays until results contradict it."""

    def __init__(self, spec: RevisionSpec, record: InstanceRecord, now_s: float) -> None:
        self._port = record.port
        self._created_s = now_s
        readiness = spec.readiness or _CONNECTION
        # An instance that an earlier agent found ready has its initial delay behind it.
        delay_s = 0.0 if record.is_ready else readiness.initial_delay_s
        self._readiness = _Probe(readiness, record.is_ready, now_s + delay_s)
        self._liveness: _Probe | None = None
        if spec.liveness is not None:
            due_s = now_s + spec.liveness.initial_delay_s
            self._liveness = _Probe(spec.liveness, record.is_live, due_s)

    @property
    def is_ready(self) -> bool:
        return self._readiness.verdict

    @property
    def unready_because(self) -> str:
        """Return what the readiness probe got last, in words; empty when it passed."""
        return self._readiness.failure

    @property
    def is_live(self) -> bool:
        return self._liveness is None or self._liveness.verdict

    def run_due(self, context: ControllerContext) -> None:
        """Start the probes that are due; one that still runs is not started again."""
        now_s = context.clock.monotonic_s()
        if self._port is None:
            if not self.is_ready and now_s - self._created_s >= WORKER_READY_AFTER_S:
                self._readiness.verdict = True
                context.on_change()
            return
        for probe in (self._readiness, self._liveness):
            if probe is not None and now_s >= probe.due_s and not probe.is_running:
                probe.due_s = now_s + probe.spec.period_s
                probe.is_running = True
                context.spawn(partial(probe.run, self._port, context))
