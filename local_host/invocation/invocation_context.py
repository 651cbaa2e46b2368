"""The arguments that describe an invocation to its function: `context`, and `Out` parameters."""

import threading
from dataclasses import dataclass, field
from typing import Any

import azure.functions as func

from local_host.model import NOT_RETRIED, RetryState


class TraceContext:
    """W3C trace context. Both spellings of the library are there."""

    __slots__ = ("_attributes", "_parent", "_state")

    def __init__(self, parent: str, state: str) -> None:
        self._parent = parent
        self._state = state
        self._attributes: dict[str, str] = {}

    @property
    def Traceparent(self) -> str:  # noqa: N802  the worker's name
        return self._parent

    @property
    def Tracestate(self) -> str:  # noqa: N802  the worker's name
        return self._state

    @property
    def Attributes(self) -> dict[str, str]:  # noqa: N802  the worker's name
        return self._attributes

    trace_parent = Traceparent
    trace_state = Tracestate
    attributes = Attributes


@dataclass(slots=True)
class Context:
    """The `context` argument. Its class must be called `Context`."""

    invocation_id: str
    function_name: str
    function_directory: str
    trace_context: TraceContext
    retry_context: RetryState = NOT_RETRIED
    thread_local_storage: threading.local = field(default_factory=threading.local)


class Out(func.Out[Any]):
    """The argument for an output binding; unset is not the same as None."""

    def __init__(self) -> None:
        self._value: Any = None
        self.is_set = False

    def set(self, val: Any) -> None:
        self._value = val
        self.is_set = True

    def get(self) -> Any:
        return self._value
