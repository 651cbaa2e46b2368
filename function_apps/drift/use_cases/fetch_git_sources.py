"""Fetch the sources that are due, by their time or by a webhook, one fetch at a time of each.

A fetch that is killed leaves its source as it was, and due again when its time is over.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from threading import Event
from typing import Final

from function_apps.drift.model.environment_scan import EnvironmentScan, make_due
from function_apps.drift.model.git_source import GitSource, begin_fetch, end_fetch
from function_apps.drift.model.git_state import DesiredState, EnvironmentFolder, read_state
from function_apps.drift.ports import DriftApp
from function_apps.drift.repository import SCANS, SOURCES
from function_apps.drift.use_cases.git_secrets import credential_of
from shared.contracts.values import Reason, TenantId
from shared.git.port import Branch, FetchFailed
from shared.git.threads import in_git_thread
from shared.kernel.concurrency import FairTurns
from shared.kernel.context import Context, timer_context
from shared.kernel.errors import Unavailable
from shared.messaging.sweep import Key, Sweep, every_due
from shared.messaging.unit_of_work import NOTHING, Decision, Json, View
from shared.persistence.store import Document

FETCH: Final = "fetch_due"
FETCHES_AT_ONCE: Final = 16
"""A tenant alone has half of them. Each may hold an answer of 16 MiB; two at once are unpacked."""
RUN: Final = timedelta(minutes=2)
"""In which a run of the timer begins fetches; what waits for its turn then is next."""
READ_WITHIN_S: Final = 60.0
"""The manifests of one source; those of 4 MiB take some seconds."""
_log = logging.getLogger(__name__)


async def fetch_due_sources(app: DriftApp) -> int:
    """Fetch every source that is due, or is so while others are fetched; return how many fetches.

    Tenants take turns, and nothing waits for the end of the slowest fetch: a tenant whose servers
    are slow delays its own sources. After RUN none begins; the next run of the timer has the rest.
    """
    service, count = app.service, 0
    sweep = Sweep(FETCH, SOURCES.type_name, service.store, service.clock, service.sweeps)
    turns, until = FairTurns(FETCHES_AT_ONCE), service.clock.now() + RUN
    running: dict[Key, asyncio.Task[object]] = {}

    async def fetch(document: Document) -> None:
        tenant = TenantId(document.partition.tenant)
        async with turns.turn(tenant):
            if service.clock.now() < until:
                ctx = timer_context(f"drift_{FETCH}", tenant, service.clock, service.entropy)
                await _fetch(SOURCES.decode(document.body).source_id, ctx, app)

    try:
        while service.clock.now() < until:
            for document in await _due(app):
                key = (document.partition, document.id)
                if key not in running:
                    running[key] = asyncio.create_task(
                        sweep.attempt(document, fetch(document)), name=FETCH
                    )
                    count += 1
            if not await _still(running, app.rules.check_due_every):
                return count
        await asyncio.gather(*running.values())
    finally:
        for task in running.values():
            task.cancel()
    return count


async def _due(app: DriftApp) -> Sequence[Document]:
    """Return the sources that are due, those first that are so for longest."""
    service = app.service
    documents = await every_due(SOURCES.type_name, SOURCES.key, service.store, service.clock)
    return sorted(documents, key=lambda each: str(each.body["dueAt"]))


async def _still(running: dict[Key, asyncio.Task[object]], within: timedelta) -> bool:
    """Wait for what is *running*, and take out what has ended; return whether anything is left."""
    if running:
        await asyncio.wait(running.values(), timeout=within.total_seconds())
    for key in [key for key, task in running.items() if task.done()]:
        del running[key]
    return bool(running)


async def _fetch(source_id: str, ctx: Context, app: DriftApp) -> None:
    """Fetch one source, unless somebody else does; scan the environments that it changed."""
    begun = await _begin(source_id, ctx, app)
    if begun is None:
        return
    result = await _read(begun, ctx, app)

    def end(view: View) -> Decision[GitSource | None]:
        stored = view.find(SOURCES, source_id)
        after = end_fetch(stored, begun, result, ctx.now()) if stored else None
        return Decision(after, writes=[SOURCES.put(after)] if after else [])

    outcome = await app.service.work.change(ctx.without_marker(), SOURCES, source_id, end)
    if outcome.value is not None:
        for each in begun.environment_ids:
            if outcome.value.environment(each) != begun.environment(each):
                await _scan(each, ctx, app)


async def _begin(source_id: str, ctx: Context, app: DriftApp) -> GitSource | None:
    def begin(view: View) -> Decision[GitSource | None]:
        stored = view.find(SOURCES, source_id)
        begun = begin_fetch(stored, ctx.now()) if stored else None
        return Decision(begun, writes=[SOURCES.put(begun)] if begun else [])

    outcome = await app.service.work.change(ctx.without_marker(), SOURCES, source_id, begin)
    return outcome.value


async def _scans(source: GitSource, ctx: Context, app: DriftApp) -> Mapping[str, EnvironmentScan]:
    """Return the scans of its environments, of those that are known."""
    scans = {}
    for each in source.environment_ids:
        scan = await app.service.work.find(SCANS, each, ctx.tenant)
        if scan is not None:
            scans[each] = scan
    return scans


async def _read(source: GitSource, ctx: Context, app: DriftApp) -> DesiredState | Reason | None:
    """Return what the repository says, None where nothing is new, or why nothing could be read.

    It raises nothing: a fetch that is not ended is begun again, and nobody is told why.
    """
    try:
        return await _what_it_says(source, ctx, app)
    except FetchFailed as failed:
        return failed.reason
    except Unavailable as problem:
        return Reason(
            code="Unavailable",
            message=f"its secret or its state cannot be read now: {problem}"[:500],
        )
    except Exception:  # noqa: BLE001  the fetch is to end, whatever it was
        _log.exception("the source %s cannot be read", source.source_id)
        return Reason(code="Failed", message="it cannot be read: see the app's log")


async def _what_it_says(source: GitSource, ctx: Context, app: DriftApp) -> DesiredState | None:
    """Return what the repository says, None where nothing is new.

    Raises:
        FetchFailed: the repository or its secret cannot be read, or nothing needs it any more.
        Unavailable: the vault or the store does not answer.
    """
    scans = await _scans(source, ctx, app)
    if scans and all(scan.ended_at is not None for scan in scans.values()):
        message = "all its environments have ended, so it is fetched no more: remove it"
        raise FetchFailed(message, code="EnvironmentsEnded")
    folders = [*_folders(source, scans)]
    is_same = all(each.before.folder == each.folder for each in folders)
    credential = await credential_of(source, ctx, app)
    snapshot = await app.repositories.fetch(
        Branch(source.repository, source.branch),
        [each.folder for each in folders],
        credential=credential,
        known=source.known_commit if is_same else None,
    )
    if snapshot is None:
        return None
    late = Event()
    try:
        async with asyncio.timeout(READ_WITHIN_S):
            return await in_git_thread(read_state, snapshot, folders, late.is_set)
    except TimeoutError as problem:
        message = f"its manifests take longer than {READ_WITHIN_S:g} s to read"
        raise FetchFailed(message, code="TimedOut") from problem
    finally:
        late.set()  # for the thread, which nobody else can end


def _folders(
    source: GitSource, scans: Mapping[str, EnvironmentScan]
) -> Iterator[EnvironmentFolder]:
    for each in source.environment_ids:
        name = scans[each].content.name if each in scans else ""
        yield EnvironmentFolder(source.folder(each, name), name, source.environment(each))


async def _scan(environment_id: str, ctx: Context, app: DriftApp) -> None:
    """Have an environment scanned at the next look for what is due."""

    def decide(view: View) -> Decision[Json]:
        stored = view.find(SCANS, environment_id)
        due = make_due(stored, ctx.now()) if stored else None
        return NOTHING if due is None else Decision({}, writes=[SCANS.put(due)])

    await app.service.work.change(ctx.without_marker(), SCANS, environment_id, decide)
