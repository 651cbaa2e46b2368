"""The route table: from one row come the binding, authentication, validation and OpenAPI."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import field
from functools import partial
from typing import Any, Final

from pydantic import BaseModel

from shared.kernel.dataclass import dataclass
from shared.web.request import Answer, Request

BODY_MAX_BYTES: Final = 1024 * 1024

Handler = Callable[[Request[Any], Any], Awaitable[Answer]]


@dataclass(frozen=True)
class Route:
    """One row.

    `template` is below the host's root (`v1/runtime/environments/{environmentId}`); templates of
    one app never overlap, because the Functions host matches by function name, not literal-first.
    `permission` None means no token at all: only for health probes. `query` lists the parameters
    that are known; others are refused.
    """

    method: str
    template: str
    handler: Handler
    permission: str | None
    body: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    status: int = 200
    also: Mapping[int, type[BaseModel]] = field(default_factory=dict)
    """Other answers that are no errors, by status: to a `dryRun`, or to a repeated upload."""
    query: Sequence[str] = field(default_factory=tuple)
    takes_bytes: bool = False
    body_max_bytes: int = BODY_MAX_BYTES
    optional_body: bool = False
    is_followed: bool = False
    """Every instance of a workload asks it, by its own token too, and is held: it has a rate of its
    own, and its handler holds a workload to what is its own."""
    name: str = ""

    @property
    def operation_name(self) -> str:
        """Return the handler's name, or the row's own where two rows share a handler."""
        return self.name or self.handler.__name__

    @property
    def described(self) -> str:
        """Return the first paragraph of the handler's docstring."""
        documented = (self.handler.__doc__ or "").strip()
        return documented.split("\n\n")[0].replace("\n", " ")


get: Final = partial(Route, "GET")
post: Final = partial(Route, "POST", status=202)
put: Final = partial(Route, "PUT", status=202)
delete: Final = partial(Route, "DELETE", status=202)
