"""Three families of errors, rendered once per protocol (HTTP, Service Bus, activity, CLI).

`Refused`: the caller must change something. `Unavailable`: try again later. Everything else is a
defect. A service's own errors derive from these and carry their data as attributes. The `code` of
an error is the name of its class, where neither the class nor the raiser gives another; each code
has a row in `docs/errors/`.
"""

from collections.abc import Sequence
from typing import ClassVar, Final

from shared.kernel.dataclass import dataclass

UNREADABLE: Final = (
    ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip
"""What reading foreign content of another shape than ours may raise."""


@dataclass(frozen=True)
class Violation:
    """One thing that is wrong with an input.

    `target` is a JSON pointer into the input (`/components/0/version`), empty for the whole.
    """

    code: str
    target: str
    message: str
    expected: str | None = None
    received: str | None = None

    def __str__(self) -> str:
        """Return all of it as a part of a sentence, for where only one can be shown."""
        place = f"{self.target}: " if self.target else ""
        expected = f" (expected {self.expected}" if self.expected else ""
        got = f", got {self.received}" if expected and self.received else ""
        return f"{place}{self.message}{expected}{got}{')' if expected else ''} [{self.code}]"


class _Coded(Exception):
    code: str

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.code = vars(cls).get("code", cls.__name__)


class Refused(_Coded):
    """The request cannot be honoured as it stands; repeating it changes nothing."""

    http_status: ClassVar[int] = 400

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        target: str | None = None,
        details: Sequence[Violation] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.target = target
        self.details = tuple(details)
        self.headers = headers or {}


class Invalid(Refused):
    """Malformed or out of range: 400."""


class Unauthenticated(Refused):
    """No token, or one that proves nothing: 401."""

    http_status = 401


class Denied(Refused):
    """The caller's own tenant, but a scope is missing: 403."""

    http_status = 403


class NotFound(Refused):
    """Absent, or another tenant's; the caller cannot tell which: 404."""

    http_status = 404


class Conflict(Refused):
    """The state does not allow it: 409. The message says which states do, and who holds it."""

    http_status = 409


class Stale(Refused):
    """An etag, plan or expected version differs from what is stored: 412."""

    http_status = 412


class TooLarge(Refused):
    """A body or list is over its bound: 413."""

    http_status = 413


class LengthRequired(Refused):
    """The body came without its length, and was not read: 411."""

    http_status = 411


class UnsupportedMedia(Refused):
    """The content type is not one the route takes: 415."""

    http_status = 415
    code = "UnsupportedMediaType"


class PlanRefused(Refused):
    """The request is well formed but a plan of it is not possible: 422, every refusal listed."""

    http_status = 422


class PreconditionRequired(Refused):
    """A precondition (`If-Match`, expected version, confirmation) is missing: 428."""

    http_status = 428


class Unavailable(_Coded):
    """A dependency is away or throttles; the same request may succeed after `retry_after_s`."""

    def __init__(
        self, message: str, *, retry_after_s: float = 1.0, throttled: bool = False
    ) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s
        self.throttled = throttled
