"""The guard against server-side request forgery: which addresses a caller's URL may lead to.

The host of a URL is resolved once, and the request goes to the address that was checked, so a later
change of the name has no effect. A literal address may lie in a range that a surface owns (the
loopback of LocalProcess, the pods of a cluster). A name may not, because anybody can point a name
there. An IPv6 address that embeds an IPv4 address is checked as that IPv4 address.
Ranges: https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from shared.kernel.dataclass import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""Returns every address of a host name, as text; OSError when there is none."""

URL_MAX: Final = 2048
_PORTS: Final = {"http": 80, "https": 443}
_NAME: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*", re.ASCII)
_NUMERIC: Final = re.compile(r"\d+|0x[0-9a-f]*", re.ASCII)
"""The WHATWG URL parser and inet_aton read a host whose last label has this form as IPv4."""

LOOPBACK: Final[Sequence[Network]] = (
    ipaddress.ip_network("127.0.0.0/8"),
    ipaddress.ip_network("::1/128"),
)
_DENIED: Final[tuple[Network, ...]] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",  # this host
        "169.254.0.0/16",  # link-local, and the metadata service of every cloud
        "168.63.129.16/32",  # Azure's wire server
        "192.0.0.0/24",  # protocol assignments; 192.0.0.192 is a metadata service
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
        "fd00:ec2::254/128",  # AWS's metadata service
        "2001::/23",  # Teredo and other protocol assignments
        "2002::/16",  # 6to4
    )
)
"""Denied even in the ranges that a surface owns."""
_NAT64: Final = (
    ipaddress.IPv6Network("64:ff9b::/96"),
    ipaddress.IPv6Network("64:ff9b:1::/48"),
)
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")


class Forbidden(Exception):
    """A request to this URL is denied; the message says why."""


@dataclass(frozen=True)
class Destination:
    """`url` has the checked address; `host_header` and `server_name` are of the caller's URL."""

    url: str
    host_header: str
    server_name: str | None


async def resolve_by_system(host: str) -> Sequence[str]:
    """Return the addresses of *host* as the operating system resolves it."""
    loop = asyncio.get_running_loop()
    records = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(record[4][0]) for record in records))


async def resolve_destination(
    url: str, *, owned: Sequence[Network], resolve: Resolve, named: Sequence[Network] = ()
) -> Destination:
    """Return the address and headers for a request to *url*.

    *named* are ranges that also a name may lead to, for URLs that an operator wrote.

    Raises:
        Forbidden: the URL is ambiguous, or one of its addresses is denied.
        OSError: the name has no address.
    """
    scheme, host, port, path = _parse(url)
    literal = _literal_address(host)
    texts = [str(literal)] if literal else await resolve(host)
    addresses = [ipaddress.ip_address(text) for text in texts]
    if not addresses:
        raise OSError(f"{host} has no address")
    for address in addresses:
        if not is_allowed(address, owned if literal else named):
            raise Forbidden(f"requests to {address} are denied")
    return _destination(scheme, addresses[0], port, path, host)


def is_allowed(address: Address, owned: Sequence[Network] = ()) -> bool:
    """Return whether a request may go to *address*, or to the IPv4 address that it embeds."""
    embedded = _embedded_ipv4(address)
    if embedded is not None:
        return is_allowed(embedded, owned)
    if any(address in network for network in _DENIED if network.version == address.version):
        return False
    if any(address in network for network in owned if network.version == address.version):
        return True
    return address.is_global and not address.is_multicast


def _parse(url: str) -> tuple[str, str, int, str]:
    if (
        len(url) > URL_MAX
        or not url.isascii()
        or not url.isprintable()
        or re.search(r"[\s\\]", url)
    ):
        raise Forbidden("a URL must be printable ASCII without spaces and backslashes")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as problem:
        raise Forbidden(f"not a URL: {problem}") from problem
    if parts.scheme not in _PORTS:
        raise Forbidden(f"expected http or https, got {parts.scheme[:20]!r}")
    if "@" in parts.netloc:
        raise Forbidden("a URL must not have credentials")
    if not host:
        raise Forbidden("a URL needs a host")
    if port == 0:
        raise Forbidden("port 0 cannot be reached")
    path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
    return parts.scheme, host, port or _PORTS[parts.scheme], path


def _literal_address(host: str) -> Address | None:
    """Return the address that *host* is, in its canonical form; None when it is a name."""
    if ":" in host:
        try:
            address = ipaddress.IPv6Address(host)
        except ValueError as problem:
            raise Forbidden(f"not an IPv6 address: {host[:60]!r}") from problem
        if address.scope_id is not None:
            raise Forbidden("an address with a zone is link-local")
        return address
    try:
        return ipaddress.IPv4Address(host)
    except ValueError:
        bare = host.removesuffix(".")
    if _NUMERIC.fullmatch(bare.rsplit(".", 1)[-1]):
        raise Forbidden(f"an IPv4 address must be four decimal numbers, got {host[:60]!r}")
    if not _NAME.fullmatch(bare):
        raise Forbidden(f"not a host name: {host[:60]!r}")
    return None


def _embedded_ipv4(address: Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 address embeds, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    translated = any(address in network for network in _NAT64)
    compatible = address in _COMPATIBLE and int(address) > 1
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if translated or compatible else None


def _destination(scheme: str, address: Address, port: int, path: str, host: str) -> Destination:
    def bracketed(text: str) -> str:
        return f"[{text}]" if ":" in text else text

    header = bracketed(host) if port == _PORTS[scheme] else f"{bracketed(host)}:{port}"
    url = f"{scheme}://{bracketed(str(address))}:{port}{path}"
    return Destination(url, header, host if scheme == "https" else None)
