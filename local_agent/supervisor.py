"""The supervisor of a state folder: reconciles all its sites until it is canceled.

It may be killed at any moment: workloads and Envoys continue, and the next supervisor adopts them.
The instance records are trusted only while it runs and has reconciled every site once.
It is a part of the agent, which is alone in its state folder: see `agent_lock`.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Final

from local_agent.api_access import ApiAccess
from local_agent.artifacts import Artifacts
from local_agent.cleanup import Cleanup
from local_agent.controller_context import ControllerContext
from local_agent.instance_folder import link_python
from local_agent.probes import probe_session
from local_agent.scratch import ScratchMeter
from local_agent.secret_values import SecretSource
from local_agent.site_controller import SiteController
from local_agent.state_files import (
    CorruptStateFile,
    SiteFolder,
    SurfaceFolder,
)
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Unavailable

INTERVAL_S: Final = 0.2
_AFTER_DEFECT_S: Final = 1.0
_LOG: Final = logging.getLogger(__name__)


class Notifier:
    """Starts the next pass of every loop before its interval has passed."""

    def __init__(self) -> None:
        self._events: list[asyncio.Event] = []

    def notify(self) -> None:
        for event in self._events:
            event.set()

    @contextmanager
    def subscription(self) -> Iterator[asyncio.Event]:
        """Yield the event of one loop, which is set by each notification until the loop ends."""
        event = asyncio.Event()
        self._events.append(event)
        try:
            yield event
        finally:
            self._events.remove(event)


async def supervise(
    folder: SurfaceFolder,
    artifacts: Artifacts,
    secrets: SecretSource,
    notifier: Notifier,
    has_seen_all: asyncio.Event,
    clock: Clock,
    entropy: Entropy,
) -> None:
    """Reconcile all sites of *folder* until canceled, including those that are added later.

    The processes it started continue then. One process at a time may supervise a folder.
    *has_seen_all* is set from when it has reconciled every site once until it ends.
    """
    try:
        async with (
            probe_session() as session,
            asyncio.TaskGroup() as tasks,
        ):
            python_links = link_python(folder.root / "tools")
            scratch = ScratchMeter(clock, folder.root)
            tasks.create_task(scratch.run())
            tasks.create_task(Cleanup(folder, artifacts, clock).run())
            context = ControllerContext(
                clock, entropy, artifacts, python_links, session, tasks, notifier.notify, scratch,
                secrets, ApiAccess(folder.root.parent, clock, entropy),
            )  # fmt: skip
            await _supervise_sites(folder, notifier, context, has_seen_all)
    finally:
        has_seen_all.clear()


async def _supervise_sites(
    folder: SurfaceFolder,
    notifier: Notifier,
    context: ControllerContext,
    has_seen_all: asyncio.Event,
) -> None:
    supervised: dict[Path, asyncio.Task[tuple[int, int] | None]] = {}
    with notifier.subscription() as notification:
        for look in count():
            first_passes: list[asyncio.Event] = []
            for site in folder.sites():
                work = supervised.get(site.path)
                if work is None or (work.done() and work.result() != site.site_version()):
                    first_passes.append(asyncio.Event())
                    supervised[site.path] = context.tasks.create_task(
                        _supervise_site(site, notifier, context, first_passes[-1]),
                        name=site.path.name,
                    )
            if look == 0:
                # Beside this loop: one site may take long, and new ones do not wait for it.
                context.tasks.create_task(_set_after(first_passes, has_seen_all))
            await _wait(notification, INTERVAL_S)


async def _set_after(passes: Sequence[asyncio.Event], has_seen_all: asyncio.Event) -> None:
    for each in passes:
        await each.wait()
    has_seen_all.set()


async def _supervise_site(
    site: SiteFolder, notifier: Notifier, context: ControllerContext, first_pass: asyncio.Event
) -> tuple[int, int] | None:
    """Reconcile *site* until it is deleted; return the version of its document that says so."""
    controller = SiteController(site, context)
    with notifier.subscription() as notification:
        while True:
            wait_s = INTERVAL_S
            version = site.site_version()
            try:
                if await controller.reconcile():
                    return version
            except (CorruptStateFile, OSError, Unavailable) as failed:
                # The next pass tries again; a component in an unknown state is left as it is.
                _LOG.warning("site %s could not be reconciled: %s", controller.name, failed)
            except Exception:  # noqa: BLE001  a defect that one site brings up is not everybody's
                _LOG.exception("site %s could not be reconciled", controller.name)
                controller, wait_s = SiteController(site, context), _AFTER_DEFECT_S
            finally:
                first_pass.set()
            await _wait(notification, wait_s)


async def _wait(notification: asyncio.Event, within_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await notification.wait()
    notification.clear()
