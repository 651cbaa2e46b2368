"""The one supervisor of a state folder: brings about what is wanted, and keeps it so.

It may be killed at any moment: workloads and Envoys go on, and the next one adopts them. Readers
in any process believe what it wrote only while it lives and has looked at everything once.
"""

import asyncio
import fcntl
import json
import logging
import os
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import aiohttp

from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Conflict, Unavailable
from shared.kernel.ids import ServiceId
from shared.surfaces.errors import TrafficUnavailable
from shared.surfaces.local_process import processes
from shared.surfaces.local_process.artifacts import Artifacts
from shared.surfaces.local_process.component_controller import (
    ComponentController,
    ControllerContext,
    Hosts,
)
from shared.surfaces.local_process.envoy_config import ComponentRoute
from shared.surfaces.local_process.envoy_process import EnvoyAdmin, EnvoyProcess
from shared.surfaces.local_process.instances import make_tools
from shared.surfaces.local_process.probes import probe_over_http
from shared.surfaces.local_process.site_removal import delete_site_files
from shared.surfaces.local_process.state_files import (
    CorruptStateFile,
    DesiredComponent,
    DesiredSite,
    SiteFolder,
    SurfaceFolder,
    write_atomically,
)

LOOK_EVERY_S: Final = 0.2
_LOG: Final = logging.getLogger(__name__)


class SupervisorRunning(Conflict):
    """Another process keeps this folder."""

    code = "SupervisorRunning"


class Notifier:
    """Wakes the looks at the sites before their time."""

    def __init__(self) -> None:
        self._events: list[asyncio.Event] = []

    def ring(self) -> None:
        for event in self._events:
            event.set()

    def new(self) -> asyncio.Event:
        event = asyncio.Event()
        self._events.append(event)
        return event


