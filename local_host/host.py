"""The host: apps in, listeners and HTTP out. Embeddable: tests and tools make it in their process.

`start` offers the host's parts to the apps, indexes them, lets every extension take its functions,
and begins to listen; what cannot run is reported in `apps` and does not stop the rest. State is in
one SQLite database, so a host that was killed goes on where its last acknowledged step was.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from local_host import extensions, http_binding, routes
from local_host.administration import Administration
from local_host.broker.broker import Broker
from local_host.broker.topology import Topology
from local_host.configuration import ConfigurationRefused
from local_host.http_front import HttpFront, HttpTarget
from local_host.http_gate import gate_of
from local_host.http_server import AsgiEntry, HttpServer
from local_host.indexing import IndexedApp, Refusal, index
from local_host.invocation import Worker
from local_host.keys import Keys, open_keys
from local_host.model import (
    App,
    Extend,
    Extension,
    HttpAnswer,
    HttpCall,
    IndexedFunction,
    InputValue,
    Invocation,
    InvocationFailed,
    OutputSink,
    Surroundings,
)
from local_host.route_templates import TemplateRefused, parse
from local_host.storage import LocalStorage
from shared.embedding import Embedding, offer
from shared.kernel.clock import Clock, SystemClock
from shared.kernel.entropy import Entropy, SystemEntropy
from shared.persistence.sqlite import MEMORY, Database

_log = logging.getLogger("local_host")
_HTTP: Final = "httpTrigger"
_WARMUP: Final = "warmupTrigger"
DATABASE: Final = "host.db"


@dataclass(frozen=True)
class HostSettings:
    """What is the host's rather than an app's."""

    port: int | None = None
    """None: no socket, `handle` only; 0: any free port."""
    address: str = "127.0.0.1"
    checks_keys: bool = False
    """Core Tools checks none locally; True does what Azure does."""
    grace_s: float = 10.0
    threads: int | None = None
    """For plain functions: None as Azure decides, 0 on the loop itself (virtual time)."""
    topology: Topology = field(default_factory=Topology)
    """Queues and topics with settings of their own; those of triggers are made anyhow."""
    environ: Mapping[str, str] | None = None
    """App settings from outside; None: the process's environment."""


