"""The supervisor of a state folder: reconciles all its sites until it is canceled.

It may be killed at any moment: workloads and Envoys continue, and the next supervisor adopts them.
The instance records are trusted only while a supervisor lives that has reconciled every site once.
It is a part of the agent, which is alone in its state folder: see `agent_lock`.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Final

import aiohttp

from local_agent import processes
from local_agent.artifacts import Artifacts
from local_agent.cleanup import Cleanup
from local_agent.controller_context import ControllerContext
from local_agent.instance_folder import link_python
from local_agent.scratch import ScratchMeter
from local_agent.site_controller import SiteController
from local_agent.state_files import (
    CorruptStateFile,
    SurfaceFolder,
    write_atomically,
)
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Conflict, Unavailable

INTERVAL_S: Final = 0.2
_LOG: Final = logging.getLogger(__name__)


class AgentRunning(Conflict):
    """An agent has this folder, and only one may."""


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


async def supervise(
    folder: SurfaceFolder,
    artifacts: Artifacts,
    notifier: Notifier,
    clock: Clock,
    entropy: Entropy,
) -> None:
    """Reconcile all sites of *folder* until canceled, including those that are added later.

    The processes it started continue then. One process at a time may supervise a folder.
    """
    with _announcement(folder.root) as announce:
        async with (
            aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
            ) as session,
            asyncio.TaskGroup() as tasks,
        ):
            python_links = link_python(folder.root / "tools")
            scratch = ScratchMeter(clock, folder.root)
            tasks.create_task(scratch.run())
            tasks.create_task(Cleanup(folder, artifacts, clock).run())
            context = ControllerContext(
                clock, entropy, artifacts, python_links, session, tasks, notifier.notify, scratch
            )
            await _supervise_sites(folder, notifier, context, announce)


def has_supervisor(root: Path) -> bool:
    """Return whether a live supervisor has reconciled every site below *root* once."""
    try:
        supervisor = processes.read_claim(root / "supervisor.json")
    except OSError:
        return False
    return supervisor is not None and processes.is_alive(supervisor)


async def _supervise_sites(
    folder: SurfaceFolder,
    notifier: Notifier,
    context: ControllerContext,
    announce: Callable[[], None],
) -> None:
    supervised: set[Path] = set()
    notification = notifier.subscribe()
    is_announced = False
    while True:
        first_passes: list[asyncio.Event] = []
        for site in folder.sites():
            if site.path not in supervised:
                supervised.add(site.path)
                first_pass = asyncio.Event()
                controller = SiteController(site, context)
                work = _supervise_site(controller, notifier.subscribe(), first_pass)
                context.tasks.create_task(work)
                first_passes.append(first_pass)
        if not is_announced:
            for first_pass in first_passes:
                await first_pass.wait()
            announce()
            is_announced = True
        await _wait(notification, INTERVAL_S)


async def _supervise_site(
    controller: SiteController, notification: asyncio.Event, first_pass: asyncio.Event
) -> None:
    while True:
        is_deleted = False
        try:
            is_deleted = await controller.reconcile()
        except (CorruptStateFile, OSError, Unavailable) as failed:
            # The next pass tries again; a component in an unknown state is left as it is.
            _LOG.warning("site %s could not be reconciled: %s", controller.name, failed)
        first_pass.set()
        # Nothing happens to a site that was deleted, unless somebody writes.
        await _wait(notification, None if is_deleted else INTERVAL_S)


@contextmanager
def _announcement(root: Path) -> Iterator[Callable[[], None]]:
    """Yield the function that says that every site was seen once; at the end it is taken back."""
    file = root / "supervisor.json"
    content = json.dumps(asdict(processes.this_process())).encode()
    try:
        yield partial(write_atomically, file, content, is_durable=False)
    finally:
        file.unlink(missing_ok=True)


async def _wait(notification: asyncio.Event, within_s: float | None) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await notification.wait()
    notification.clear()
