"""Our trace ids and those of W3C Trace Context, each derived from the other.

A trace id that we made is `trace-` and the 32 hex digits of W3C. A caller may give one of another
form: its digest is the W3C id then, the same in every process. https://www.w3.org/TR/trace-context/
"""

import hashlib
import re
from contextvars import ContextVar
from typing import Final

from shared.kernel.dataclass import dataclass

_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})(?P<span>[0-9a-f]{16})-.+"
)
"""Later versions may append fields; version ff and zero ids are invalid."""
_OURS: Final = re.compile(r"trace-(?!0{32})([0-9a-f]{32})")
host_parent: ContextVar[str] = ContextVar("host_parent", default="")
"""The `traceparent` of the host's own span around this invocation; empty where it has none."""


@dataclass(frozen=True, slots=True)
class TraceParent:
    """A span as others name it: 32 and 16 lower-case hex digits."""

    trace: str
    span: str

    def __str__(self) -> str:
        return f"00-{self.trace}-{self.span}-01"

    @property
    def trace_id(self) -> str:
        """Return the trace in our form."""
        return f"trace-{self.trace}"


def read_traceparent(text: str | None) -> TraceParent | None:
    """Return what a `traceparent` says; None where there is none that is valid."""
    match = _TRACEPARENT.fullmatch(text) if text else None
    return TraceParent(match["trace"], match["span"]) if match else None


def w3c_trace_id(trace_id: str) -> str:
    """Return the 32 hex digits that stand for *trace_id*, one of ours."""
    match = _OURS.fullmatch(trace_id)
    return match[1] if match else hashlib.sha256(trace_id.encode()).hexdigest()[:32]


def span_id_of(operation_id: str) -> str:
    """Return the 16 hex digits of the span that starts the orchestration of an operation.

    Derived, so that activities name their parent without a word in the orchestration's input.
    """
    return hashlib.sha256(operation_id.encode()).hexdigest()[:16]
