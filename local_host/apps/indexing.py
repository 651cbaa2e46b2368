"""Indexes an app: from its folder, or app object, to its functions.

The module is imported as the worker does it and read once through the official library
(`get_functions`). Breaking a rule of the worker costs the whole app, breaking a rule of the host
costs the one function; both are reported, and the host goes on.
"""

import inspect
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from local_host.apps import configuration, validation
from local_host.apps.configuration import Configuration, ConfigurationRefused
from local_host.apps.expressions import ExpressionRefused, resolve_all
from local_host.apps.import_problems import explained
from local_host.apps.log_levels import LogLevels, log_levels_of
from local_host.apps.module_table import ModuleTable
from local_host.apps.timespans import parse_timespan
from local_host.invocation.user_code import described
from local_host.model import App, Binding, IndexedFunction, RetryPolicy


class AppRefused(Exception):
    """An app cannot be indexed: none of its functions runs. One sentence per reason."""

    def __init__(self, app: str, reasons: Sequence[str]) -> None:
        super().__init__(f"{app}: " + "; ".join(reasons))
        self.app = app
        self.reasons = tuple(reasons)


@dataclass(frozen=True)
class FunctionRefusal:
    """One function that will not run, and why."""

    function: str
    reason: str


@dataclass
class IndexedApp:
    """The result of indexing an app. `problem` is there when no function of the app can run."""

    app: App
    configuration: Configuration
    functions: list[IndexedFunction] = field(default_factory=list)
    refusals: list[FunctionRefusal] = field(default_factory=list)
    disabled: list[str] = field(default_factory=list)
    problem: AppRefused | None = None
    register: Any = None
    """The app object itself."""
    levels: LogLevels = field(default_factory=lambda: LogLevels({}))


def index(app: App, environ: Mapping[str, str]) -> IndexedApp:
    """Return the functions of *app*; a problem of the app is part of the result.

    Imports the app's module in a module table of its own, with the app's folder as the working
    directory while it is imported.
    """
    try:
        settings = configuration.load(
            app.name, app.folder, environ, host_json=app.host_json, values=app.values
        )
        levels = log_levels_of(settings)
    except ConfigurationRefused as problem:
        empty = Configuration(app.name, {"version": "2.0"}, {})
        return IndexedApp(app, empty, problem=AppRefused(app.name, [str(problem)]))
    indexed = IndexedApp(app, settings, levels=levels)
    try:
        indexed.register = app.register or _imported(app)
        _index_into(indexed, _functions(app, indexed.register))
    except AppRefused as problem:
        indexed.functions.clear()
        indexed.problem = problem
    except BaseException as problem:  # noqa: BLE001  what the app's objects throw when looked at
        indexed.functions.clear()
        reason = explained(problem, app.folder or Path())
        indexed.problem = AppRefused(app.name, [reason])
    return indexed


def _imported(app: App) -> Any:
    if app.folder is None:
        raise AppRefused(app.name, ["it has neither a folder nor an app object"])
    script = app.folder / f"{app.module}.py"
    if not script.exists():
        raise AppRefused(app.name, [_without_script(script)])
    try:
        with _working_in(app.folder):
            module = ModuleTable(app.folder).load(app.module)
    except BaseException as problem:
        raise AppRefused(app.name, [explained(problem, app.folder)]) from problem
    return _register_of(app, module)


def _without_script(script: Path) -> str:
    """Return what to do where *script* is not there."""
    older = sorted(path.parent.name for path in script.parent.glob("*/function.json"))
    if older:
        return (
            f"{', '.join(older)}: functions with a function.json (programming model 1), which this"
            f" host does not run; write them with decorators in {script.name}, @app.route(…) say:"
            " https://learn.microsoft.com/azure/azure-functions/functions-reference-python"
        )
    return f"{script} does not exist: write the app there, or name another folder"


def _register_of(app: App, module: ModuleType) -> Any:
    from azure.functions import FunctionRegister  # noqa: PLC0415  145 ms, once an app is there

    names = [name for name in dir(module) if isinstance(getattr(module, name), FunctionRegister)]
    if not names:
        raise AppRefused(
            app.name, [f"{app.module}.py defines no app: write app = func.FunctionApp()"]
        )
    if len(names) > 1:
        raise AppRefused(
            app.name,
            [f"{app.module}.py has {len(names)} names for an app ({', '.join(names)}): keep one"],
        )
    return getattr(module, names[0])


