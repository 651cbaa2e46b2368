"""The API server, as far as the adapter asks it: plain JSON over lightkube's connection.

lightkube opens the connection and knows who we are. Its models stay aside: they refuse the part of
an object that server-side apply may send, its watches have no bookmarks, its deletions no
preconditions, its logs no limit of bytes, and it has no call for a pod's proxy.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from pydantic_core import from_json

from shared.kernel.errors import Invalid
from shared.surfaces.aks.answer_shapes import (
    change_of,
    decoded,
    groups_of,
    mapping,
    named_object,
    page_of,
)
from shared.surfaces.aks.api_errors import ApiAway, ApiRefusal, refusal, refusal_of
from shared.surfaces.aks.kinds import Kind
from shared.surfaces.aks.names import MANAGER, selector
from shared.surfaces.aks.pod_places import PodPlaces

if TYPE_CHECKING:
    from httpx2 import Response
    from lightkube import AsyncClient

Object: TypeAlias = dict[str, Any]
"""An object of the API as its JSON."""
T = TypeVar("T")
PAGE: Final = 500
"""Objects in one answer of a list, as kubectl asks."""
_OF_EVERY_SERVER: Final = "apps"
"""A group that no Kubernetes is without."""
_LISTS_MAX: Final = 3
"""How often a list begins again when its pages were compacted away (410)."""
PAGES_MAX: Final = 400
"""Of one list: more objects than a cluster holds pods."""
LIST_WITHIN_S: Final = 120.0
ANSWER_WITHIN_S: Final = 60.0
"""For a whole answer, however it comes; the connection's own time is that between two reads."""
ERROR_BYTES_MAX: Final = 64 * 1024


