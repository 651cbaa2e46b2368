"""Reads `WWW-Authenticate`: what a registry asks for before it answers (RFC 9110, 11.6.1)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Final
from urllib.parse import urlsplit

from shared.images.reference import is_loopback
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Unavailable

HEADER_MAX: Final = 8192
_PART: Final = re.compile(
    r'(?P<key>[A-Za-z][\w-]*)[ \t]*=[ \t]*(?:"(?P<quoted>[^"]*)"|(?P<plain>[^\s,"]+))'
    r"|(?P<scheme>[A-Za-z][\w-]*)"
)


@dataclass(frozen=True)
class Challenge:
    """One way in: `scheme` in lower case, with what it needs to know."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def read_challenges(headers: Sequence[str]) -> Sequence[Challenge]:
    """Return every challenge of the header's values; what is none is left out."""
    return [each for header in headers for each in _of(header[:HEADER_MAX])]


def _of(header: str) -> Iterator[Challenge]:
    scheme, parameters = "", dict[str, str]()
    for part in _PART.finditer(header):
        if part["scheme"]:
            if scheme:
                yield Challenge(scheme, parameters)
            scheme, parameters = part["scheme"].lower(), {}
        else:
            parameters[part["key"].lower()] = part["quoted"] or part["plain"] or ""
    if scheme:
        yield Challenge(scheme, parameters)


def checked_realm(challenge: Challenge, registry: str) -> str:
    """Return the URL where *challenge* says that tokens are had, if a credential may go there.

    Raises:
        Unavailable: it is no https URL; or http, and not both are on this machine.
    """
    realm = challenge.parameters.get("realm", "")
    try:
        parts = urlsplit(realm)
        host, _ = parts.netloc, parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    is_plain = parts.scheme == "http" and is_loopback(host) and is_loopback(registry)
    is_safe = parts.scheme == "https" and (is_loopback(registry) or not is_loopback(host))
    if "@" in realm or not host or not (is_plain or is_safe):
        shown = "a URL that is not shown" if "@" in realm else repr(realm[:200])
        raise Unavailable(
            f"the registry {registry} sends its callers to {shown} for tokens: expected https://…"
        )
    return realm
