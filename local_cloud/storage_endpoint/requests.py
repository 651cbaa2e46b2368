"""One request to a service of a storage account, read from its bytes."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, Self
from urllib.parse import unquote

from aiohttp import web
from multidict import CIMultiDictProxy

from local_cloud.storage_endpoint.errors import StorageRefused, invalid

ServiceName = Literal["blob", "table"]
PIECE_WITHIN_S: Final = 30.0
"""A body that stops for longer is given up."""
_HOST: Final = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}", re.ASCII)


@dataclass(frozen=True)
class Call:
    """What is asked, of which resource; the body is still to be read."""

    service: ServiceName
    account: str
    request: web.Request
    raw_path: str
    """With the account, as it was sent: signatures are of it."""
    path: str
    """Behind the account, decoded: empty, a container, a container and a blob, or a table's."""
    query: Mapping[str, str]
    """Names in lower case, values decoded."""
    piece_within_s: float = PIECE_WITHIN_S

    @classmethod
    def of(
        cls, service: ServiceName, account: str, request: web.Request, piece_within_s: float
    ) -> Self:
        """Raises StorageRefused: the path is none of *account*, or no text."""
        if not _HOST.fullmatch(request.host):
            raise invalid("Host is the name of a machine", "InvalidHeaderValue")
        raw_path, _, raw_query = request.raw_path.partition("?")
        named, _, rest = raw_path.removeprefix("/").partition("/")
        try:
            path = unquote(rest, errors="strict")
            # Go's client of tables writes a blank as plus, that of blobs does not.
            query = _query_of(raw_query.replace("+", "%20") if service == "table" else raw_query)
        except UnicodeDecodeError as problem:
            raise invalid("the address is no UTF-8", "InvalidUri") from problem
        if not raw_path.startswith("/") or named != account:
            raise StorageRefused(404, "ResourceNotFound", f"the account here is {account}")
        return cls(service, account, request, raw_path, path, query, piece_within_s)

    @property
    def method(self) -> str:
        return self.request.method

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        return self.request.headers

    def header(self, name: str) -> str:
        """Return the header, empty where there is none."""
        return ",".join(value.strip() for value in self.headers.getall(name, ()))

    @cached_property
    def length(self) -> int:
        """How many bytes the body has. Raises StorageRefused where its head does not say."""
        length = self.request.content_length
        if length is None:
            raise StorageRefused(411, "MissingContentLengthHeader", "Content-Length must be given")
        return length

    def checked_length(self, at_most: int) -> int:
        """Return `length` unless it is over *at_most*: before anything of the body is read."""
        if self.length > at_most:
            raise StorageRefused(
                413, "RequestBodyTooLarge", f"a body has at most {at_most} bytes here"
            )
        return self.length

    async def pieces(self, at_most: int) -> AsyncIterator[bytes]:
        """Give the body as it arrives, whole or not to its end.

        Raises:
            StorageRefused: it is over *at_most* bytes, stops on its way or ends too soon.
        """
        left = self.checked_length(at_most)
        while left:
            try:
                async with asyncio.timeout(self.piece_within_s):
                    piece = await self.request.content.readany()
            except TimeoutError as slow:
                raise StorageRefused(408, "OperationTimedOut", "the body stopped") from slow
            except (OSError, web.RequestPayloadError) as cut:
                raise invalid("the body ends too soon") from cut
            if not piece:
                raise invalid("the body ends too soon")
            left -= len(piece)
            yield piece

    async def body(self, at_most: int) -> bytes:
        """Return the whole body. Raises StorageRefused as `pieces`."""
        return b"".join([piece async for piece in self.pieces(at_most)])


def _query_of(raw: str) -> Mapping[str, str]:
    """Return the parameters; one that is given twice has its values joined by commas."""
    query: dict[str, str] = {}
    for part in filter(None, raw.split("&")):
        name, _, value = part.partition("=")
        key, text = unquote(name, errors="strict").lower(), unquote(value, errors="strict")
        query[key] = f"{query[key]},{text}" if key in query else text
    return query