class ClusterApi:
    """Requests to one cluster. *connect* is asked for the client at each, see `ClusterAccess`."""

    def __init__(self, connect: "Callable[[], Awaitable[AsyncClient]]") -> None:
        self._connect = connect
        self._places = PodPlaces()

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None:
        """Return the object; None where there is none."""
        try:
            return await self._json("GET", kind.path(namespace, name), shape=named_object)
        except ApiRefusal as refusal:
            if refusal.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def groups(self) -> frozenset[str]:
        """Return the names of the API groups that are served.

        Raises:
            ApiAway: also while the API server starts: for a second it lists no more than its own.
        """
        found = await self._json("GET", "/apis", shape=groups_of)
        if _OF_EVERY_SERVER not in found:
            raise ApiAway("the API server does not list all groups that it serves yet")
        return found

    async def list_all(
        self,
        kind: Kind,
        labels: Mapping[str, str],
        *,
        namespace: str | None = None,
        keep: Callable[[Object], T],
    ) -> tuple[list[T], str]:
        """Return what *keep* makes of each object with *labels*, and the version of the list.

        Without a namespace of all. Pages that were compacted meanwhile are read again from the
        first.

        Raises:
            ApiRefusal.
            ApiAway: also for a list without an end, or of something else than objects.
        """
        for attempt in range(_LISTS_MAX):
            try:
                async with _within(LIST_WITHIN_S):
                    return await self._pages(kind.path(namespace), labels, keep)
            except ApiRefusal as refusal:
                if refusal.status != HTTPStatus.GONE or attempt == _LISTS_MAX - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")

    async def _pages(
        self, path: str, labels: Mapping[str, str], keep: Callable[[Object], T]
    ) -> tuple[list[T], str]:
        kept: list[T] = []
        params = {"labelSelector": selector(labels), "limit": str(PAGE)}
        for _ in range(PAGES_MAX):
            page = await self._json("GET", path, params=params, shape=page_of)
            kept += [keep(each) for each in page.items]
            if not page.following:
                return kept, page.version
            if page.following == params.get("continue"):
                raise ApiAway("the API server gave the same page of a list again")
            params["continue"] = page.following
        raise ApiAway(f"the API server gave more than {PAGES_MAX} pages of a list")

    async def create(self, kind: Kind, manifest: Object, *, dry_run: bool = False) -> Object:
        path = kind.path(manifest["metadata"].get("namespace"))
        params = _MANAGED | (_DRY_RUN if dry_run else {})
        return await self._json("POST", path, params=params, body=manifest, shape=named_object)

    async def replace(self, kind: Kind, manifest: Object) -> Object:
        metadata = manifest["metadata"]
        path = kind.path(metadata.get("namespace"), metadata["name"])
        return await self._json("PUT", path, params=_MANAGED, body=manifest, shape=named_object)

    async def apply(
        self, kind: Kind, manifest: Object, *, force: bool = False, dry_run: bool = False
    ) -> Object:
        """Apply *manifest* on the server; with a resourceVersion only to that state of it.

        With *dry_run* the server judges it, and changes nothing.
        """
        metadata = manifest["metadata"]
        return await self._json(
            "PATCH",
            kind.path(metadata.get("namespace"), metadata["name"]),
            params={**_MANAGED, "force": str(force).lower(), **(_DRY_RUN if dry_run else {})},
            body=manifest,
            content_type="application/apply-patch+yaml",  # JSON is YAML
            shape=named_object,
        )

    async def merge(self, kind: Kind, name: str, namespace: str, patch: Object) -> Object:
        return await self._json(
            "PATCH",
            kind.path(namespace, name),
            params=_MANAGED,
            body=patch,
            content_type="application/merge-patch+json",
            shape=named_object,
        )

    async def delete(self, kind: Kind, found: Object) -> None:
        """Delete *found* in its present state, and what it owns afterwards; absent is success."""
        metadata = found["metadata"]
        preconditions = {key: metadata[key] for key in ("uid", "resourceVersion")}
        body = {"propagationPolicy": "Background", "preconditions": preconditions}
        try:
            path = kind.path(metadata.get("namespace"), metadata["name"])
            await self._json("DELETE", path, body=body, shape=mapping)
        except ApiRefusal as refusal:
            if refusal.status != HTTPStatus.NOT_FOUND:
                raise

    async def text(
        self,
        path: str,
        params: Mapping[str, str],
        *,
        namespace: str,
        at_most: int,
        timeout_s: float,
    ) -> tuple[int, bytes]:
        """Return the status and the first *at_most* bytes of what a pod in *namespace* answers.

        Raises:
            ApiAway: no place was free for it, or it was not whole after *timeout_s*.
        """
        try:
            async with (
                self._places.place(namespace),
                _within(timeout_s),
                self._sent("GET", path, params, None, None, timeout_s) as response,
            ):
                return response.status_code, await _bounded(response, at_most)
        except TimeoutError:
            raise ApiAway(f"other answers of pods in {namespace} take too long") from None

    async def changes_since(
        self, kind: Kind, labels: Mapping[str, str], version: str, timeout_s: int
    ) -> AsyncGenerator[tuple[str, Object], None]:
        """Yield each change after *version*, and bookmarks, for about *timeout_s*.

        Raises:
            ApiRefusal: 410, *version* is too old by now.
            ApiAway: nothing came for longer than *timeout_s*, or the connection broke.
        """
        params = {
            "labelSelector": selector(labels),
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(timeout_s),
        }
        async with self._sent("GET", kind.path(), params, None, None, timeout_s + 10) as response:
            if response.is_error:
                raise refusal(response.status_code, await _bounded(response, ERROR_BYTES_MAX))
            async for line in _lines(response):
                change, found = change_of(from_json(line))
                if change == "ERROR":
                    raise refusal_of(found)
                yield change, found

    async def _json(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
        shape: Callable[[Any], T],
    ) -> T:
        content = None if body is None else json.dumps(body).encode()
        async with (
            _within(ANSWER_WITHIN_S),
            self._sent(method, path, params or {}, content, content_type) as response,
        ):
            if response.is_error:
                raise refusal(response.status_code, await _bounded(response, ERROR_BYTES_MAX))
            return shape(decoded(await response.aread()))  # bounded by the connection

    @asynccontextmanager
    async def _sent(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        content: bytes | None,
        content_type: str | None,
        timeout_s: float | None = None,
    ) -> "AsyncIterator[Response]":
        import httpx2  # noqa: PLC0415  heavy: where used

        connection = connection_of(await self._connect())
        request = connection.build_request(
            method,
            path,
            params=params,
            content=content,
            headers={"Content-Type": content_type} if content and content_type else None,
            timeout=httpx2.USE_CLIENT_DEFAULT if timeout_s is None else timeout_s,
        )
        # The connection takes dots out of a path: another object would be asked, with our rights.
        if not request.url.raw_path.partition(b"?")[0].endswith(path.encode()):
            raise Invalid(f"the path {path[:200]!r} leads elsewhere")
        try:
            response = await connection.send(request, stream=True)
            try:
                yield response
            finally:
                await response.aclose()
        except httpx2.HTTPError as away:
            reason = str(away) or type(away).__name__
            if "CERTIFICATE_VERIFY_FAILED" in reason:
                host = request.url.host
                reason = f"who answers at {host} is not this cluster, by its certificate: {reason}"
            raise ApiAway(f"the API server of the cluster is away: {reason[:300]}") from away
        except (ValueError, RecursionError) as unread:
            raise ApiAway("the API server gave an answer that cannot be read") from unread


def connection_of(client: "AsyncClient") -> Any:
    """Return the connection of *client*, an `httpx2.AsyncClient`: lightkube shows it nobody.

    It is locked to one version.
    """
    return client._client._client  # noqa: SLF001


@asynccontextmanager
async def _within(timeout_s: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError:
        raise ApiAway(f"the API server gave no whole answer within {timeout_s:g} s") from None


_MANAGED: Final = {"fieldManager": MANAGER}
_DRY_RUN: Final = {"dryRun": "All"}


async def _bounded(response: "Response", at_most: int) -> bytes:
    content = b""
    async for part in response.aiter_bytes():
        content += part
        if len(content) >= at_most:
            break
    return content[:at_most]


async def _lines(response: "Response") -> AsyncIterator[bytes]:
    """Yield each whole line, without its end; the connection bounds it.

    Only a line feed ends one: a message of a container may have other ends that Unicode knows.
    """
    begun: list[bytes] = []
    async for part in response.aiter_bytes():
        *ends, last = part.split(b"\n")
        for end in ends:
            yield b"".join([*begun, end])
            begun = []
        begun.append(last)
