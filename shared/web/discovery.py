"""Signing keys of an issuer over HTTPS, as OpenID Connect Discovery 1.0 finds them.

`<issuer>/.well-known/openid-configuration` names the key set (`jwks_uri`). Both documents are read
from an address that the guard of probes has checked, without redirects, within one bound of time
and size. How long a set is kept, and how often it is read, is `key_sets`'.
"""

import asyncio
import logging
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic_core import from_json

from shared.connections.bounded_body import PLAIN, BodyTooLong, read_bounded
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Invalid, Unavailable
from shared.kernel.trust import trusted_once
from shared.probing.guard import (
    LOOPBACK,
    Destination,
    Forbidden,
    Network,
    Resolve,
    resolve_by_system,
    resolve_destination,
)
from shared.web.key_sets import KEYS_MAX_AGE_S, KeyDocument

WELL_KNOWN: Final = ".well-known/openid-configuration"
TIMEOUT_S: Final = 5.0
"""For both documents together: callers wait for them."""
DOCUMENT_MAX: Final = 256 * 1024
"""Entra's key set, with its certificates, has 20 KB."""
ISSUER_MAX: Final = 512
ENTRA_KEY_HOSTS: Final[Mapping[str, frozenset[str]]] = {
    "sts.windows.net": frozenset({"login.microsoftonline.com", "login.windows.net"}),
    "sts.chinacloudapi.cn": frozenset(
        {"login.partner.microsoftonline.cn", "login.chinacloudapi.cn"}
    ),
}
"""Where Entra keeps the keys of its v1 issuers, of the public cloud (also for US Government) and of
China's; those of v2 are at the issuer's own host."""
_MAX_AGE: Final = re.compile(r"(?:^|[\s,])max-age=\"?(\d{1,9})", re.ASCII | re.IGNORECASE)
_ACCEPTED: Final = "application/json, application/jwk-set+json"
"""An API server of Kubernetes answers 406 where the second, of RFC 7517, is not named."""
_OK: Final = 200
_WHY: Final[Mapping[type[Exception], str]] = {
    BodyTooLong: f"its answer is longer than {DOCUMENT_MAX} bytes",
    Forbidden: "its address is one that may not be asked",
    ValueError: "its answer is not JSON",
    socket.gaierror: "its name has no address",
    ssl.SSLCertVerificationError: "its certificate is not trusted",
}
_log = logging.getLogger(__name__)


