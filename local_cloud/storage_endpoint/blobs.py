"""The Blob service: containers that were declared, block blobs in them.

https://learn.microsoft.com/rest/api/storageservices/blob-service-rest-api. A blob has its bytes and
nothing else: no metadata, no content type of its own, no snapshots, no leases.
"""

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Mapping
from email.utils import format_datetime
from http import HTTPStatus
from typing import Final
from xml.sax.saxutils import escape

from aiohttp import web

from local_cloud.blobs import FolderBlobs
from local_cloud.storage import LocalStorage
from local_cloud.storage_endpoint.blob_files import (
    BlobFiles,
    BlobVersion,
    Check,
    NamedVersion,
    pieces_of,
)
from local_cloud.storage_endpoint.errors import StorageRefused, invalid, not_implemented
from local_cloud.storage_endpoint.operations import BLOB_SERVED, BLOB_SHAPES, operation
from local_cloud.storage_endpoint.requests import Call, ServiceName
from local_cloud.storage_endpoint.server import CheckWrite
from shared.kernel.clock import Clock

CONTENT_MAX_BYTES: Final = 256 * 1024 * 1024
"""Of a blob put by one request, or of a block; the service's own bound until 2019."""
LIST_MAX_BYTES: Final = 8 * 1024 * 1024
"""Of a list of blocks: 50,000 ids of 64 bytes."""
NAME_MAX_BYTES: Final = 2048
"""Azure counts 1,024 characters; a path of this machine counts bytes."""
BLOCKS_MAX: Final = 50_000
BLOCK_ID_MAX: Final = 64
PAGE_MAX: Final = 5000
_CONTAINER: Final = re.compile(r"(?=.{3,63}\Z)[a-z0-9]+(?:-[a-z0-9]+)*")
_RANGE: Final = re.compile(r"bytes=(\d{1,15})-(\d{0,15})")
_BLOCK: Final = re.compile(r"\s*<(Latest|Committed|Uncommitted)>([A-Za-z0-9+/=]*)</\1>")
_BLOCK_LIST: Final = re.compile(
    r"\s*(?:<\?xml[^<>]*\?>)?\s*<BlockList>(.*)</BlockList>\s*", re.DOTALL
)
_XML: Final = {"Content-Type": "application/xml"}
_DECLARATION: Final = '<?xml version="1.0" encoding="utf-8"?>'