def _functions(app: App, register: Any) -> Sequence[Any]:
    try:
        functions: Sequence[Any] = register.get_functions()
    except BaseException as problem:
        raise AppRefused(app.name, [described(problem)]) from problem
    return functions


def _index_into(indexed: IndexedApp, functions: Sequence[Any]) -> None:
    reasons: list[str] = []
    wanted = indexed.configuration.host_value("functions")
    names = [native.get_function_name() for native in functions]
    if isinstance(wanted, list):
        indexed.refusals += [
            FunctionRefusal(str(name), _unknown(names)) for name in wanted if name not in names
        ]
    for native, name in zip(functions, names, strict=True):
        raw = [_binding(json.loads(text)) for text in native.get_raw_bindings()]
        broken = list(validation.signature_refusals(native.get_user_function(), raw))
        reasons += [f"function {name}: {reason}" for reason in broken]
        if broken or (isinstance(wanted, list) and name not in wanted):
            continue
        if _is_disabled(indexed.configuration, name):
            indexed.disabled.append(name)
            continue
        try:
            indexed.functions.append(_function_of(indexed, native, name, raw))
        except (ExpressionRefused, ValueError) as problem:
            indexed.refusals.append(FunctionRefusal(name, str(problem)))
    if reasons:
        raise AppRefused(indexed.app.name, reasons)


def _unknown(names: Sequence[str]) -> str:
    return (
        "host.json lists it under functions, but the app has no function of that name; it has"
        f" {', '.join(names) or 'none'}: correct the list, or remove it to load all"
    )


def _is_disabled(settings: Configuration, name: str) -> bool:
    return settings.is_set(f"AzureWebJobs.{name}.Disabled") or settings.is_set(
        f"AzureWebJobs_{name}_Disabled"
    )


def _binding(raw: Mapping[str, Any]) -> Binding:
    return Binding(
        raw["type"],
        raw["name"],
        str(raw["direction"]).lower(),
        {key: value for key, value in raw.items() if value is not None},
    )


def _function_of(
    indexed: IndexedApp, native: Any, name: str, raw: Sequence[Binding]
) -> IndexedFunction:
    if refusal := validation.name_refusal(name) or validation.binding_refusal(raw):
        raise ValueError(refusal)
    if refusal := validation.async_refusal(native.get_user_function()):
        raise ValueError(refusal)
    values = indexed.configuration.values
    bindings = [
        Binding(each.type, each.name, each.direction, resolve_all(each.properties, values))
        for each in raw
    ]
    handler = native.get_user_function()
    names = {binding.name for binding in bindings}
    return IndexedFunction(
        name=name,
        app=indexed.app.name,
        handler=handler,
        is_async=inspect.iscoroutinefunction(handler),
        trigger=bindings[_trigger_place(native)],
        bindings=bindings,
        retry=_retry(native, indexed.configuration),
        takes_context="context" in inspect.signature(handler).parameters and "context" not in names,
        native=native,
    )


def _trigger_place(native: Any) -> int:
    trigger = native.get_trigger()
    return next(i for i, binding in enumerate(native.get_bindings()) if binding is trigger)


def _retry(native: Any, settings: Configuration) -> RetryPolicy | None:
    own = native.get_settings_dict("retry_policy")
    if own is not None:
        return _policy(own["strategy"], own["max_retry_count"], own.get, "_")
    shared = settings.host_value("retry")
    if not isinstance(shared, Mapping):
        return None
    return _policy(shared.get("strategy"), shared.get("maxRetryCount"), shared.get, "")


def _policy(strategy: Any, count: Any, interval: Any, separator: str) -> RetryPolicy:
    kind = str(strategy).lower().replace("_", "")
    spelled = (lambda first, second: f"{first}_{second}") if separator else _camel
    try:
        if kind == "fixeddelay":
            delay = parse_timespan(str(interval(spelled("delay", "interval"))))
            return RetryPolicy("fixed_delay", int(str(count)), delay, delay)
        if kind == "exponentialbackoff":
            return RetryPolicy(
                "exponential_backoff",
                int(str(count)),
                parse_timespan(str(interval(spelled("minimum", "interval")))),
                parse_timespan(str(interval(spelled("maximum", "interval")))),
            )
    except ValueError as problem:
        raise ValueError(f"its retry policy: {problem}") from problem
    raise ValueError(
        f"its retry strategy is {strategy!r}: write fixed_delay or exponential_backoff"
    )


def _camel(first: str, second: str) -> str:
    return first + second.capitalize()


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
