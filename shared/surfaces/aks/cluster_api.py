"""The API server, as far as the adapter asks it: plain JSON over lightkube's connection.

lightkube opens the connection and knows who we are. Its models stay aside: they refuse the part of
an object that server-side apply may send, its watches have no bookmarks, its deletions no
preconditions, its logs no limit of bytes, and it has no call for a pod's proxy.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar
from urllib.parse import quote

from pydantic_core import from_json

from shared.kernel.errors import Invalid, NotFound, Unavailable
from shared.surfaces.aks.answer_shapes import (
    causes_of,
    change_of,
    decoded,
    groups_of,
    mapping,
    named_object,
    page_of,
)
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


@dataclass(frozen=True)
class Kind:
    """One kind of object and where the API server has it."""

    version: str
    name: str
    plural: str
    is_namespaced: bool = True

    def path(self, namespace: str | None = None, name: str | None = None, sub: str = "") -> str:
        root = "/apis/" if "/" in self.version else "/api/"
        place = f"namespaces/{_part(namespace)}/" if self.is_namespaced and namespace else ""
        object_path = f"/{_part(name)}" if name else ""
        return f"{root}{self.version}/{place}{self.plural}{object_path}{sub}"


def _part(name: str) -> str:
    return quote(name, safe=":")


NAMESPACES: Final = Kind("v1", "Namespace", "namespaces", is_namespaced=False)
NODES: Final = Kind("v1", "Node", "nodes", is_namespaced=False)
CONFIG_MAPS: Final = Kind("v1", "ConfigMap", "configmaps")
PODS: Final = Kind("v1", "Pod", "pods")
SERVICES: Final = Kind("v1", "Service", "services")
DEPLOYMENTS: Final = Kind("apps/v1", "Deployment", "deployments")
JOBS: Final = Kind("batch/v1", "Job", "jobs")
CRON_JOBS: Final = Kind("batch/v1", "CronJob", "cronjobs")
BUDGETS: Final = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
GATEWAYS: Final = Kind("gateway.networking.k8s.io/v1", "Gateway", "gateways")
GATEWAY_CLASSES: Final = Kind(
    "gateway.networking.k8s.io/v1", "GatewayClass", "gatewayclasses", is_namespaced=False
)
AUTOSCALERS: Final = Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
ROUTES: Final = Kind("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes")


class ApiAway(Unavailable):
    """The API server did not answer, is overloaded, or its certificate or our token is refused."""

    code = Unavailable.code


class ApiRefusal(Exception):
    """The API server refuses a request; `message` is its own sentence.

    `causes` are the fields it names, each with a reason and a message.
    """

    def __init__(
        self, status: int, reason: str, message: str, causes: tuple[Mapping[str, str], ...]
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.causes = causes

    @property
    def names_an_object(self) -> bool:
        """Return whether it is about one object, and not about a kind that is not served."""
        return self.reason == "NotFound" and "the requested resource" not in self.message

    @property
    def is_of_fields(self) -> bool:
        """Return whether others own fields of an applied object, and it is no older than theirs."""
        return self.status == HTTPStatus.CONFLICT and bool(self.causes)


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
                raise _refusal(response.status_code, await _bounded(response, ERROR_BYTES_MAX))
            async for line in _lines(response):
                change, found = change_of(from_json(line))
                if change == "ERROR":
                    raise _refusal_of(found)
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
                raise _refusal(response.status_code, await _bounded(response, ERROR_BYTES_MAX))
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


_WAIT_MAX_S: Final = 3600
_MANAGED: Final = {"fieldManager": MANAGER}
_DRY_RUN: Final = {"dryRun": "All"}
_AWAY: Final = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
"""The same request may succeed later."""


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


def _refusal(status: int, content: bytes) -> Exception:
    try:
        answer = from_json(content)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or answer.get("kind") != "Status":
        answer = {"message": f"the API server answered {status}"}
    return _refusal_of({**answer, "code": status})


def _refusal_of(status: Object) -> Exception:
    code, message = status.get("code"), str(status.get("message", ""))[:2000]
    if not isinstance(code, int):
        return ApiAway("the API server gave an error without a code")
    details = status.get("details")
    # A namespace that is going refuses with 403 until it is gone.
    is_passing = "being terminated" in message
    if code in _AWAY or is_passing:
        return ApiAway(
            f"the API server answered {code}: {message}",
            retry_after_s=_wait_s(details),
            throttled=code == HTTPStatus.TOO_MANY_REQUESTS,
        )
    causes = causes_of(details)
    return ApiRefusal(code, str(status.get("reason", "")), message, causes)


def _wait_s(details: Any) -> float:
    """Return how long the server wants us to wait: one second where it says nothing of sense."""
    value = details.get("retryAfterSeconds") if isinstance(details, dict) else None
    return float(value) if isinstance(value, int) and 0 < value <= _WAIT_MAX_S else 1.0


def reason_of(problem: Exception) -> str:
    """Return the sentence of an error of this module or of `ClusterAccess`."""
    if isinstance(problem, ApiRefusal | Unavailable | Invalid | NotFound):
        return problem.message
    return str(problem)
