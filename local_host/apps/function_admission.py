"""Decides which of the indexed functions run: names, triggers, bindings, routes of the whole host.

Indexing checks each app by itself. This module checks across apps: whether a name or route is
taken, and whether an extension serves a trigger or binding. A function that is refused is moved
from its app's functions to its refusals.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from local_host.apps.configuration import ConfigurationRefused
from local_host.apps.indexing import AppRefused, FunctionRefusal, IndexedApp
from local_host.http_trigger import http_binding
from local_host.http_trigger.http_concurrency import concurrency_limit_of
from local_host.http_trigger.http_pipeline import HttpTarget
from local_host.invocation.worker import Worker
from local_host.model import Extension, IndexedFunction, InputValue, OutputSink
from local_host.routing import route_table
from local_host.routing.route_templates import TemplateRefused, parse

HTTP: Final = "httpTrigger"
WARMUP: Final = "warmupTrigger"


class FunctionAdmission:
    """The apps of one host, without the functions that cannot run."""

    def __init__(self, apps: Sequence[IndexedApp]) -> None:
        self.apps = apps
        self.warnings: list[str] = []
        self._refuse_equal_names()

    @property
    def functions(self) -> Sequence[IndexedFunction]:
        """Every function that may run, of all apps, by name."""
        functions = [function for app in self.apps for function in app.functions]
        return sorted(functions, key=lambda function: function.name.lower())

    def _refuse(self, function: IndexedFunction, reason: str) -> None:
        app = next(each for each in self.apps if each.app.name == function.app)
        app.functions.remove(function)
        app.refusals.append(FunctionRefusal(function.name, reason))

    def _refuse_equal_names(self) -> None:
        """Function names are unique in a host: the second app's function does not run."""
        owners: dict[str, str] = {}
        for app in self.apps:
            for function in list(app.functions):
                owner = owners.setdefault(function.name.lower(), app.app.name)
                if owner != app.app.name:
                    self._refuse(
                        function, f"app {owner} has a function of this name: rename one of them"
                    )

    def serve(
        self, extend: Callable[[Sequence[IndexedFunction]], Sequence[Extension]], worker: Worker
    ) -> Sequence[Extension]:
        """Return the extensions, made for those functions that all of them together can serve.

        An extension must not listen for a function that cannot run, and which can run is known
        only when all extensions exist: so they are made again without the refused ones.
        """
        while True:
            extensions = extend(self.functions)
            if not self._refused_by(extensions, worker):
                return extensions

    def _refused_by(self, extensions: Sequence[Extension], worker: Worker) -> bool:
        before = len(self.functions)
        served = {HTTP.lower(), WARMUP.lower()}
        inputs: dict[str, InputValue] = {}
        outputs: dict[str, OutputSink] = {}
        refusals: dict[str, str] = {}
        for extension in extensions:
            served |= {name.lower() for name in extension.triggers}
            inputs.update({name.lower(): value for name, value in extension.inputs.items()})
            outputs.update({name.lower(): sink for name, sink in extension.outputs.items()})
            refusals.update(extension.refusals)
        for app in self.apps:
            for function in list(app.functions):
                directory = str(app.app.folder or "")
                if function.name in refusals:
                    self._refuse(function, refusals[function.name])
                elif function.trigger.type.lower() not in served:
                    self._refuse(function, _unserved(function, served))
                else:
                    try:
                        worker.prepare(function, app.configuration, directory, inputs, outputs)
                    except (ValueError, ConfigurationRefused) as problem:
                        self._refuse(function, str(problem))
        return len(self.functions) < before

    def http_routes(self) -> list[route_table.Route[HttpTarget]]:
        """Return where the HTTP functions answer; equal routes are refused, overlaps reported."""
        routes = [route for app in self.apps for route in self._routes_of(app)]
        for refused, kept in list(route_table.conflicts(routes)):
            self._refuse(
                refused.target.function,
                f"the route specified ({refused.template.text}) conflicts with the route defined"
                f" by function {kept.name!r}: change one, or list other methods",
            )
            routes.remove(refused)
        self.warnings += [
            f"{first.name} ({first.template.text}) and {hidden.name} ({hidden.template.text})"
            f" overlap: {first.name} answers what both match, because functions are tried in"
            " order of name; write templates that cannot meet"
            for first, hidden in route_table.overlaps(routes)
        ]
        return routes

    def _routes_of(self, app: IndexedApp) -> list[route_table.Route[HttpTarget]]:
        try:
            concurrency = concurrency_limit_of(app.configuration)
        except ConfigurationRefused as problem:
            app.functions.clear()
            app.problem = AppRefused(app.app.name, [str(problem)])
            return []
        prefix = app.configuration.text("extensions", "http", "routePrefix", default="api")
        routes: list[route_table.Route[HttpTarget]] = []
        for function in [f for f in app.functions if f.triggered_by(HTTP)]:
            route = function.trigger.text("route")
            if refusal := route_table.route_refusal(route):
                self._refuse(function, refusal)
                continue
            try:
                template = parse(f"{prefix.strip('/')}/{route.strip('/')}")
            except TemplateRefused as problem:
                self._refuse(function, str(problem))
                continue
            target = HttpTarget(
                function,
                function.trigger.name,
                partial(http_binding.answer, function, http_binding.output_of(function)),
                function.trigger.text("authLevel", "FUNCTION").upper(),
                concurrency,
            )
            methods = route_table.methods_of(function.trigger)
            routes.append(route_table.Route(function.name, template, methods, target))
        return routes


_INSTEAD: Final = {
    "blobtrigger": "upload through an HTTP function that also sends a Service Bus message",
    "queuetrigger": "write @app.service_bus_queue_trigger, whose broker runs here",
    "eventgridtrigger": "write @app.service_bus_topic_trigger, or @app.route for a webhook",
    "eventhubtrigger": "write @app.service_bus_topic_trigger, whose broker runs here",
    "kafkatrigger": "write @app.service_bus_topic_trigger, whose broker runs here",
}


def _unserved(function: IndexedFunction, served: set[str]) -> str:
    kind = function.trigger.type
    instead = _INSTEAD.get(kind.lower(), "write one of those")
    return (
        f"this host serves no {kind}; it serves {', '.join(sorted(served))}: {instead}, or switch"
        f" it off here with AzureWebJobs.{function.name}.Disabled=true in local.settings.json and"
        " run it with Core Tools"
    )
