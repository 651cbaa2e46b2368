"""The host: runs the functions of its apps. Tests and tools embed it in their process.

`start` opens the local cloud, indexes the apps, gives every extension its functions, and begins to
listen. A function that cannot run is reported in `apps` and does not stop the others. State is in
SQLite: a host that was killed continues after its last acknowledged step.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from local_cloud.broker.dead_letters import BrokerDeadLetters
from local_cloud.cloud import CloudSettings, LocalCloud
from local_cloud.sqlite.database import MEMORY, Database
from local_cloud.storage import LocalStorage
from local_host.apps.function_admission import WARMUP, FunctionAdmission
from local_host.apps.indexing import IndexedApp, index
from local_host.embedded_parts import EmbeddedHost
from local_host.extensions import standard_extensions
from local_host.http_trigger.access_keys import AccessKeys, open_access_keys
from local_host.http_trigger.admin_endpoints import AdminEndpoints
from local_host.http_trigger.cors import Cors
from local_host.http_trigger.http_pipeline import HttpPipeline
from local_host.http_trigger.http_server import HttpServer
from local_host.invocation.worker import Worker
from local_host.model import (
    App,
    Extension,
    ExtensionFactory,
    HostContext,
    HttpAnswer,
    HttpCall,
    IndexedFunction,
    Invocation,
    InvocationFailed,
)
from local_host.primary import DATABASE, Primary
from local_host.routing import route_table
from local_host.state_lock import StateInUse
from shared.composition.embedded import install
from shared.composition.identity import Identities
from shared.kernel.clock import Clock, SystemClock
from shared.kernel.entropy import Entropy, SystemEntropy
from shared.surfaces.local_process import write_api_url

_log = logging.getLogger("local_host")
_HOSTNAME: Final = "WEBSITE_HOSTNAME"


@dataclass(frozen=True)
class HostSettings:
    """Settings of the host rather than of an app."""

    port: int | None = None
    """None: no socket, `handle` only; 0: any free port."""
    address: str = "127.0.0.1"
    checks_keys: bool = False
    """Core Tools checks none locally; True does what Azure does."""
    cors: Cors | None = None
    grace_s: float = 10.0
    joins: bool = False
    """Run beside the hosts of the folder that join as well, as instances of one app; one of them is
    the primary. What is shared is in the connections of the apps: such a host has no cloud."""
    threads: int | None = None
    """For plain functions: None as Azure decides, 0 on the loop itself (virtual time)."""
    cloud: CloudSettings = field(default_factory=CloudSettings)
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
        extensions: Sequence[ExtensionFactory] | None = None,
    ) -> None:
        """*database* None: `host.db` in *folder*, closed by `stop`; one that is given stays open.

        Likewise *storage*, which is in memory when the database is.
        """
        names = [app.name for app in apps]
        if len(set(names)) < len(names):
            raise ValueError(f"apps of one host need distinct names, got {', '.join(names)}")
        self._requested = apps
        self.settings = settings or HostSettings()
        self._folder = folder
        self._given_storage = storage
        self._clock = clock or SystemClock()
        self._entropy = entropy or SystemEntropy()
        self._primary = Primary(folder, self._clock, database)
        self._takeover: asyncio.Task[None] | None = None
        self._factories = standard_extensions() if extensions is None else extensions
        self._admission = FunctionAdmission([])
        self.keys: AccessKeys | None = None
        self._server: HttpServer | None = None
        self._closing: list[Callable[[], None]] = []
        self._identities = Identities()
        self._extensions: Sequence[Extension] = ()
        self._pipeline: HttpPipeline | None = None
        self._cloud: LocalCloud | None = None
        self._embedded: EmbeddedHost | None = None

    @property
    def base_url(self) -> str:
        """`http://address:port`; without a socket, an address nobody listens to."""
        port = self._server.port if self._server is not None else 0
        return f"http://{self.settings.address}:{port}"

    @property
    def functions(self) -> Sequence[IndexedFunction]:
        """Every function that runs, of all apps, by name."""
        return self._admission.functions

    @property
    def apps(self) -> Sequence[IndexedApp]:
        """Every app, with the functions that run and why the others do not."""
        return self._admission.apps

    @property
    def warnings(self) -> Sequence[str]:
        """What runs, but may not do what its author meant."""
        return self._admission.warnings

    @property
    def is_primary(self) -> bool:
        """Whether timers and orchestrations run here; a host that joins may become it later."""
        return self._primary.is_here

    async def failed_takeover(self) -> None:
        """Raise what keeps this host from going on where the primary ended; else never return.

        Raises:
            Unavailable: `host.db` is damaged, or cannot be read.
        """
        if self._takeover is not None:
            await asyncio.shield(self._takeover)
        await asyncio.Event().wait()

    async def ensure_agent(self) -> None:
        """Start the agent of the workloads if an app needs it and none runs."""
        if self._embedded is not None and self._embedded.agent.is_wanted:
            await asyncio.to_thread(self._embedded.agent.ensure)

    async def handle(self, call: HttpCall) -> HttpAnswer:
        """Answer *call* as the socket would, without the 230 s limit."""
        assert self._pipeline is not None, "the host has not been started"
        cors = self.settings.cors
        if cors is not None:
            return await cors.handle(call, self._pipeline.handle)
        return await self._pipeline.handle(call)

    async def check_head(self, head: HttpCall) -> HttpAnswer | None:
        """Return the refusal of a call whose long body was not read yet."""
        assert self._pipeline is not None, "the host has not been started"
        return await self._pipeline.check(head)

    async def start(self) -> None:
        """Index, listen, serve.

        Raises:
            OSError: the port is taken.
            StateInUse: another host has the folder, and this one does not join.
            Unavailable: the folder cannot be written, or a database in it is damaged.
            PortTaken: a wire endpoint of the local cloud cannot listen.
            ConfigurationRefused: a setting of `host.json` that an extension needs cannot be read.
        Nothing runs then.
        """
        if self.settings.port is not None:
            self._server = self._open_port(self.settings.port)
            self._publish_hostname()
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    def _publish_hostname(self) -> None:
        """Set `WEBSITE_HOSTNAME`, as Azure does."""
        if _HOSTNAME not in os.environ:
            os.environ[_HOSTNAME] = self.base_url.removeprefix("http://")
            self._closing.append(_withdraw_hostname)

    def _open_port(self, port: int) -> HttpServer:
        server = HttpServer(self.settings.address, port, grace_s=self.settings.grace_s)
        server.open()
        return server

    async def _start(self) -> None:
        self._closing.append(self._primary.close)
        self._take_primary()
        if not self.settings.joins:
            self._announce()
            await self._open_cloud()
        install(self._embedded)
        environ = os.environ if self.settings.environ is None else self.settings.environ
        admission = FunctionAdmission([index(app, environ) for app in self._requested])
        self._admission = admission
        worker = Worker(self._entropy, threads=self.settings.threads)
        self._closing.append(worker.close)
        context = HostContext(
            database=lambda: self._primary.database,
            cloud=self._cloud,
            folder=None if self._server is None else self._folder,
            clock=self._clock,
            entropy=self._entropy,
            invoker=worker,
            configurations={app.app.name: app.configuration for app in admission.apps},
            base_url=lambda: self.base_url,
            grace_s=self.settings.grace_s,
            identities=self._identities,
            webhook_key=lambda extension: self.keys.system(extension) if self.keys else "",
        )
        self._extensions = admission.serve(
            lambda functions: [extend(context, functions) for extend in self._factories], worker
        )
        await self._open_pipeline(worker)
        await self._listen(worker)

    def _announce(self) -> None:
        """Say in the folder where the API answers, before an agent starts workloads that ask it."""
        if self._server is not None:
            write_api_url(self._folder, self.base_url)

    def _take_primary(self) -> None:
        try:
            self._primary.take()
        except StateInUse:
            if not self.settings.joins:
                raise

    async def _open_cloud(self) -> None:
        """Open the host's own cloud, as the one of the apps that name no connections."""
        database, storage = self._primary.database, self._given_storage
        if storage is None:
            in_memory = str(database.path) == MEMORY
            storage = LocalStorage(self._folder, self._clock, in_memory=in_memory)
            self._closing.append(storage.close)
        cloud = self._cloud = LocalCloud(
            database, storage, self.settings.cloud, clock=self._clock, entropy=self._entropy
        )
        await cloud.start()
        self._embedded = EmbeddedHost(
            self._clock,
            self._entropy,
            cloud.broker,
            cloud.storage,
            self._folder,
            BrokerDeadLetters(cloud.broker),
        )

    async def _open_pipeline(self, worker: Worker) -> None:
        table = route_table.RouteTable(self._admission.http_routes())
        mounts = {
            prefix.lower(): handler
            for extension in self._extensions
            for prefix, handler in extension.mounts.items()
        }
        if self.settings.checks_keys:
            self.keys = await self._open_keys(mounts)
        self._pipeline = HttpPipeline(
            table,
            worker,
            mounts=mounts,
            keys=self.keys,
            administration=AdminEndpoints(
                self.functions,
                {
                    kind.lower(): run
                    for extension in self._extensions
                    for kind, run in extension.manual.items()
                },
                lambda: self._warm_up(worker),
                self.keys,
                worker.problems,
                lambda: self.is_primary,
            ),
            entropy=self._entropy,
        )

    async def _open_keys(self, mounts: Iterable[str]) -> AccessKeys:
        """Return the keys in `host.db`, which are those of every host of the folder."""
        with ExitStack() as held:
            if self.is_primary:
                database = self._primary.database
            else:
                database = Database(self._folder / DATABASE)
                held.callback(database.close)
            return await open_access_keys(
                database,
                self._entropy,
                functions=[function.name for function in self.functions],
                extensions=[prefix.rpartition("/")[2] for prefix in mounts],
            )

    async def _warm_up(self, worker: Worker) -> None:
        from azure.functions.warmup import WarmUpContext  # noqa: PLC0415  with the app, not before

        for function in self.functions:
            if function.triggered_by(WARMUP):
                invocation = Invocation(function, {function.trigger.name: WarmUpContext()})
                try:
                    await worker.invoke(invocation)
                except InvocationFailed as failed:
                    _log.error("%s failed: %s", function.name, failed.text, exc_info=failed.cause)

    async def _listen(self, worker: Worker) -> None:
        await self._warm_up(worker)
        is_primary = self.is_primary
        for extension in self._extensions:
            if is_primary or not extension.is_singleton:
                await extension.start()
        if not is_primary:
            self._takeover = asyncio.create_task(self._become_primary())
        if self._server is not None:
            await self._server.start(self.handle, self._clock, check=self.check_head)

    async def _become_primary(self) -> None:
        """Go on where the primary of the folder ended."""
        await self._primary.wait()
        for extension in self._extensions:
            if extension.is_singleton:
                await extension.start()
        _log.info("this host is the primary now: timers and orchestrations run here")

    async def stop(self) -> None:
        """Take nothing new, let what runs finish within the grace, close what was opened.

        An extension that fails to stop does not keep the others from stopping.
        """
        stops: list[Callable[[], Awaitable[None]]] = [self._end_takeover]
        if self._server is not None:
            stops.append(self._server.stop)
        stops += [
            extension.listener.stop
            for extension in reversed(self._extensions)
            if extension.listener is not None
        ]
        stops += [partial(self._end_lifespan, app) for app in self.apps]
        if self._embedded is not None:
            stops.append(self._embedded.close)
        stops += [_close_client_session, self._identities.close]
        if self._cloud is not None:
            stops.append(self._cloud.stop)
        for stop in stops:
            try:
                await stop()
            except Exception:  # noqa: BLE001
                _log.exception("an extension did not stop as it should")
        while self._closing:
            self._closing.pop()()

    async def _end_takeover(self) -> None:
        if self._takeover is not None:
            self._takeover.cancel()
            await asyncio.gather(self._takeover, return_exceptions=True)

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
            except (SystemExit, KeyboardInterrupt):
                _log.exception("%s failed at the end of its lifespan", app.app.name)


async def _close_client_session() -> None:
    """Close the durable client's session, one for the process and bound to this event loop.

    The library has no hook for it; a session left open complains at exit, and a later host on
    another loop would be handed it.
    """
    library = sys.modules.get("azure.durable_functions.models.utils.http_utils")
    if library is not None:
        await library._close_session()  # noqa: SLF001


def _withdraw_hostname() -> None:
    os.environ.pop(_HOSTNAME, None)
