"""One exchange with a registry over HTTP: to a checked address, bounded, redirects not followed.

A host is resolved once, by the guard of probes, and the request goes to the address that was
checked. Plain http is spoken to registries of this machine only.
"""

import asyncio
import hashlib
import io
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from shared.connections.bounded_body import PLAIN, BodyTooLong, read_bounded
from shared.images.port import Descriptor, ImageUnreadable
from shared.images.reference import is_loopback
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Unavailable
from shared.kernel.trust import trusted_once, untrusted_in
from shared.probing.guard import (
    LOOPBACK,
    Forbidden,
    Network,
    Resolve,
    resolve_by_system,
    resolve_destination,
)

if TYPE_CHECKING:
    import aiohttp

AWAY_RETRY_S: Final = 5.0
CHUNK: Final = 1 << 20
_ALIASES: Final = {"docker.io": "registry-1.docker.io"}
"""Where a registry answers that has another name in references."""
_WHY: Final[Mapping[type[BaseException], str]] = {
    BodyTooLong: "its answer is longer than it may be",
    Forbidden: "its address is one that may not be asked",
    TimeoutError: "no answer in time",
    socket.gaierror: "its name has no address",
    ConnectionRefusedError: "nothing listens there",
}


async def _ipv4_first(host: str) -> Sequence[str]:
    """Return the addresses of *host*: the first is asked, and `localhost` is two on most machines.

    Registries of this machine, and private endpoints, listen by IPv4.
    """
    return sorted(await resolve_by_system(host), key=lambda address: ":" in address)


@dataclass(frozen=True)
class Answer:
    """The answer of a registry; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    challenges: Sequence[str] = ()
    """Of `WWW-Authenticate`, which may come more than once."""
    body: bytes = b""


@dataclass(frozen=True)
class RegistryConnection:
    """Sends requests to registries.

    `networks` are private ranges that a registry may be in; `plain_loopback` takes http from this
    machine, as the local profile does; `ca_file` has authorities to trust besides the machine's.
    """

    networks: Sequence[Network] = ()
    plain_loopback: bool = False
    ca_file: Path | None = None
    resolve: Resolve = _ipv4_first
    _trust: list[ssl.SSLContext] = field(default_factory=list, repr=False)
    """What `ca_file` says, once it was read."""

    async def exchange(
        self,
        method: str,
        url: str,
        registry: str,
        *,
        at_most: int,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Return the answer to one request; its body has at most *at_most* bytes.

        Raises:
            Unavailable: no answer, none from where it may be asked, or a longer one.
        """
        async with self.open(method, url, registry, headers=headers, body=body) as answer:
            content = b"" if method == "HEAD" else await read_bounded(answer, at_most=at_most)
            return answer_of(answer, content)

    @asynccontextmanager
    async def open(
        self,
        method: str,
        url: str,
        registry: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> "AsyncIterator[aiohttp.ClientResponse]":
        """Give the answer to one request, its body not read yet. Raises Unavailable.

        The local profile reaches this machine for a *registry* that is named so, and at the own
        host of another: none may send its callers, with their password, to a port of it.
        """
        import aiohttp  # noqa: PLC0415  slow to import, and only who asks a registry needs it
        from yarl import URL  # noqa: PLC0415

        host = urlsplit(url).netloc[:255]
        is_own = is_loopback(registry) or host == urlsplit(origin_of(registry)).netloc
        allowed = (*self.networks, *(LOOPBACK if self.plain_loopback and is_own else ()))
        try:
            destination = await resolve_destination(
                url, owned=allowed, named=allowed, resolve=self.resolve
            )
            async with (
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(
                        force_close=True, ssl=await trusted_once(self.ca_file, self._trust) or True
                    ),
                    trust_env=False,
                    auto_decompress=False,
                    cookie_jar=aiohttp.DummyCookieJar(),
                ) as session,
                session.request(
                    method,
                    URL(destination.url, encoded=True),
                    headers={**PLAIN, **(headers or {}), "Host": destination.host_header},
                    data=None if body is None else io.BytesIO(body),  # sent in parts
                    server_hostname=destination.server_name,
                    allow_redirects=False,
                ) as answer,
            ):
                yield answer
        except (OSError, Forbidden, ValueError, aiohttp.ClientError) as problem:
            raise away(host, problem) from problem


def origin_of(registry: str) -> str:
    """Return scheme and host at which *registry* answers."""
    scheme = "http" if is_loopback(registry) else "https"
    return f"{scheme}://{_ALIASES.get(registry, registry)}"


def answer_of(answer: "aiohttp.ClientResponse", content: bytes) -> Answer:
    """Return *answer* with its body, *content*."""
    return Answer(
        answer.status,
        {name.lower(): value for name, value in answer.headers.items()},
        tuple(answer.headers.getall("WWW-Authenticate", ())),
        content,
    )


async def save_body(answer: "aiohttp.ClientResponse", blob: Descriptor, path: Path) -> None:
    """Write the body of *answer* to *path*, where it is *blob*.

    Raises:
        BodyTooLong: it goes on behind its size.
        ValueError: it is other content.
    """
    total, size = hashlib.sha256(), 0
    draft = path.with_name(f"{path.name}.draft")
    with draft.open("wb") as file:
        while chunk := await answer.content.read(CHUNK):
            size += len(chunk)
            if size > blob.size:
                raise BodyTooLong(f"the blob is longer than {blob.size} bytes")
            total.update(chunk)
            await asyncio.to_thread(file.write, chunk)
    if f"sha256:{total.hexdigest()}" != blob.digest:
        raise ValueError("other content than its digest says")
    draft.replace(path)


def away(registry: str, problem: BaseException) -> Unavailable:
    """Return the error of a registry that has no answer because of *problem*."""
    os_error = getattr(problem, "os_error", problem)
    why = next(
        (words for kind, words in _WHY.items() if isinstance(os_error, kind)),
        type(problem).__name__,
    )
    kind = ImageUnreadable if isinstance(problem, BodyTooLong) else Unavailable
    return kind(
        f"the registry {registry} is away: {why}{untrusted_in(problem)}",
        retry_after_s=AWAY_RETRY_S,
    )
