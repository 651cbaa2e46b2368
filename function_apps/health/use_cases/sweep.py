"""The sweep: every target is looked at side by side, and what is new is committed.

Nothing about a target is written while looks only repeat what is known: the samples go to the
table, which is what tables are cheap at. So a sweep costs the store one query per hundred targets.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from function_apps.health.model.probe_target import DOCUMENT_ID, Target, from_body, to_body
from function_apps.health.model.status_hysteresis import (
    Look,
    is_heartbeat_due,
    is_prober_outage,
    is_worth_keeping,
    judge,
)
from function_apps.health.ports import HealthApp
from function_apps.health.resources import Sample, completed
from function_apps.health.use_cases.probe_service import Seen, blind, look_at
from shared.concurrency import each_of
from shared.contracts.health import HealthSource
from shared.kernel.clock import isoformat
from shared.kernel.ids import TenantId
from shared.kernel.scope import PlatformScope, Scope
from shared.messaging.cause import Cause, caused_by_timer
from shared.messaging.compose import envelope_of
from shared.messaging.outbox import Publish
from shared.messaging.unit_of_work import NOTHING, Audited, Decision, Put, View
from shared.persistence.store import Comparison, Document, Query, Where
from shared.persistence.tables import TableRow

TARGETS_AT_ONCE: Final = 32
_PAGE: Final = 100


async def sweep_due(app: HealthApp, scope: PlatformScope) -> int:
    """Look at every target; return how many were looked at.

    When more than half of the healthy ones are lost at once, or the reference does not answer, it
    is the prober that is cut off: they are Unknown then, and nobody is woken for each of them.
    Two sweeps that meet do no harm: of two looks at the same state, one is dropped.
    """
    now = isoformat(app.service.clock.now())
    documents = await _targets(app, Where("dueAt", Comparison.LE, now))
    targets = [from_body(document.body) for document in documents]

    async def one(target: Target) -> Seen:
        return await look_at(target, app)

    seen = await each_of(targets, one, at_once=TARGETS_AT_ONCE)
    if outage := await _outage(targets, seen, app):
        seen = [blind(outage) for _ in targets]

    async def keep(pair: tuple[Document, Seen]) -> None:
        document, each = pair
        tenant = Scope(TenantId(document.partition.tenant), scope.caller)
        await record_look(document, each, scope=tenant, app=app)

    await each_of(list(zip(documents, seen, strict=True)), keep, at_once=TARGETS_AT_ONCE)
    return len(targets)


async def _targets(app: HealthApp, *conditions: Where) -> Sequence[Document]:
    """Return the targets of all tenants, page by page in the order of service ids."""
    found: list[Document] = []
    last = ""
    while True:
        page = await app.service.store.query_due(
            Query(
                where=[
                    Where("type", Comparison.EQ, "target"),
                    Where("service_id", Comparison.GT, last),
                    *conditions,
                ],
                order_by="service_id",
                limit=_PAGE,
            )
        )
        found += page.documents
        if len(page.documents) < _PAGE:
            return found
        last = str(page.documents[-1].body["service_id"])


async def _outage(targets: Sequence[Target], seen: Sequence[Seen], app: HealthApp) -> str:
    """Return why nothing that was seen can be relied on; empty when it can."""
    looks = [each.look for each in seen]
    if is_prober_outage(targets, looks, app.rules.prober_outage_ratio):
        return "most services were lost at once: the prober itself is cut off"
    is_quiet = all(look is Look.PASS for look in looks)
    if app.reference is None or is_quiet:
        return ""
    timeout_s = app.rules.probe_timeout.total_seconds()
    reference = await app.prober.probe(app.reference, timeout_s)
    return "" if reference.passed else "the reference does not answer the prober either"


async def record_look(document: Document, seen: Seen, *, scope: Scope, app: HealthApp) -> None:
    """Commit one look: the sample always, the state on change or heartbeat only."""
    now = app.service.clock.now()
    before = from_body(document.body)
    after = judge(before, seen.look, seen.checks, seen.reason, now, app.rules)
    sample = Sample.of(after, isoformat(now))
    partition_key = sample_partition(before.tenant_id, before.service_id)
    await app.samples.upsert([TableRow(partition_key, sample.at, dict(sample.values))])
    if not is_worth_keeping(before, after, now, app.rules):
        return
    has_changed = after.status is not before.status
    is_told = has_changed or is_heartbeat_due(before, now, app.rules)
    if is_told:
        after = replace(after, told_at=isoformat(now), revision=before.revision + 1)
    cause = caused_by_timer("health_sweep_due", app.service.entropy)
    source = HealthSource.CHANGE if has_changed else HealthSource.HEARTBEAT

    def decide(view: View) -> Decision:
        if view.etag(DOCUMENT_ID) != document.etag:
            return NOTHING
        return Decision(
            writes=[Put(DOCUMENT_ID, to_body(after))],
            outbox=[_announce(after, source, cause, app)] if is_told else (),
            audited=Audited("JudgeHealth", after.service_id, after.status) if has_changed else None,
        )

    await app.service.work.write(scope, document.partition, [DOCUMENT_ID], decide, cause)


def _announce(target: Target, source: HealthSource, cause: Cause, app: HealthApp) -> Publish:
    envelope = envelope_of(
        completed(target, source),
        tenant=target.tenant_id,
        cause=cause,
        clock=app.service.clock,
        entropy=app.service.entropy,
        module=target.module_id,
    )
    return Publish(envelope)


def sample_partition(tenant: str, service: str) -> str:
    return f"{tenant}|{service}"


async def forget_samples(app: HealthApp, _scope: PlatformScope) -> int:
    """Delete every service's samples that are older than they are kept; return how many."""
    before = isoformat(app.service.clock.now() - app.rules.results_kept)
    forgotten = 0
    for document in await _targets(app):
        body = document.body
        key = sample_partition(document.partition.tenant, str(body["service_id"]))
        forgotten += await app.samples.delete_before(key, before)
    return forgotten
