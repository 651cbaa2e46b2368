"""The piece of work that is being done, for log lines and for what it calls; and where none counts.

No OpenTelemetry here: an app without exporters keeps one small object for each command or message.
`recorder.py` has what the settings ask for.
"""

from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Final, Self

from shared.kernel.errors import Refused, Unavailable
from shared.telemetry.names import ERROR_CODE, OPERATION, Metric, Work

Value = str | int | float


class Span:
    """One piece of work of the trace *trace_id*; the current one inside `with`."""

    __slots__ = ("_token", "attributes", "is_error", "trace_id")

    def __init__(self, trace_id: str, attributes: dict[str, Value]) -> None:
        self.trace_id = trace_id
        self.attributes = attributes
        self.is_error = False
        self._token: Token[Span | None] | None = None

    @property
    def traceparent(self) -> str:
        """How others name it as their parent; empty where it is not recorded."""
        return ""

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        problem: BaseException | None,
        _stack: TracebackType | None,
    ) -> None:
        assert self._token is not None
        _current.reset(self._token)
        if problem is not None:
            self.failed(problem)

    def set(self, name: str, value: Value | None) -> None:
        """Give it the attribute *name*, unless *value* is None."""
        if value is not None:
            self.attributes[name] = value

    def failed(self, problem: BaseException) -> None:
        """Note how it ended; a refusal is its caller's matter, and no error of this work."""
        match problem:
            case Refused(code=code) | Unavailable(code=code):
                self.attributes[ERROR_CODE] = code
            case _:
                self.attributes[ERROR_CODE] = type(problem).__name__
        self.is_error = not isinstance(problem, Refused)

    def part(self, work: Work, name: str, attributes: dict[str, Value]) -> "Span":
        """Return a piece of work that this one waits for."""
        del work, name, attributes
        return NOTHING


class _Nothing(Span):
    """Is not recorded, and leaves what is current as it is. May be entered any number of times."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def set(self, name: str, value: Value | None) -> None:
        pass

    def failed(self, problem: BaseException) -> None:
        pass


NOTHING: Final = _Nothing("", {})
_current: ContextVar[Span | None] = ContextVar("span", default=None)


def current() -> Span:
    """Return the piece of work that is being done; outside of any one that takes nothing."""
    return _current.get() or NOTHING


def log_ids() -> str:
    """Return the trace and the operation of the current work for a log line; empty outside."""
    span = _current.get()
    if span is None:
        return ""
    operation = span.attributes.get(OPERATION)
    return f"{span.trace_id} {operation}" if operation else span.trace_id


class Telemetry:
    """Of one service. This one records nothing; with an exporter it is a `Recorder`."""

    is_on: bool = False
    host_has_spans: bool = False
    """Whether the Functions host around the app has spans of its own, as Azure's has."""

    def span(
        self,
        work: Work,
        name: str,
        trace_id: str,
        attributes: dict[str, Value],
        *,
        parent: str = "",
        span_id: str = "",
    ) -> Span:
        """Return a piece of work, which begins when it is entered.

        *parent* is a `traceparent`; one of another trace is linked. *span_id* is drawn when empty.
        """
        del work, name, parent, span_id
        return Span(trace_id, attributes)

    def add(self, metric: Metric, value: float, attributes: Mapping[str, Value]) -> None:
        """Record *value* of *metric*."""


OFF: Final = Telemetry()
