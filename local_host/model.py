"""The vocabulary of the host: apps, functions, invocations, HTTP messages, extensions.

An extension (timer, Service Bus, Cosmos DB, Durable) is made by a function of type
`ExtensionFactory`. The host calls it after indexing and before anything runs, with all functions.
The `Extension` that it returns states its trigger types, the bindings it reads and writes, and the
paths it answers. `local_host/extensions.py` lists the factories.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from local_cloud.cloud import LocalCloud
from local_cloud.sqlite.database import Database
from shared.composition.identity import Identities
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy

if TYPE_CHECKING:
    from local_host.apps.configuration import Configuration


@dataclass(frozen=True)
class App:
    """A Function App to run: a folder with `host.json`, or an app object that is already there.

    `name` is the site's name (`WEBSITE_SITE_NAME`), distinct in one host. With `register` (a
    `FunctionApp`, `DFApp`, `AsgiFunctionApp` or `WsgiFunctionApp`) nothing is imported; `folder`,
    when given, still supplies `host.json` and `local.settings.json`.
    """

    name: str
    folder: Path | None = None
    register: Any = None
    module: str = "function_app"
    """`PYTHON_SCRIPT_FILE_NAME` without `.py`."""
    values: Mapping[str, str] = field(default_factory=dict)
    """App settings for embedding; they win over the environment and `local.settings.json`."""
    host_json: Mapping[str, Any] | None = None
    """`host.json` for embedding, where there is no folder."""


@dataclass(frozen=True)
class Binding:
    """One binding as `function.json` has it: camelCase keys, `%NAME%` resolved, enums in capitals.

    Compare enum values ignoring case.
    """

    type: str
    name: str
    direction: str
    """`in` or `out`."""
    properties: Mapping[str, Any]

    def text(self, key: str, default: str = "") -> str:
        value = self.properties.get(key)
        return default if value is None else str(value)

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Return a boolean property, which a decorator may also have written as text."""
        value = self.properties.get(key, default)
        return value.lower() == "true" if isinstance(value, str) else bool(value)


@dataclass(frozen=True)
class RetryPolicy:
    """`max_retry_count` -1 means for ever."""

    strategy: str
    """`fixed_delay` or `exponential_backoff`."""
    max_retry_count: int
    delay: timedelta
    maximum_delay: timedelta


@dataclass(frozen=True, eq=False)
class IndexedFunction:
    """A function the host has accepted. `handler` takes keyword arguments by binding name."""

    name: str
    app: str
    handler: Callable[..., Any]
    is_async: bool
    trigger: Binding
    bindings: Sequence[Binding]
    """All of them, the trigger included."""
    retry: RetryPolicy | None = None
    takes_context: bool = False
    native: Any = None
    """The library's `Function`, for what only it knows (http type, ASGI app)."""

    def of_type(self, binding_type: str) -> Binding | None:
        wanted = binding_type.lower()
        return next((b for b in self.bindings if b.type.lower() == wanted), None)

    def triggered_by(self, *trigger_types: str) -> bool:
        """Return whether the trigger is of one of *trigger_types*; case does not matter."""
        return self.trigger.type.lower() in {wanted.lower() for wanted in trigger_types}


@dataclass(frozen=True, slots=True)
class RetryState:
    """What `context.retry_context` tells the function; zeros when nothing is retried."""

    retry_count: int = 0
    max_retry_count: int = 0
    exception: str = ""


NOT_RETRIED = RetryState()


@dataclass(slots=True)  # not frozen: a frozen one costs more to make than all its use
class Invocation:
    """Arguments by binding name: the trigger's value; the host adds inputs, `Out` and `context`."""

    function: IndexedFunction
    arguments: Mapping[str, Any] | Callable[[], Mapping[str, Any]]
    """Called inside the invocation where making them may run user code."""
    encode: Callable[[Any, Mapping[str, Any]], Any] | None = None
    """Turns what was returned, and what was set on `Out` parameters, into what the trigger needs.
    Part of the invocation: what it raises fails the invocation before any output is written."""
    retry: RetryState = NOT_RETRIED
    traceparent: str = ""
    tracestate: str = ""


@dataclass(slots=True)
class InvocationResult:
    """What came out, encoded. The host has already handed outputs to their extensions."""

    returned: Any
    outputs: Mapping[str, Any] = field(default_factory=dict)
    """Values of `Out` parameters that were set, by binding name."""


class InvocationFailed(Exception):
    """The function threw anything, ran out of time, or returned what it may not.

    `text` is `<Type>: <message>`, as Azure reports it; `cause` has the stack.
    """

    def __init__(self, function: str, text: str, cause: BaseException) -> None:
        super().__init__(text)
        self.function = function
        self.text = text
        self.cause = cause


