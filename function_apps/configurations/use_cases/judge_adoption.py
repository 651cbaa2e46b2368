"""The adoption of the version in force of a layer: synced, failed, or not known yet."""

from collections.abc import Callable, Sequence
from typing import Final

from function_apps.configurations import repository
from function_apps.configurations.events import sync_failed, synced
from function_apps.configurations.model.adoption import (
    InstanceConfiguration,
    ModuleAdoption,
    remember_said,
)
from function_apps.configurations.model.configuration import (
    Adopted,
    AdoptionFailed,
    Configuration,
    Expected,
    State,
    evolve,
    wait,
)
from function_apps.configurations.model.count import (
    Count,
    Module,
    Standing,
    count,
    following_instances,
    starting_instances,
)
from function_apps.configurations.ports import ConfigurationsApp
from function_apps.configurations.repository import ADOPTIONS, HEADS
from function_apps.configurations.use_cases.given_configuration import is_as_given
from shared.contracts.configurations import AdoptionBasis
from shared.kernel.clock import isoformat, parse_instant
from shared.kernel.context import Context, timer_context
from shared.kernel.ids import TenantId, parse_id
from shared.messaging.outbox import Audited, Publish
from shared.messaging.sweep import Sweep
from shared.messaging.unit_of_work import NOTHING, Decision, Json, View
from shared.persistence.store import Document, Partition
from shared.persistence.tables import TableRow

JUDGE: Final = "judge_due"
"""The timer."""
REPORTS_PAGE: Final = 1000
_AFTER_NAMES: Final = "~"
"""Sorts behind every name of an instance."""


async def count_adoption(head: Configuration, ctx: Context, app: ConfigurationsApp) -> Count:
    """Return who is to run the version in force of *head*, and who does."""
    return count(head, await _modules(head, ctx, app))


async def judge_adoption(identity: str, ctx: Context, app: ConfigurationsApp) -> None:
    """Say that the version in force is synced, failed to be, or is synced no more; or nothing.

    All is judged from what is stored, so it may be done again at any time.
    """
    head = await app.service.work.find(HEADS, identity, ctx.tenant)
    if head is None or not head.version:
        return
    modules = await _modules(head, ctx, app)
    counted = count(head, modules)
    for module in modules:
        if module.adoption.is_live:
            await _remember(module, ctx, app)

    def decide(view: View) -> Decision[Json]:
        now_head = view.find(HEADS, identity)
        if now_head is None or now_head.version != head.version:
            return NOTHING
        return _decision(now_head, counted, ctx, app)

    await app.service.work.change(ctx, HEADS, identity, decide)


async def judge_later(identity: str, ctx: Context, app: ConfigurationsApp) -> None:
    """Have the version in force judged once instances that are new had time to ask, or before."""
    at = ctx.now() + app.rules.reported_for

    def decide(view: View) -> Decision[Json]:
        head = view.find(HEADS, identity)
        if head is None or not head.version:
            return NOTHING
        if head.due_at is not None and head.due_at <= isoformat(at):
            return NOTHING
        return Decision({}, writes=[HEADS.put(wait(head, at))])

    await app.service.work.change(ctx, HEADS, identity, decide)


async def _remember(module: Module, ctx: Context, app: ConfigurationsApp) -> None:
    """Keep what the instances of *module* said, unless it changed since it was read."""
    adoption = module.adoption
    after = remember_said(adoption, module.instances, module.current)
    if after is None:
        return

    def decide(view: View) -> Decision[Json]:
        is_same = view.find(ADOPTIONS, adoption.service_id) == adoption
        return Decision({}, writes=[ADOPTIONS.put(after)]) if is_same else NOTHING

    key = parse_id(adoption.environment_id, "env").environment
    document = ADOPTIONS.document_id(adoption.service_id)
    await app.service.work.commit(ctx, Partition(ctx.tenant, key), [document], decide)