class Host:
    """One host. `start` once, `stop` once; another may then take over the same database."""

    def __init__(
        self,
        apps: Sequence[App],
        settings: HostSettings | None = None,
        *,
        folder: Path,
        database: Database | None = None,
        storage: LocalStorage | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        parts: Callable[[Broker], Sequence[Extend]] = extensions.standard,
    ) -> None:
        """*database* None: `host.db` in *folder*, closed by `stop`; one that is given stays open.

        Likewise *storage*, which is in memory when the database is.
        """
        self._asked = apps
        self.settings = settings or HostSettings()
        self._folder = folder
        self._given = database
        self._given_storage = storage
        self._clock = clock or SystemClock()
        self._entropy = entropy or SystemEntropy()
        self._parts = parts
        self.apps: Sequence[IndexedApp] = ()
        self.warnings: list[str] = []
        self.keys: Keys | None = None
        self._server: HttpServer | None = None
        self._closing: list[Callable[[], None]] = []
        self._extensions: list[Extension] = []
        self._front: HttpFront | None = None
        self._broker: Broker | None = None

    @property
    def base_url(self) -> str:
        """`http://address:port`; without a socket, an address nobody listens to."""
        port = self._server.port if self._server is not None else 0
        return f"http://{self.settings.address}:{port}"

    @property
    def functions(self) -> Sequence[IndexedFunction]:
        """Every function that runs, of all apps, by name."""
        found = [function for app in self.apps for function in app.functions]
        return sorted(found, key=lambda function: function.name.lower())

    async def handle(self, call: HttpCall) -> HttpAnswer:
        """Answer *call* as the socket would, without the 230 s limit."""
        assert self._front is not None, "the host has not been started"
        return await self._front.handle(call)

    async def start(self) -> None:
        """Index, listen, serve.

        Raises:
            OSError: the port is taken. Nothing runs then.
        """
        if self.settings.port is not None:
            self._server = self._open_port(self.settings.port)
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    def _open_port(self, port: int) -> HttpServer:
        server = HttpServer(
            AsgiEntry(self.handle), self.settings.address, port, grace_s=self.settings.grace_s
        )
        server.open()
        return server

    async def _start(self) -> None:
        database = self._given or Database(self._folder / DATABASE)
        if self._given is None:
            self._closing.append(database.close)
        broker = Broker(database, self.settings.topology, clock=self._clock, entropy=self._entropy)
        await broker.start()
        self._broker = broker
        storage = self._given_storage
        if storage is None:
            in_memory = str(database.path) == MEMORY
            storage = LocalStorage(self._folder, self._clock, in_memory=in_memory)
            self._closing.append(storage.close)
        embedding = Embedding(self._clock, self._entropy, broker, storage, self._folder)
        offer(embedding)
        environ = os.environ if self.settings.environ is None else self.settings.environ
        self.apps = [index(app, environ) for app in self._asked]
        self._refuse_equal_names()
        worker = Worker(self._entropy, threads=self.settings.threads)
        self._closing.append(worker.close)
        surroundings = Surroundings(
            database=database,
            embedding=embedding,
            invoker=worker,
            configurations={app.app.name: app.configuration for app in self.apps},
            base_url=lambda: self.base_url,
            grace_s=self.settings.grace_s,
            webhook_key=lambda extension: self.keys.system(extension) if self.keys else "",
        )
        # A part must not listen for a function that cannot run, and what can run is known only when
        # all parts are there: so they are made again without what was refused.
        parts = self._parts(broker)
        refused = True
        while refused:
            self._extensions = [extend(surroundings, self.functions) for extend in parts]
            refused = self._prepare(worker)
        await self._open_front(worker, database)
        await self._listen(worker)

    def _refuse_equal_names(self) -> None:
        """In one host function names are the host's: the second app's function does not run."""
        owners: dict[str, str] = {}
        for app in self.apps:
            for function in list(app.functions):
                owner = owners.setdefault(function.name.lower(), app.app.name)
                if owner != app.app.name:
                    self._refuse(
                        function, f"app {owner} has a function of this name: rename one of them"
                    )

    def _prepare(self, worker: Worker) -> bool:
        """Refuse what no part serves, make the rest ready; return whether any was refused."""
        before = len(self.functions)
        served = {_HTTP.lower(), _WARMUP.lower()}
        inputs: dict[str, InputValue] = {}
        outputs: dict[str, OutputSink] = {}
        refusals: dict[str, str] = {}
        for extension in self._extensions:
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

    def _refuse(self, function: IndexedFunction, reason: str) -> None:
        app = next(each for each in self.apps if each.app.name == function.app)
        app.functions.remove(function)
        app.refusals.append(Refusal(function.name, reason))

    async def _open_front(self, worker: Worker, database: Database) -> None:
        found = self._routes()
        mounts = {
            prefix.lower(): handler
            for extension in self._extensions
            for prefix, handler in extension.mounts.items()
        }
        if self.settings.checks_keys:
            self.keys = await open_keys(
                database,
                self._entropy,
                functions=[function.name for function in self.functions],
                extensions=[prefix.rpartition("/")[2] for prefix in mounts],
            )
        self._front = HttpFront(
            routes.RouteTable(found),
            worker,
            mounts=mounts,
            keys=self.keys,
            administration=Administration(
                self.functions,
                {
                    kind.lower(): run
                    for extension in self._extensions
                    for kind, run in extension.manual.items()
                },
                lambda: self._warm_up(worker),
                self.keys,
            ),
        )

    def _routes(self) -> list[routes.Route[HttpTarget]]:
        found: list[routes.Route[HttpTarget]] = []
        for app in self.apps:
            prefix = app.configuration.text("extensions", "http", "routePrefix", default="api")
            gate = gate_of(app.configuration)
            for function in [f for f in app.functions if f.triggered_by(_HTTP)]:
                route = function.trigger.text("route")
                if refusal := routes.route_refusal(route):
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
                    http_binding.output_of(function),
                    function.trigger.text("authLevel", "FUNCTION").upper(),
                    gate,
                )
                methods = routes.methods_of(function.trigger)
                found.append(routes.Route(function.name, template, methods, target))
        return self._without_conflicts(found)

    def _without_conflicts(
        self, found: list[routes.Route[HttpTarget]]
    ) -> list[routes.Route[HttpTarget]]:
        for refused, kept in list(routes.conflicts(found)):
            self._refuse(
                refused.target.function,
                f"the route specified ({refused.template.text}) conflicts with the route defined"
                f" by function {kept.name!r}: change one, or list other methods",
            )
            found.remove(refused)
        self.warnings += [
            f"{first.name} ({first.template.text}) and {hidden.name} ({hidden.template.text})"
            f" overlap: {first.name} answers what both match, because functions are tried in"
            " order of name; write templates that cannot meet"
            for first, hidden in routes.overlaps(found)
        ]
        return found

    async def _warm_up(self, worker: Worker) -> None:
        from azure.functions.warmup import WarmUpContext  # noqa: PLC0415  with the app, not before

        for function in self.functions:
            if function.triggered_by(_WARMUP):
                invocation = Invocation(function, {function.trigger.name: WarmUpContext()})
                try:
                    await worker.invoke(invocation)
                except InvocationFailed as failed:
                    _log.error("%s failed: %s", function.name, failed.text, exc_info=failed.cause)

    async def _listen(self, worker: Worker) -> None:
        await self._warm_up(worker)
        for extension in self._extensions:
            if extension.listener is not None:
                await extension.listener.start()
        if self._server is not None:
            await self._server.start(self._clock)

    async def stop(self) -> None:
        """Take nothing new, let what runs finish within the grace, close what was opened."""
        if self._server is not None:
            await self._server.stop()
        for extension in reversed(self._extensions):
            if extension.listener is not None:
                await extension.listener.stop()
        for app in self.apps:
            await self._end_lifespan(app)
        if self._broker is not None:
            await self._broker.stop()
        for close in reversed(self._closing):
            close()
        self._closing.clear()

    async def _end_lifespan(self, app: IndexedApp) -> None:
        """Tell an ASGI application that its server stops; the library does so only when it can."""
        register = app.register
        if getattr(register, "startup_task_done", False):
            register.startup_task_done = False
            try:
                async with asyncio.timeout(self.settings.grace_s):
                    await register.middleware.notify_shutdown()
            except TimeoutError:
                _log.warning("%s did not end its lifespan in time", app.app.name)


def _unserved(function: IndexedFunction, served: set[str]) -> str:
    return f"this host serves no {function.trigger.type}; it serves {', '.join(sorted(served))}"