class Supervisor:
    """Runs until cancelled, and stops nothing then."""

    def __init__(
        self,
        journal: SurfaceFolder,
        artifacts: Artifacts,
        bell: Notifier,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._journal = journal
        self._artifacts = artifacts
        self._bell = bell
        self._clock = clock
        self._entropy = entropy

    async def run(self) -> None:
        """Keep all sites of the folder, those that come later too.

        Raises:
            SupervisorRunning: another process does.
        """
        root = self._journal.root
        with _alone(root):
            async with (
                aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
                asyncio.TaskGroup() as group,
            ):
                shop = ControllerContext(
                    self._clock,
                    self._entropy,
                    self._artifacts,
                    make_tools(root / "tools"),
                    partial(probe_over_http, session),
                    lambda work: _beside(group, work),
                    self._bell.ring,
                )
                await self._keep_all(group, shop)

    async def _keep_all(self, group: asyncio.TaskGroup, shop: ControllerContext) -> None:
        known: set[Path] = set()
        woken = self._bell.new()
        is_announced = False
        while True:
            first: list[asyncio.Event] = []
            for folder in self._journal.sites():
                if folder.folder not in known:
                    known.add(folder.folder)
                    looked = asyncio.Event()
                    keeper = SiteController(folder, shop)
                    group.create_task(self._keep(keeper, looked))
                    first.append(looked)
            if not is_announced:
                for looked in first:
                    await looked.wait()
                _announce(self._journal.root)
                is_announced = True
            await _wait(woken, LOOK_EVERY_S)

    async def _keep(self, keeper: "SiteController", looked: asyncio.Event) -> None:
        woken = self._bell.new()
        while True:
            try:
                await keeper.look()
            except (CorruptStateFile, OSError, Unavailable) as failed:
                # Seen again at the next look; what is unknown is left as it is.
                _LOG.warning("the look at %s did not end: %s", keeper.name, failed)
            looked.set()
            await _wait(woken, LOOK_EVERY_S)


class SiteController:
    """One site: its Envoy, its components, the table between them."""

    def __init__(self, folder: SiteFolder, shop: ControllerContext) -> None:
        self._folder = folder
        self._shop = shop
        self._edge = EnvoyProcess(folder.edge, shop.clock, shop.entropy)
        self._keepers: dict[ServiceId, ComponentController] = {}

    @property
    def name(self) -> str:
        return self._folder.folder.name

    async def look(self) -> None:
        site = self._folder.site()
        if site is None:
            return
        self._shop.ports[self.name] = {site.public_port, site.admin_port}
        if not site.is_wanted:
            await self._end(site)
            return
        await self._edge.keep(site)
        hosts = await self._hosts(site)
        table: list[ComponentRoute] = []
        damaged: list[CorruptStateFile] = []
        for service in self._folder.services():
            try:
                route = await self._keep_component(service, hosts)
            except CorruptStateFile as unreadable:
                damaged.append(unreadable)
                continue
            if route is not None:
                table.append(route)
        if damaged:
            # A table without it would take its traffic away; the last one stays in force.
            raise damaged[0]
        if await EnvoyAdmin(site.admin_port).is_ready():
            await self._edge.publish(table)

    async def _keep_component(self, service: ServiceId, hosts: Hosts) -> ComponentRoute | None:
        wanted = self._folder.wanted(service)
        if wanted is None:
            return None
        keeper = self._keeper(service)
        await keeper.keep(wanted, hosts)
        return keeper.route(self._drop_emptied(wanted, keeper))

    async def _end(self, site: DesiredSite) -> None:
        if not self._folder.edge.exists():
            return
        for service in self._folder.services():
            wanted = self._folder.wanted(service)
            if wanted is not None:
                await self._keeper(service).keep(wanted, {}, is_ending=True)
        if all(keeper.is_gone for keeper in self._keepers.values()) and self._edge.stop():
            self._keepers.clear()
            self._shop.ports.pop(site.spec.environment, None)
            await asyncio.to_thread(delete_site_files, self._folder)

    def _keeper(self, service: ServiceId) -> ComponentController:
        keeper = self._keepers.get(service)
        if keeper is None:
            keeper = ComponentController(self._folder, service, self._shop)
            self._keepers[service] = keeper
        return keeper

    def _drop_emptied(
        self, wanted: DesiredComponent, keeper: ComponentController
    ) -> DesiredComponent:
        """Forget removed revisions that have ended, unless somebody applied them again."""
        if not keeper.emptied(wanted):
            return wanted
        with self._folder.turn():
            latest = self._folder.wanted(wanted.component.service)
            assert latest is not None
            gone = keeper.emptied(latest)
            left = {n: r for n, r in latest.revisions.items() if n not in gone}
            after = replace(latest, revisions=left)
            self._folder.write_wanted(after)
        return after

    async def _hosts(self, site: DesiredSite) -> Hosts:
        if not any(keeper.is_stopping_any for keeper in self._keepers.values()):
            return {}
        try:
            return await EnvoyAdmin(site.admin_port).hosts()
        except TrafficUnavailable:
            return {}


def has_supervisor(root: Path) -> bool:
    """Return whether a living supervisor has looked at everything below *root* once."""
    try:
        said = json.loads((root / "supervisor.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    ticks = processes.start_ticks(said["pid"])
    return bool(said["boot"] == processes.boot() and said["ticks"] == ticks)


def _announce(root: Path) -> None:
    pid = os.getpid()
    said = {"pid": pid, "ticks": processes.start_ticks(pid), "boot": processes.boot()}
    write_atomically(root / "supervisor.json", json.dumps(said).encode(), is_durable=False)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (root / "supervisor.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as held:
            raise SupervisorRunning(f"another process supervises {root.name}") from held
        try:
            yield
        finally:
            (root / "supervisor.json").unlink(missing_ok=True)


def _beside(group: asyncio.TaskGroup, work: Coroutine[None, None, None]) -> None:
    try:
        group.create_task(work)
    except RuntimeError:
        # The group is ending, so nobody waits for the answer any more.
        work.close()


async def _wait(woken: asyncio.Event, at_most_s: float) -> None:
    try:
        async with asyncio.timeout(at_most_s):
            await woken.wait()
    except TimeoutError:
        pass
    woken.clear()