class Invoker(Protocol):
    """Runs a function with everything a worker does around it."""

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        """Run once: input bindings, `Out`, `context`, timeout, return rules, output bindings.

        Raises:
            InvocationFailed: also when an output could not be written.
        """
        ...


class Listener(Protocol):
    """One trigger type at work; owns its functions' cursors, locks and schedules."""

    async def start(self) -> None:
        """Begin to listen; returns when ready."""
        ...

    async def stop(self) -> None:
        """Take nothing new, let what runs finish (bounded by the host's grace), then return."""
        ...


@dataclass(slots=True)
class HttpCall:
    """One HTTP request as received, its body whole."""

    method: str
    path: str
    """Percent-encoded, begins with `/`."""
    query: str = ""
    """Percent-encoded, without `?`."""
    headers: Sequence[tuple[str, str]] = ()
    """Lower-case names, in order; a name may repeat."""
    body: bytes = b""
    origin: str = "http://127.0.0.1"
    """Scheme and host as the caller addressed them."""
    _first: Mapping[str, str] | None = field(default=None, init=False, repr=False, compare=False)

    def header(self, name: str) -> str | None:
        """Return the first value of *name*, which is lower-case."""
        first = self._first
        if first is None:
            first = self._first = dict(reversed(self.headers))
        return first.get(name)


@dataclass(slots=True)
class HttpAnswer:
    status: int
    headers: Sequence[tuple[str, str]] = ()
    """Content-Length is added by the server."""
    body: bytes = b""


HttpHandler = Callable[[HttpCall], Awaitable[HttpAnswer]]
HeadCheck = Callable[[HttpCall], Awaitable[HttpAnswer | None]]
"""Returns the refusal of a call whose long body was not read yet; None where it may be read."""
InputValue = Callable[[Binding, IndexedFunction], Awaitable[Any]]
"""Return the argument for an input binding of one invocation."""
ManualRun = Callable[[IndexedFunction, str], Awaitable[None]]
"""Run a function once outside its trigger, with the text that was given as its input; what it
raises is logged by whoever it belongs to."""
OutputSink = Callable[[Binding, IndexedFunction, Any], Awaitable[None]]
"""Write what a function returned under `$return` or set on an `Out`; durable when it returns."""


@dataclass(frozen=True)
class Extension:
    """What one extension adds to the host. Type names are compared ignoring case."""

    triggers: frozenset[str] = frozenset()
    """Trigger types that `listener` serves; a function of any other type is refused."""
    listener: Listener | None = None
    is_singleton: bool = False
    """One host of a state folder runs `listener`: the primary. It is started in another host when
    that has become the primary."""
    inputs: Mapping[str, InputValue] = field(default_factory=dict)
    outputs: Mapping[str, OutputSink] = field(default_factory=dict)
    mounts: Mapping[str, HttpHandler] = field(default_factory=dict)
    """By path prefix without trailing `/`, matched before any function's route. Paths below
    `/runtime/webhooks` and `/admin` are the host's: no function can have a route there."""
    manual: Mapping[str, ManualRun] = field(default_factory=dict)
    """By trigger type: how `POST /admin/functions/{name}` runs such a function."""
    refusals: Mapping[str, str] = field(default_factory=dict)
    """Why a function, by name, cannot run (a missing connection, say) and what to write."""

    async def start(self) -> None:
        if self.listener is not None:
            await self.listener.start()


@dataclass(frozen=True)
class HostContext:
    """What the host gives each extension."""

    database: Callable[[], Database]
    """`host.db`: each extension runs its own schema script, its tables prefixed with its name. Only
    the primary has it: singletons, and the extensions of a host with a cloud of its own."""
    cloud: LocalCloud | None
    """None in a host that shares its folder: another could not go on with what is in it."""
    folder: Path | None
    """The state folder; None where no other host finds this one: it has no port."""
    clock: Clock
    entropy: Entropy
    invoker: Invoker
    configurations: Mapping[str, "Configuration"]
    """By app name: app settings, `host.json`, connections."""
    base_url: Callable[[], str]
    """`http://127.0.0.1:<port>`, without a path; the port is known once the host has started."""
    grace_s: float
    """How long `stop` may wait for what runs."""
    identities: Identities = field(default_factory=Identities)
    """As which connections without a key are made."""
    webhook_key: Callable[[str], str] = lambda _: ""
    """The system key of an extension, `durabletask` say; empty where nobody is asked for one."""


ExtensionFactory = Callable[[HostContext, Sequence[IndexedFunction]], Extension]
