"""Probes over aiohttp: sent to the address the guard judged, no redirects, a bounded answer.

aiohttp, because many probes of many hosts at once are what it is fastest at. Each probe has a
connection and a session of its own: a pooled connection would show that an old one works, not that
a new one can be made, and nothing is left to close when a host or a loop ends.
"""

import asyncio
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from shared.kernel.clock import Clock
from shared.probing.guard import Destination, Forbidden, Network, Resolve, admit
from shared.probing.result import ProbeResult

if TYPE_CHECKING:
    import aiohttp

_PASSES_FROM: Final = 200
_PASSES_BELOW: Final = 400
_READ_MAX: Final = 64 * 1024


async def resolve_by_system(host: str) -> Sequence[str]:
    """Return the addresses of *host* as the operating system resolves it."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class HttpProber:
    """`owned` are the address ranges in which the surfaces' instances listen."""

    def __init__(
        self, clock: Clock, *, owned: Sequence[Network] = (), resolve: Resolve = resolve_by_system
    ) -> None:
        self._clock = clock
        self._owned = owned
        self._resolve = resolve

    async def probe(self, url: str, timeout_s: float) -> ProbeResult:
        """Return what `GET url` came back with, the answer's body included; nothing is raised."""
        began_s = self._clock.monotonic_s()
        try:
            async with asyncio.timeout(timeout_s):
                destination = await admit(url, owned=self._owned, resolve=self._resolve)
                code, passed = await _ask(destination)
        except Forbidden:
            return ProbeResult(passed=False, code="Denied", latency_ms=0.0)
        except TimeoutError:
            code, passed = "Timeout", False
        except ConnectionRefusedError:
            code, passed = "Refused", False
        except socket.gaierror:
            code, passed = "Dns", False
        except (OSError, ValueError):
            code, passed = "Broken", False
        latency_ms = (self._clock.monotonic_s() - began_s) * 1000
        return ProbeResult(passed=passed, code=code, latency_ms=latency_ms)


async def _ask(destination: Destination) -> tuple[str, bool]:
    """Return status and verdict. Raises OSError for whatever the connection broke of."""
    import aiohttp  # noqa: PLC0415  an app that probes nothing does not pay for it
    from yarl import URL  # noqa: PLC0415

    connector = aiohttp.TCPConnector(force_close=True)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, trust_env=False) as session,
            session.get(
                URL(destination.url, encoded=True),
                headers={"Host": destination.host_header},
                server_hostname=destination.server_name,
                allow_redirects=False,
            ) as answer,
        ):
            await _read(answer.content)
            return str(answer.status), _PASSES_FROM <= answer.status < _PASSES_BELOW
    except aiohttp.ClientConnectorError as problem:
        raise problem.os_error from problem
    except aiohttp.ClientError as problem:
        raise OSError(str(problem)) from problem


async def _read(content: "aiohttp.StreamReader") -> None:
    """Read the answer to its end or its bound: what breaks off half-way did not pass."""
    left = _READ_MAX
    while left > 0:
        chunk = await content.read(left)
        if not chunk:
            return
        left -= len(chunk)
