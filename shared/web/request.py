"""The request of a route handler and its answer: no Azure, no status codes in services."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel

from shared.kernel.context import Context
from shared.kernel.errors import Invalid, Violation
from shared.kernel.ids import OperationId
from shared.kernel.scope import Scope

B = TypeVar("B")


@dataclass(frozen=True)
class Request(Generic[B]):
    """One authenticated, authorised and validated request.

    `path` holds the route's parameters, `query` the known query parameters, both as text.
    """

    body: B
    ctx: Context
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    url: str = ""
    """As it was called, without the query."""
    if_none_match: str | None = None
    content: bytes = b""
    """The raw body, for routes that take bytes."""
    token: str = field(default="", repr=False)
    """The caller's bearer token, to ask another service of the platform as the same caller."""

    @property
    def scope(self) -> Scope:
        return self.ctx.scope

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        """Return the query parameter *name* as a whole number in its bounds.

        Raises:
            Invalid: it is none, or out of bounds.
        """
        text = self.query.get(name)
        if text is None:
            return default
        if not text.isdecimal() or not least <= int(text) <= most:
            expected = f"a whole number from {least} to {most}"
            raise Invalid(
                f"query parameter {name}: expected {expected}, got {text[:40]!r}",
                target=name,
                details=[Violation("OutOfRange", name, "out of range", expected, text[:40])],
            )
        return int(text)

    def next_link(self, continuation: str | None) -> str | None:
        """Return the URL of the same query from *continuation* on; None at the end."""
        if continuation is None:
            return None
        return self.link(continuation=continuation)

    def link(self, **changed: str) -> str:
        """Return the URL of the same query with the parameters *changed*."""
        return f"{self.url}?{urlencode({**self.query, **changed})}"


@dataclass(frozen=True)
class Answer:
    """What goes back. `body` is a resource, JSON, or raw bytes with their own content type."""

    status: int = 200
    body: BaseModel | Mapping[str, Any] | bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    is_composite: bool = False

    @property
    def etag(self) -> str | None:
        return self.headers.get("ETag")


def ok(
    body: BaseModel | Mapping[str, Any], *, etag: str | None = None, is_composite: bool = False
) -> Answer:
    """Return 200. *etag* is the aggregate's, for `If-Match`.

    A composite view shows more than the aggregate, so its etag never answers 304.
    """
    headers = {"ETag": etag} if etag else {}
    return Answer(200, body, headers, is_composite=is_composite)


def created(body: BaseModel | Mapping[str, Any], location: str) -> Answer:
    return Answer(201, body, {"Location": location})


def accepted(
    body: BaseModel | Mapping[str, Any],
    operation: OperationId,
    location: str,
    *,
    is_repeat: bool = False,
) -> Answer:
    """Return 202 with where to watch the operation and where the resource is."""
    headers = {
        "Location": location,
        "Operation-Location": operation_path(operation),
        # The same under the name that clients of Azure Resource Manager look for.
        "Azure-AsyncOperation": operation_path(operation),
        "Retry-After": "1",
    }
    if is_repeat:
        headers["Repeatability-Result"] = "accepted"
    return Answer(202, body, headers)


def operation_path(operation: OperationId | str) -> str:
    return f"/v1/runtime/operations/{operation}"
