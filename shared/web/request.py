"""The request of a route handler and its answer: no Azure, no status codes in services."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel

from shared.kernel.context import Context, Scope
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Invalid, NotFound, Violation
from shared.kernel.ids import EnvironmentKey, OperationId, parse_id
from shared.messaging.unit_of_work import Json, Outcome

B = TypeVar("B")
_DIGITS_MAX: Final = 18
_ETAGS: Final = re.compile(r'"[^"]*"')
_ENTITY_TAG: Final = re.compile(r'(?:W/)?"[!#-~]*"')
_ENTITY_TAGS: Final = re.compile(rf"\s*{_ENTITY_TAG.pattern}(?:\s*,\s*{_ENTITY_TAG.pattern})*\s*")


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
    """The header as it was sent: the etags that the caller has."""
    signature: str = field(default="", repr=False)
    """`X-Hub-Signature-256` as it was sent: who calls a webhook proves by it who says so."""
    content: bytes = b""
    """The raw body, for routes that take bytes."""
    token: str = field(default="", repr=False)
    """The caller's bearer token, to ask another service of the platform as the same caller."""

    @property
    def scope(self) -> Scope:
        return self.ctx.scope

    def has_known(self, etag: str) -> bool:
        """Return whether the caller has *etag*, by a weak comparison (RFC 9110, 13.1.2).

        An etag without its quotes is taken as one with them.
        """
        sent = (self.if_none_match or "").strip()
        return sent in {"*", etag.strip('"')} or etag in _ETAGS.findall(sent)

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        """Return the query parameter *name* as a whole number in its bounds.

        Raises:
            Invalid: it is not a number, or out of bounds.
        """
        text = self.query.get(name)
        if text is None:
            return default
        # Length first: Python refuses to read thousands of digits.
        is_number = text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX
        if not is_number or not least <= int(text) <= most:
            raise _refusal("OutOfRange", name, f"a whole number from {least} to {most}", text)
        return int(text)

    def choice(self, name: str, allowed: Iterable[str]) -> str | None:
        """Return the query parameter *name*, which is one of *allowed*. Raises Invalid."""
        text, names = self.query.get(name), list(allowed)
        if text is not None and text not in names:
            raise _refusal("NotAllowed", name, f"one of {', '.join(names)}", text)
        return text

    def names(self, name: str, kind: str) -> Sequence[str]:
        """Return the names of *kind* that the query parameter *name* lists; none without it.

        Raises:
            Invalid: it lists nothing, or a name twice.
        """
        text = self.query.get(name)
        if text is None:
            return ()
        names = [part.strip() for part in text.split(",") if part.strip()]
        if not names or len(set(names)) < len(names):
            expected = f"names of {kind}, separated by commas, each once"
            raise _refusal("PatternMismatch", name, expected, text)
        return names

    def environment(self, name: str = "environmentId") -> EnvironmentKey | None:
        """Return the environment that the query parameter *name* names. Raises Invalid."""
        text = self.query.get(name)
        try:
            return None if text is None else parse_id(text, "env").environment
        except NotFound as problem:
            raise _refusal("PatternMismatch", name, "the id of an environment", text or "") from (
                problem
            )

    def next_link(self, continuation: str | None) -> str | None:
        """Return the URL of the same query from *continuation* on; None at the end."""
        if continuation is None:
            return None
        return self.link(continuation=continuation)

    def link(self, **changed: str) -> str:
        """Return the URL of the same query with the parameters *changed*."""
        return f"{self.url}?{urlencode({**self.query, **changed})}"


def _refusal(code: str, name: str, expected: str, text: str) -> Invalid:
    return Invalid(
        f"query parameter {name}: expected {expected}, got {text[:40]!r}",
        target=name,
        details=[Violation(code, name, f"expected {expected}", expected, text[:40])],
    )


def entity_tags(header: str, text: str) -> tuple[str, ...]:
    """Return the etags that `If-Match` or `If-None-Match` lists (RFC 9110, 13.1.1 and 13.1.2).

    A weak one keeps its `W/`, which no etag of the store has.
    """
    tags = ("*",) if text.strip() == "*" else tuple(_ENTITY_TAG.findall(text))
    if not tags or (tags != ("*",) and not _ENTITY_TAGS.fullmatch(text)):
        raise Invalid(
            f'{header}: expected * or entity tags such as "5", got {text[:80]!r}',
            target=header,
        )
    return tags


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

    @property
    def content(self) -> bytes:
        """The body as it is sent."""
        match self.body:
            case None:
                return b""
            case bytes(content):
                return content
            case BaseModel():
                return self.body.model_dump_json(by_alias=True).encode()
            case _:
                return json.dumps(self.body, separators=(",", ":")).encode()


def ok(
    body: BaseModel | Mapping[str, Any],
    *,
    etag: str | None = None,
    is_composite: bool = False,
    is_repeat: bool = False,
) -> Answer:
    """Return 200. *etag* is the aggregate's, for `If-Match`.

    A composite view shows more than the aggregate, so its etag never answers 304.
    """
    headers = {"ETag": etag} if etag else {}
    headers |= repeat_header(is_repeat=is_repeat)
    return Answer(200, body, headers, is_composite=is_composite)


def answered(outcome: Outcome[Json], *, status: int = 200, location: str | None = None) -> Answer:
    """Return the answer of a command that is done at once; a repeat says that it is one."""
    headers = {} if location is None else {"Location": location}
    return Answer(status, outcome.value, {**headers, **repeat_header(is_repeat=outcome.is_repeat)})


def repeat_header(*, is_repeat: bool) -> dict[str, str]:
    """Return the header by which an answer says that it is the first one's, given again."""
    return {"Repeatability-Result": "accepted"} if is_repeat else {}


def created(
    body: BaseModel | Mapping[str, Any], location: str, *, is_repeat: bool = False
) -> Answer:
    return Answer(201, body, {"Location": location, **repeat_header(is_repeat=is_repeat)})


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
        **repeat_header(is_repeat=is_repeat),
    }
    return Answer(202, body, headers)


def operation_path(operation: OperationId | str) -> str:
    return f"/v1/runtime/operations/{operation}"
