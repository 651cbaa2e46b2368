"""Reports on the terminal: the boot table, refusals with their fix, log lines.

Colour only on a terminal without `NO_COLOR`; plain text reads the same.
"""

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TextIO

from local_host.apps.connection_addresses import place_of, slips_of
from local_host.apps.indexing import FunctionRefusal, IndexedApp
from local_host.apps.log_levels import LogLevels
from local_host.host import Host
from local_host.invocation.user_code import described, stack_of
from local_host.invocation.worker import current_invocation, invocation_id
from local_host.model import IndexedFunction
from local_host.routing import route_table
from shared.telemetry.work import log_ids

_RED: Final = "31"
_YELLOW: Final = "33"
_GREEN: Final = "32"
_DIM: Final = "2"
_BOLD: Final = "1"
_LEVELS: Final = {"DEBUG": _DIM, "INFO": "", "WARNING": _YELLOW, "ERROR": _RED, "CRITICAL": _RED}
_OF_THE_HOST: Final = ("local_host", "local_cloud")
_DEFAULTS: Final = LogLevels({})
_OF_THE_RUNTIME: Final = ("azure_functions_worker", "azure.", "asyncio", "uvicorn")
"""Below WARNING they are not shown: Microsoft's SDKs log each request and frame at INFO."""


class Terminal:
    """Writes to *stream*, with colour where that can be read."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._has_colour = stream.isatty() and not os.environ.get("NO_COLOR")

    def painted(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._has_colour and colour else text

    def line(self, text: str = "", colour: str = "") -> None:
        # What an app's own errors say may have characters that the stream has not.
        encoding = self._stream.encoding or "utf-8"
        text = text.encode(encoding, "backslashreplace").decode(encoding)
        print(self.painted(text, colour), file=self._stream, flush=True)

    def report_boot(self, host: Host, seconds: float) -> None:
        """Show which functions run and where, and why the others do not."""
        for app in host.apps:
            self._app(app, host)
        for warning in host.warnings:
            self.line(f"warning: {warning}", _YELLOW)
        if host.settings.joins:
            self.line(_role(host))
        count = len(host.functions)
        self.line(
            f"{count} function{'' if count == 1 else 's'} ready on {host.base_url}"
            f" in {seconds:.1f} s. Ctrl-C stops.",
            _GREEN if count else _RED,
        )

    def _app(self, app: IndexedApp, host: Host) -> None:
        folder = f" ({app.app.folder})" if app.app.folder else ""
        self.line(f"{app.app.name}{folder}", _BOLD)
        if app.problem is not None:
            self.line("  NO FUNCTION OF THIS APP RUNS; every one of its routes is 404:", _RED)
            for reason in app.problem.reasons:
                self.line(f"    {reason}", _RED)
        self._functions(app, host)
        for reason, refused in _by_reason(app.refusals).items():
            verb = "does" if len(refused) == 1 else "do"
            self.line(f"  {', '.join(refused)} {verb} not run: {reason}", _RED)
        if _lacks_settings(app.app.folder):
            self.line(
                "  local.settings.json is not there: begin with a copy of"
                " local.settings.sample.json",
                _YELLOW,
            )
        for name in app.disabled:
            self.line(f"  {name} is disabled by AzureWebJobs.{name}.Disabled", _DIM)
        self.line()

    def _functions(self, app: IndexedApp, host: Host) -> None:
        prefix = app.configuration.text("extensions", "http", "routePrefix", default="api")
        rows = sorted(app.functions, key=lambda function: function.name.lower())
        width = max((len(function.name) for function in rows), default=0)
        for function in rows:
            place = place_of(function.trigger, app.configuration)
            text = _described(function, prefix, host) + (f" at {place}" if place else "")
            self.line(f"  {function.name:<{width}}  {text}")
        for function in rows:
            for binding in function.bindings:
                for slip in slips_of(binding, app.configuration):
                    self.line(f"  warning: {function.name}: {slip}", _YELLOW)


def _role(host: Host) -> str:
    if host.is_primary:
        return "This host is the primary of its folder: timers and orchestrations run here."
    return "This host is a secondary: timers and orchestrations run at the primary of its folder."


def _by_reason(refusals: Sequence[FunctionRefusal]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for refusal in refusals:
        names.setdefault(refusal.reason, []).append(refusal.function)
    return names


def _lacks_settings(folder: Path | None) -> bool:
    return (
        folder is not None
        and (folder / "local.settings.sample.json").exists()
        and not (folder / "local.settings.json").exists()
    )


def _described(function: IndexedFunction, prefix: str, host: Host) -> str:
    trigger = function.trigger
    if not function.triggered_by("httpTrigger"):
        form = _DESCRIBED_BY.get(trigger.type.lower(), trigger.type)
        return form.format_map(_Texts(function)).rstrip()
    methods = ",".join(sorted(route_table.methods_of(trigger))) or "any method"
    path = "/".join(part for part in (prefix.strip("/"), trigger.text("route").strip("/")) if part)
    key = ""
    if host.keys is not None and trigger.text("authLevel").upper() == "FUNCTION":
        key = f"?code={host.keys.function(function.name)}"
    return f"[{methods}] {host.base_url}/{path}{key}"


_DESCRIBED_BY: Final = {
    "timertrigger": "timer {schedule}",
    "servicebustrigger": "Service Bus {queueName}{topicName} {subscriptionName}",
    "cosmosdbtrigger": "Cosmos DB {databaseName}/{containerName}",
    "orchestrationtrigger": "orchestrator",
    "activitytrigger": "activity",
    "entitytrigger": "entity",
    "warmuptrigger": "warmup",
}


class _Texts(dict[str, str]):
    """The trigger's properties as text; what is not there is empty."""

    def __init__(self, function: IndexedFunction) -> None:
        super().__init__({k: str(v) for k, v in function.trigger.properties.items()})

    def __missing__(self, key: str) -> str:
        return ""


