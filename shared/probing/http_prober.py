"""Probes over aiohttp: pinned to the address that was given, no redirects, a bounded answer.

Targets come from a surface, which owns them, so loopback is allowed to the surface's own addresses
only: a target is an IP address and a port, never a name, so nothing is resolved and nothing can be
rebound. aiohttp, because many probes of many hosts at once are what it is fastest at.
"""

import ipaddress
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from shared.kernel.clock import Clock
from shared.probing.result import ProbeResult

if TYPE_CHECKING:
    import aiohttp

_PASSES_FROM: Final = 200
_PASSES_BELOW: Final = 400
_READ_MAX: Final = 64 * 1024
_DENIED: Final = (
    ipaddress.ip_network("169.254.0.0/16"),  # link-local, and every cloud's metadata service
    ipaddress.ip_network("168.63.129.16/32"),  # Azure's wire server
    ipaddress.ip_network("0.0.0.0/8"),
    ipaddress.ip_network("224.0.0.0/3"),
)


class HttpProber:
    """Keeps one client session for the loop it is first used on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    async def probe(self, url: str, timeout_s: float) -> ProbeResult:
        """Return what `GET url` came back with; nothing is raised."""
        import aiohttp  # noqa: PLC0415  an app that probes nothing does not pay for it

        if not is_allowed(url):
            return ProbeResult(passed=False, code="Denied", latency_ms=0.0)
        began_s = self._clock.monotonic_s()
        code, passed = "Broken", False
        try:
            async with self._open().get(
                url, allow_redirects=False, timeout=aiohttp.ClientTimeout(total=timeout_s)
            ) as answer:
                await answer.content.read(_READ_MAX)
                code = str(answer.status)
                passed = _PASSES_FROM <= answer.status < _PASSES_BELOW
        except TimeoutError:
            code = "Timeout"
        except aiohttp.ClientConnectorError:
            code = "Refused"
        except (aiohttp.ClientError, OSError, ValueError):
            code = "Broken"
        latency_ms = (self._clock.monotonic_s() - began_s) * 1000
        return ProbeResult(passed=passed, code=code, latency_ms=latency_ms)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> "aiohttp.ClientSession":
        import aiohttp  # noqa: PLC0415

        if self._session is None or self._session.closed:
            connector = aiohttp.TCPConnector(limit=64, force_close=True)
            self._session = aiohttp.ClientSession(connector=connector, trust_env=False)
        return self._session


def is_allowed(url: str) -> bool:
    """Return whether *url* is a plain HTTP address that a probe may be sent to."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if parts.scheme != "http" or not host or port is None or parts.username is not None:
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False  # a name could point anywhere by the time it is asked
    mapped = getattr(address, "ipv4_mapped", None)
    checked = mapped or address
    return not any(checked in network for network in _DENIED if network.version == checked.version)
