"""What the parts of the host say to each other: functions, invocations, listeners."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol


@dataclass(frozen=True)
class Binding:
    """One binding as `function.json` has it: camelCase keys, enums as upper-case names."""

    type: str
    name: str
    direction: str
    """`in` or `out`."""
    properties: Mapping[str, Any]

    def text(self, key: str, default: str = "") -> str:
        value = self.properties.get(key)
        return default if value is None else str(value)


@dataclass(frozen=True)
class RetryPolicy:
    """`max_retry_count` -1 means for ever."""

    strategy: str
    max_retry_count: int
    delay: timedelta
    maximum_delay: timedelta


@dataclass(frozen=True)
class IndexedFunction:
    """A function the host has accepted. `handler` takes keyword arguments by binding name."""

    name: str
    app: str
    handler: Callable[..., Any]
    is_async: bool
    trigger: Binding
    bindings: Sequence[Binding]
    retry: RetryPolicy | None = None
    takes_context: bool = False
    native: Any = None
    """The library's `Function`, for what only it knows (http type, ASGI app)."""

    def of_type(self, binding_type: str) -> Binding | None:
        wanted = binding_type.lower()
        return next((b for b in self.bindings if b.type.lower() == wanted), None)


@dataclass(frozen=True)
class Invocation:
    """Arguments by binding name; outputs that were set come back under their binding names."""

    function: IndexedFunction
    arguments: Mapping[str, Any]
    retry_count: int = 0
    traceparent: str = ""
    tracestate: str = ""


@dataclass(frozen=True)
class InvocationResult:
    returned: Any
    outputs: Mapping[str, Any] = field(default_factory=dict)
    """Values of `Out` parameters that were set."""


class InvocationFailed(Exception):
    """The function raised; `text` is `<Type>: <message>` and the stack, as Azure reports it."""

    def __init__(self, function: str, text: str, cause: BaseException) -> None:
        super().__init__(text)
        self.function = function
        self.text = text
        self.cause = cause


class Invoker(Protocol):
    """Runs a function with everything a worker does around it (context, outputs, timeout)."""

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        """Raises InvocationFailed."""
        ...


class Listener(Protocol):
    """One trigger type at work; owns its functions' cursors, locks and schedules."""

    async def start(self) -> None:
        """Begin to listen; returns when ready."""
        ...

    async def stop(self) -> None:
        """Take nothing new, let what runs finish (bounded by the host's grace), then return."""
        ...