def report_no_function(terminal: Terminal, host: Host) -> None:
    """Report that no function runs; the host stays up, as in Azure."""
    if host.functions:
        return
    terminal.line(
        "No function runs. The host stays up and answers 404, as Azure does:"
        " correct what is named above and start it again.",
        _RED,
    )


class _LogFormatter(logging.Formatter):
    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self._terminal = terminal

    def format(self, record: logging.LogRecord) -> str:
        at = self.formatTime(record, "%H:%M:%S")
        running = current_invocation.get()
        mark = f" {invocation_id(running[0])[:8]}" if running else ""
        if ids := log_ids():
            mark += f" {ids}"
        text = f"{at} {record.levelname:<8}{mark} {record.name}: {_message(record)}"
        if record.exc_info:
            text += f"\n{self.formatException(record.exc_info)}"
        return self._terminal.painted(text, _LEVELS.get(record.levelname, ""))

    def formatException(self, ei: Any) -> str:  # noqa: N802  the base class's name
        """Start a traceback where the app's own code starts."""
        return stack_of(ei[1])


def _message(record: logging.LogRecord) -> str:
    """Return the text of *record*; what a function logs may be of any kind."""
    try:
        return record.getMessage()
    except Exception as problem:  # noqa: BLE001  user code: arguments that do not fit, a __str__
        return f"{record.msg!r:.200} ({described(problem)})"


def log_to(terminal: Terminal, stream: TextIO, shown: "ShownRecords") -> None:
    """Show INFO and above; DEBUG with `PYTHON_ENABLE_DEBUG_LOGGING=1`, as the worker does."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_LogFormatter(terminal))
    handler.addFilter(shown)
    wants_debug = os.environ.get("PYTHON_ENABLE_DEBUG_LOGGING") == "1"
    logging.basicConfig(
        level=logging.DEBUG if wants_debug else logging.INFO, handlers=[handler], force=True
    )


class ShownRecords(logging.Filter):
    """Lets records through as `logging.logLevel` of the apps says."""

    host: Host | None = None
    """Whose apps decide; until it is there, the defaults do."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING and record.name.startswith(_OF_THE_RUNTIME):
            return False
        running = current_invocation.get()
        app = running[1].app if running else None
        return record.levelno >= self._levels(app).least(_category(record.name, running))

    def _levels(self, app: str | None) -> LogLevels:
        apps = self.host.apps if self.host is not None else ()
        # Lines of the host itself follow the first app.
        chosen = next((each for each in apps if app in (None, each.app.name)), None)
        return _DEFAULTS if chosen is None else chosen.levels


def _category(logger: str, running: tuple[int, IndexedFunction] | None) -> str:
    first, _, part = logger.partition(".")
    if first in _OF_THE_HOST:
        return f"Host.{part}"
    return f"Function.{running[1].name}.User" if running else logger


def standard_output() -> Terminal:
    return Terminal(sys.stdout)
