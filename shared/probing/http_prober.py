"""HTTP probes over aiohttp: sent to the address that the guard checked, bounded, no redirects.

aiohttp is the fastest client for many probes of many hosts at once.
"""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from typing import Final

from shared.connections.bounded_body import BodyTooLong, read_bounded
from shared.contracts.health import HealthStatus
from shared.kernel.clock import Clock
from shared.probing.guard import (
    Destination,
    Forbidden,
    Network,
    Resolve,
    resolve_by_system,
    resolve_destination,
)
from shared.probing.guarded_request import answer_of
from shared.probing.health_body import ReportedHealth, reported_health
from shared.probing.result import DENIED, ProbeResult

_PASSES: Final = range(200, 400)
_CODES: Final[Mapping[type[Exception], str]] = {
    TimeoutError: "Timeout",
    ConnectionRefusedError: "Refused",
    socket.gaierror: "Dns",
    BodyTooLong: "TooLong",
}


class HttpProber:
    """Sends probes; `owned` are the address ranges of the surfaces' instances."""

    def __init__(
        self, clock: Clock, *, owned: Sequence[Network] = (), resolve: Resolve = resolve_by_system
    ) -> None:
        self._clock = clock
        self._owned = owned
        self._resolve = resolve

    async def probe(self, url: str, timeout_s: float) -> ProbeResult:
        """Return the result of `GET url`, its body read to its end or bound; never raises."""
        began_s = self._clock.monotonic_s()
        try:
            async with asyncio.timeout(timeout_s):
                destination = await resolve_destination(
                    url, owned=self._owned, resolve=self._resolve
                )
                code, passed, reported = await _get(destination)
        except Forbidden:
            return ProbeResult(passed=False, code=DENIED, latency_ms=0.0)
        except (OSError, ValueError) as problem:
            code, passed, reported = _CODES.get(type(problem), "Broken"), False, None
        latency_ms = (self._clock.monotonic_s() - began_s) * 1000
        return ProbeResult(passed, code, latency_ms, reported)


async def _get(destination: Destination) -> tuple[str, bool, ReportedHealth | None]:
    """Return the status, whether it passes, and what the body reports.

    Raises:
        OSError: a broken connection, or an answer without an end.
    """
    async with answer_of("GET", destination) as response:
        reported = reported_health(await read_bounded(response))
        is_unhealthy = reported is not None and reported.status is HealthStatus.UNHEALTHY
        passed = response.status in _PASSES and not is_unhealthy
        return str(response.status), passed, reported