class BlobService:
    """The blobs of *storage*, which keeps them in folders."""

    name: ServiceName = "blob"

    def __init__(self, storage: LocalStorage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._containers: dict[str, BlobFiles] = {}

    async def answer(self, call: Call, _check_write: CheckWrite) -> web.StreamResponse:
        container, _, blob = call.path.partition("/")
        is_container = call.query.get("restype", "").lower() == "container" and not blob
        addressed = "blob" if blob else "container" if is_container else "service"
        if container and addressed == "service":
            raise not_implemented("blobs of the root container")
        if len(blob.encode()) > NAME_MAX_BYTES:
            raise invalid(
                f"a blob's name has at most {NAME_MAX_BYTES} bytes here", "InvalidResourceName"
            )
        handlers: Mapping[str, Handler] = {
            "Create Container": self._create_container,
            "List Blobs": self._list,
            "Put Blob": self._put,
            "Put Block": self._stage,
            "Put Block List": self._commit,
            "Get Blob": self._get,
            "Get Blob Properties": self._show,
            "Delete Blob": self._delete,
        }
        name = operation(call, addressed, BLOB_SHAPES, BLOB_SERVED)
        return await handlers[name](call, container, blob)

    def error(self, refused: StorageRefused) -> web.Response:
        if refused.status == HTTPStatus.NOT_MODIFIED:  # has no body
            return web.Response(status=304, headers={"x-ms-error-code": refused.code})
        text = (
            f"{_DECLARATION}<Error><Code>{refused.code}</Code>"
            f"<Message>{escape(refused.message)}</Message></Error>"
        )
        headers = {**_XML, "x-ms-error-code": refused.code, **refused.headers}
        return web.Response(body=text.encode(), status=refused.status, headers=headers)

    async def _create_container(self, _call: Call, container: str, _: str) -> web.StreamResponse:
        if not _CONTAINER.fullmatch(container):
            raise invalid(
                "The specified resource name contains invalid characters.", "InvalidResourceName"
            )
        if self._storage.has_blobs(container):
            raise StorageRefused(
                409, "ContainerAlreadyExists", "The specified container already exists."
            )
        self._storage.blobs(container)
        return web.Response(status=201)

    async def _list(self, call: Call, container: str, _: str) -> web.StreamResponse:
        prefix, limit = call.query.get("prefix", ""), _page_size(call)
        if not prefix.isprintable():  # no name begins so, and XML could not show it
            raise invalid("prefix is no text of a name", "InvalidQueryParameterValue")
        files, after = self._files(container), _after(call.query.get("marker", ""))
        shown, is_more = await files.page(prefix, after, limit)
        marker = base64.urlsafe_b64encode(shown[-1].name.encode()).decode() if is_more else ""
        text = (
            f'{_DECLARATION}<EnumerationResults ServiceEndpoint="{escape(_url(call))}"'
            f' ContainerName="{container}"><Prefix>{escape(prefix)}</Prefix>'
            f"<MaxResults>{limit}</MaxResults>"
            f"<Blobs>{''.join(map(_element, shown))}</Blobs>"
            f"<NextMarker>{marker}</NextMarker></EnumerationResults>"
        )
        return web.Response(body=text.encode(), headers=_XML)

    async def _put(self, call: Call, container: str, blob: str) -> web.StreamResponse:
        kind = call.header("x-ms-blob-type")
        if kind != "BlockBlob":
            raise not_implemented(f"blobs of the type {kind[:80]!r}")
        files = self._files(container)
        version = await files.put(blob, call.pieces(CONTENT_MAX_BYTES), _condition(call))
        return web.Response(status=201, headers=_heads(version))

    async def _stage(self, call: Call, container: str, blob: str) -> web.StreamResponse:
        block = _block_id(call.query.get("blockid", ""))
        await self._files(container).stage(blob, block, call.pieces(CONTENT_MAX_BYTES))
        return web.Response(status=201)

    async def _commit(self, call: Call, container: str, blob: str) -> web.StreamResponse:
        files = self._files(container)
        listed = _BLOCK_LIST.fullmatch((await call.body(LIST_MAX_BYTES)).decode(errors="replace"))
        blocks, end = [], 0
        for match in _BLOCK.finditer(listed[1] if listed else ""):
            if match.start() != end:
                break
            if match[1] != "Latest":
                raise not_implemented(f"a block list with {match[1]}")
            blocks.append(_block_id(match[2]))
            end = match.end()
        if listed is None or listed[1][end:].strip():
            raise invalid("XML specified is not syntactically valid.", "InvalidXmlDocument")
        if len(blocks) > BLOCKS_MAX:
            raise StorageRefused(
                400, "BlockListTooLong", "The block list may not contain more than 50,000 blocks."
            )
        version = await files.commit(blob, blocks, _condition(call))
        return web.Response(status=201, headers=_heads(version))

    async def _get(self, call: Call, container: str, blob: str) -> web.StreamResponse:
        async with self._files(container).opened(blob) as stored:
            version = _there(None if stored is None else stored[0])
            assert stored is not None
            _condition(call)(version)
            asked = call.header("x-ms-range") or call.header("Range")
            start, end = _range(asked, version.size_bytes)
            response = web.StreamResponse(status=206 if asked else 200, headers=_heads(version))
            if asked:
                where = f"bytes {start}-{end - 1}/{version.size_bytes}"
                response.headers["Content-Range"] = where
            response.content_length = end - start
            await response.prepare(call.request)
            try:
                async for piece in pieces_of(stored[1], start, end - start):
                    await response.write(piece)
            except OSError:  # the client has left, or the disk fails: the answer has begun
                if call.request.transport is not None:
                    call.request.transport.abort()
            return response

    async def _show(self, call: Call, container: str, blob: str) -> web.StreamResponse:
        version = _there(self._files(container).version(blob))
        _condition(call)(version)
        response = web.StreamResponse(headers=_heads(version))
        response.content_length = version.size_bytes
        return response

    async def _delete(self, call: Call, container: str, blob: str) -> web.StreamResponse:
        def check(version: BlobVersion | None) -> None:
            _condition(call)(_there(version))

        await self._files(container).delete(blob, check)
        return web.Response(status=202)

    def _files(self, container: str) -> BlobFiles:
        """Return the container. Raises StorageRefused where there is none."""
        if not _CONTAINER.fullmatch(container) or not self._storage.has_blobs(container):
            raise StorageRefused(
                404, "ContainerNotFound", "The specified container does not exist."
            )
        if container not in self._containers:
            blobs = self._storage.blobs(container)
            assert isinstance(blobs, FolderBlobs)
            self._containers[container] = BlobFiles(blobs, self._clock)
        return self._containers[container]


Handler = Callable[[Call, str, str], Awaitable[web.StreamResponse]]


def _there(version: BlobVersion | None) -> BlobVersion:
    if version is None:
        raise StorageRefused(404, "BlobNotFound", "The specified blob does not exist.")
    return version


def _condition(call: Call) -> Check:
    """Return the check of `If-Match` and `If-None-Match`, which raises StorageRefused."""
    match, none_match = call.header("If-Match"), call.header("If-None-Match")

    def check(version: BlobVersion | None) -> None:
        etags = set() if version is None else {version.etag, version.etag.strip('"'), "*"}
        if match and match not in etags:
            raise StorageRefused(
                412, "ConditionNotMet", "The condition specified was not met: If-Match."
            )
        if not none_match or none_match not in etags:
            return
        if call.method in {"GET", "HEAD"}:
            raise StorageRefused(304, "ConditionNotMet", "The blob has not changed.")
        if none_match == "*":
            raise StorageRefused(409, "BlobAlreadyExists", "The specified blob already exists.")
        raise StorageRefused(412, "ConditionNotMet", "The condition was not met: If-None-Match.")

    return check


def _range(asked: str, size: int) -> tuple[int, int]:
    """Return the first byte and the one behind the last. Raises StorageRefused."""
    if not asked:
        return 0, size
    match = _RANGE.fullmatch(asked)
    if match is None:
        raise invalid("a range is bytes=<first>-<last>", "InvalidHeaderValue")
    start = int(match[1])
    end = min(int(match[2]) + 1, size) if match[2] else size
    if start >= end:
        raise StorageRefused(
            416,
            "InvalidRange",
            "The range specified is invalid for the current size of the resource.",
            {"Content-Range": f"bytes */{size}"},
        )
    return start, end


def _block_id(text: str) -> str:
    """Return the base64 *text* in hexadecimal digits. Raises StorageRefused."""
    try:
        block = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as problem:
        raise invalid("a block's id is base64", "InvalidQueryParameterValue") from problem
    if not 1 <= len(block) <= BLOCK_ID_MAX:
        raise invalid(
            f"a block's id has 1 to {BLOCK_ID_MAX} bytes", "OutOfRangeQueryParameterValue"
        )
    return block.hex()


def _page_size(call: Call) -> int:
    asked = call.query.get("maxresults", str(PAGE_MAX))
    if not re.fullmatch(r"[0-9]{1,9}", asked) or int(asked) == 0:
        raise invalid("maxresults must be a number from 1", "OutOfRangeQueryParameterValue")
    return min(int(asked), PAGE_MAX)


def _after(marker: str) -> str:
    """Return the name behind which a page begins. Raises StorageRefused."""
    try:
        return base64.b64decode(marker, b"-_", validate=True).decode()
    except ValueError as problem:
        raise invalid("marker is none of this list", "InvalidQueryParameterValue") from problem


def _heads(version: BlobVersion | None) -> dict[str, str]:
    """Return the headers about a blob; empty where it was deleted just now."""
    if version is None:
        return {}
    return {
        "ETag": version.etag,
        "Last-Modified": format_datetime(version.stored_at, usegmt=True),
        "Content-Type": "application/octet-stream",
        "Accept-Ranges": "bytes",
        "x-ms-blob-type": "BlockBlob",
    }


def _element(blob: NamedVersion) -> str:
    version = blob.version
    changed = format_datetime(version.stored_at, usegmt=True)
    return (
        f"<Blob><Name>{escape(blob.name)}</Name><Properties>"
        f"<Last-Modified>{changed}</Last-Modified><Etag>{version.etag.strip(chr(34))}</Etag>"
        f"<Content-Length>{version.size_bytes}</Content-Length>"
        "<Content-Type>application/octet-stream</Content-Type><BlobType>BlockBlob</BlobType>"
        "</Properties></Blob>"
    )


def _url(call: Call) -> str:
    return f"{call.request.scheme}://{call.request.host}/{call.account}"
