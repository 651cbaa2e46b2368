"""The supervisor of a state folder: reconciles all its sites until it is cancelled.

It may be killed at any moment: workloads and Envoys continue, and the next supervisor adopts them.
Readers in any process trust the instance records only while a supervisor lives that has reconciled
every site once.
"""

import asyncio
import fcntl
import json
import logging
import os
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import aiohttp

from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Conflict, Unavailable
from shared.surfaces.local_process import processes
from shared.surfaces.local_process.artifacts import Artifacts
from shared.surfaces.local_process.controller_context import ControllerContext
from shared.surfaces.local_process.instance_folder import link_python
from shared.surfaces.local_process.probes import send_probe
from shared.surfaces.local_process.site_controller import SiteController
from shared.surfaces.local_process.state_files import (
    CorruptStateFile,
    SurfaceFolder,
    write_atomically,
)

INTERVAL_S: Final = 0.2
_LOG: Final = logging.getLogger(__name__)


class SupervisorRunning(Conflict):
    """Another process supervises this folder."""


class Notifier:
    """Starts the next pass of every loop before its interval has passed."""

    def __init__(self) -> None:
        self._events: list[asyncio.Event] = []

    def notify(self) -> None:
        for event in self._events:
            event.set()

    def subscribe(self) -> asyncio.Event:
        event = asyncio.Event()
        self._events.append(event)
        return event


class Supervisor:
    """Runs until cancelled; the processes it started continue then."""

    def __init__(
        self,
        folder: SurfaceFolder,
        artifacts: Artifacts,
        notifier: Notifier,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._folder = folder
        self._artifacts = artifacts
        self._notifier = notifier
        self._clock = clock
        self._entropy = entropy

    async def run(self) -> None:
        """Reconcile all sites of the folder, including those that are added later.

        Raises:
            SupervisorRunning: another process does.
        """
        root = self._folder.root
        with _exclusive(root):
            async with (
                aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
                asyncio.TaskGroup() as group,
            ):
                context = ControllerContext(
                    self._clock,
                    self._entropy,
                    self._artifacts,
                    link_python(root / "tools"),
                    partial(send_probe, session),
                    lambda work: _spawn(group, work),
                    self._notifier.notify,
                )
                await self._supervise_sites(group, context)

    async def _supervise_sites(self, group: asyncio.TaskGroup, context: ControllerContext) -> None:
        supervised: set[Path] = set()
        notification = self._notifier.subscribe()
        is_announced = False
        while True:
            first_passes: list[asyncio.Event] = []
            for folder in self._folder.sites():
                if folder.path not in supervised:
                    supervised.add(folder.path)
                    first_pass = asyncio.Event()
                    controller = SiteController(folder, context)
                    group.create_task(self._supervise_site(controller, first_pass))
                    first_passes.append(first_pass)
            if not is_announced:
                for first_pass in first_passes:
                    await first_pass.wait()
                _announce(self._folder.root)
                is_announced = True
            await _wait(notification, INTERVAL_S)

    async def _supervise_site(self, controller: SiteController, first_pass: asyncio.Event) -> None:
        notification = self._notifier.subscribe()
        while True:
            try:
                await controller.reconcile()
            except (CorruptStateFile, OSError, Unavailable) as failed:
                # The next pass tries again; a component in an unknown state is left as it is.
                _LOG.warning("site %s could not be reconciled: %s", controller.name, failed)
            first_pass.set()
            await _wait(notification, INTERVAL_S)


def has_supervisor(root: Path) -> bool:
    """Return whether a live supervisor has reconciled every site below *root* once."""
    try:
        supervisor = json.loads((root / "supervisor.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    ticks = processes.start_ticks(supervisor["pid"])
    return bool(supervisor["boot"] == processes.boot() and supervisor["ticks"] == ticks)


def _announce(root: Path) -> None:
    pid = os.getpid()
    supervisor = {"pid": pid, "ticks": processes.start_ticks(pid), "boot": processes.boot()}
    content = json.dumps(supervisor).encode()
    write_atomically(root / "supervisor.json", content, is_durable=False)


@contextmanager
def _exclusive(root: Path) -> Iterator[None]:
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


def _spawn(group: asyncio.TaskGroup, work: Coroutine[None, None, None]) -> None:
    try:
        group.create_task(work)
    except RuntimeError:
        # The group is ending, and nothing waits for the result.
        work.close()


async def _wait(notification: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await notification.wait()
    except TimeoutError:
        pass
    notification.clear()