def check_issuer(url: str, *, plain_loopback: bool = False) -> None:
    """Check the form of an issuer in the settings; *plain_loopback* also takes `http://127.0.0.1`.

    Raises:
        Invalid: keys of such an issuer could not be had, or not safely.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as problem:
        raise Invalid(f"not the URL of an issuer: {_shown(url)}") from problem
    is_plain = parts.scheme == "http" and plain_loopback and _is_loopback(parts.hostname)
    if parts.scheme != "https" and not is_plain:
        raise Invalid(f"expected an issuer of the form https://…, got {_shown(url)}")
    # Split leaves out an empty query, so the characters are looked for.
    if not parts.hostname or len(url) > ISSUER_MAX or re.search(r"[@?#,\\\s]", url):
        raise Invalid(
            "an issuer is one URL with a host, without credentials, query or fragment:"
            f" {_shown(url)}"
        )


def _shown(url: str) -> str:
    """Return *url* as a refusal quotes it: not where it may have a password."""
    return "a value that is not shown" if "@" in url else repr(url[:200])


@dataclass(frozen=True)
class DiscoveredKeys:
    """A `KeySource` of issuers that publish their keys.

    `key_hosts` may have a `jwks_uri`, besides the issuer's own host. `networks` are private ranges
    that an issuer may be in. `plain_loopback` takes http from this machine, as the local profile
    does. `ca_file` has the certificate authorities to trust besides the machine's.
    """

    key_hosts: frozenset[str] = frozenset()
    networks: Sequence[Network] = ()
    plain_loopback: bool = False
    ca_file: Path | None = None
    resolve: Resolve = resolve_by_system
    timeout_s: float = TIMEOUT_S
    _trust: list[ssl.SSLContext] = field(default_factory=list, repr=False)
    """What `ca_file` says, once it was read."""

    async def keys(self, issuer: str) -> KeyDocument:
        """Return the key set that *issuer* publishes.

        Raises:
            Unavailable: it has no answer, or not one that may be believed; the message says which.
        """
        try:
            async with asyncio.timeout(self.timeout_s):
                check_issuer(issuer, plain_loopback=self.plain_loopback)
                found, _ = await self._read(f"{issuer.rstrip('/')}/{WELL_KNOWN}")
                url = self._key_url(issuer, found)
                jwks, max_age_s = await self._read(url)
                return KeyDocument(jwks, max_age_s)
        except TimeoutError as problem:
            raise _away(issuer, f"no answer within {self.timeout_s:g} s") from problem
        except (Invalid, Unavailable) as problem:
            raise _away(issuer, problem.message) from problem
        except (Forbidden, OSError, ValueError) as problem:
            # Callers without a token see the message; addresses of a network are for its operators.
            _log.warning("%s: %s", issuer, str(problem)[:500])
            raise _away(issuer, _WHY.get(type(problem), type(problem).__name__)) from problem

    def _key_url(self, issuer: str, found: Mapping[str, Any]) -> str:
        """Return the `jwks_uri` of what was *found*, where that may be believed."""
        if found.get("issuer") != issuer:
            raise Unavailable(f"it says that it is {found.get('issuer')!r:.200}")
        url = found.get("jwks_uri")
        if not isinstance(url, str):
            raise Unavailable("it names no jwks_uri")
        own, named = urlsplit(issuer), urlsplit(url)
        is_plain = named.scheme == "http" == own.scheme and _is_loopback(named.hostname)
        if named.scheme != "https" and not is_plain:
            raise Unavailable(f"its jwks_uri is not https: {url!r:.200}")
        host = named.hostname or ""
        hosts = self.key_hosts | ENTRA_KEY_HOSTS.get(own.hostname or "", frozenset())
        if host != own.hostname and host not in hosts:
            raise Unavailable(
                f"its jwks_uri is at {host[:200]!r}: name that host among the key hosts, if it is"
                " the issuer's"
            )
        return url

    async def _read(self, url: str) -> tuple[Mapping[str, Any], float]:
        """Return the JSON object at *url*, and for how many seconds it is valid."""
        allowed = (*self.networks, *(LOOPBACK if self.plain_loopback else ()))
        destination = await resolve_destination(
            url, owned=allowed, named=allowed, resolve=self.resolve
        )
        body, caching = await _get(destination, await trusted_once(self.ca_file, self._trust))
        document = from_json(body)
        if not isinstance(document, dict):
            raise Unavailable("its answer is not a JSON object")
        stated = _MAX_AGE.search(caching)
        return document, float(stated[1]) if stated else KEYS_MAX_AGE_S


async def _get(destination: Destination, trust: ssl.SSLContext | None) -> tuple[bytes, str]:
    """Return the body of a 200, and its `Cache-Control`.

    Raises:
        Unavailable: another status.
        OSError: no connection, one that is not to be trusted, or an answer without an end.
    """
    import aiohttp  # noqa: PLC0415  slow to import, and only a token of another machine needs it
    from yarl import URL  # noqa: PLC0415

    try:
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True, ssl=trust or True),
                trust_env=False,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            ) as session,
            session.get(
                URL(destination.url, encoded=True),
                headers={"Host": destination.host_header, "Accept": _ACCEPTED, **PLAIN},
                server_hostname=destination.server_name,
                allow_redirects=False,
            ) as answer,
        ):
            if answer.status != _OK:
                raise Unavailable(f"it answered {answer.status}")
            body = await read_bounded(answer, at_most=DOCUMENT_MAX)
            return body, answer.headers.get("Cache-Control", "")[:200]
    except aiohttp.ClientConnectorCertificateError as problem:
        raise problem.certificate_error from problem
    except aiohttp.ClientConnectorError as problem:
        raise problem.os_error from problem
    except aiohttp.ClientError as problem:
        raise OSError(str(problem) or type(problem).__name__) from problem


def _is_loopback(host: str | None) -> bool:
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False


def _away(issuer: str, why: str) -> Unavailable:
    return Unavailable(f"the keys of {issuer[:ISSUER_MAX]} cannot be had: {why[:500]}")