def _decision(
    head: Configuration, counted: Count, ctx: Context, app: ConfigurationsApp
) -> Decision[Json]:
    now, again_at = ctx.now(), ctx.now() + app.rules.judge_every
    # What is synced is not taken back by instances that had no time to ask yet.
    if not (counted.late if head.status is State.SYNCED else counted.missing):
        # That an instance runs something else, or did not ask, is no event: time alone shows it.
        silent_at = now + app.rules.reported_for if counted.may_change else None
        if head.status is not State.SYNCED:
            return _said(evolve(head, Adopted, now, silent_at), synced, counted)
        if head.due_at is None and silent_at is None:
            return NOTHING
        return Decision({}, writes=[HEADS.put(wait(head, silent_at))])
    if head.status is State.SYNCED:
        return Decision({}, writes=[HEADS.put(evolve(head, Expected, now, again_at))])
    awaited_since = parse_instant(head.awaited_since or head.published_at or head.updated_at)
    if head.status is State.SYNC_FAILED or now < awaited_since + app.rules.adopted_within:
        return Decision({}, writes=[HEADS.put(wait(head, again_at))])
    return _said(evolve(head, AdoptionFailed, now, again_at), sync_failed, counted)


def _said(
    head: Configuration, event: Callable[[Configuration, Count], Publish], counted: Count
) -> Decision[Json]:
    published = event(head, counted)
    action = type(published.payload).__name__
    return Decision(
        {},
        writes=[HEADS.put(head)],
        outbox=[published],
        audited=Audited(action, head.configuration_id, f"version {head.version}"),
    )


async def _modules(head: Configuration, ctx: Context, app: ConfigurationsApp) -> Sequence[Module]:
    adoptions = await repository.adoptions_below(head.layer, ctx, app)
    return [await _module(adoption, ctx, app) for adoption in adoptions]


async def _module(adoption: ModuleAdoption, ctx: Context, app: ConfigurationsApp) -> Module:
    """Return a module with what its instances run: as they were proved, or as they say."""
    if not adoption.follows:
        return Module(adoption, adoption.instances, adoption.pin)
    ids = (adoption.environment_id, adoption.module_id)
    current = (await repository.read_merge(*ids, ctx, app)).pin
    if not adoption.is_live:
        return Module(adoption, adoption.instances, current)
    reports = await _reports(adoption, ctx, app)
    said_of, now = adoption.said_of, ctx.now()
    standing = Standing(
        proofs=await is_as_given(adoption, adoption.pin, current, ctx, app),
        said=said_of is not None and await is_as_given(adoption, said_of, current, ctx, app),
    )
    instances = following_instances(adoption, reports, now, app.rules.adopted_within, standing)
    starting = starting_instances(adoption, now, app.rules.reported_for)
    return Module(adoption, instances, current, starting)


async def _reports(
    adoption: ModuleAdoption, ctx: Context, app: ConfigurationsApp
) -> Sequence[InstanceConfiguration]:
    """Return what the instances of a live module said within `reported_for`, newest last."""
    now, period = ctx.now(), app.rules.reported_for
    partitions = repository.ReportPartitions(ctx.tenant, adoption.service_id, period)
    await app.reports.delete_before(partitions.emptied(now), _AFTER_NAMES)
    since = isoformat(now - period)
    return [
        InstanceConfiguration(row.row_key, str(row.values["hash"]), at, AdoptionBasis.REPORTED)
        for partition in partitions.read(now)
        for row in await _rows(partition, app)
        if (at := str(row.values["at"])) >= since
    ]


async def _rows(partition: str, app: ConfigurationsApp) -> Sequence[TableRow]:
    found: list[TableRow] = []
    while True:
        after = found[-1].row_key if found else ""
        rows = await app.reports.scan(partition, after=after, limit=REPORTS_PAGE)
        found += rows
        if len(rows) < REPORTS_PAGE:
            return found


async def judge_due(app: ConfigurationsApp) -> int:
    """Judge every version in force that is due; return how many there were."""
    service = app.service
    sweep = Sweep(JUDGE, HEADS.type_name, service.store, service.clock, service.sweeps)

    async def judge(document: Document) -> None:
        tenant = TenantId(document.partition.tenant)
        ctx = timer_context(f"configurations_{JUDGE}", tenant, service.clock, service.entropy)
        await judge_adoption(HEADS.decode(document.body).configuration_id, ctx, app)

    return await sweep.run(judge)
