"""The sweep: probe every target side by side, and commit the news.

Each probe is one row of a table, which is cheap; a target is written only when its health changes
or a heartbeat is due. So a sweep costs the store one query per hundred targets. A target that
cannot be read, probed or committed is postponed and does not stop the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from function_apps.health.events import health_check_completed, instances_restarted
from function_apps.health.model.probe_target import ProbeTarget
from function_apps.health.model.restarts import record_restarts, restarted
from function_apps.health.model.sample import Sample
from function_apps.health.model.status_hysteresis import (
    ProbeOutcome,
    is_heartbeat_due,
    is_prober_outage,
    needs_write,
    record_outcome,
)
from function_apps.health.ports import HealthApp
from function_apps.health.repository import TARGETS, sample_partition
from function_apps.health.use_cases.probe_service import (
    ServiceProbe,
    probe_service,
    unknown_result,
)
from shared.contracts.health import HealthDefaults, HealthSource
from shared.kernel.clock import isoformat
from shared.kernel.concurrency import Failure, bounded_map
from shared.kernel.context import Context, timer_context
from shared.kernel.ids import TenantId
from shared.messaging.outbox import Audited, Publish
from shared.messaging.sweep import LATE, Sweep
from shared.messaging.unit_of_work import NOTHING, Decision, Json, View
from shared.persistence.store import Comparison, Document, Query, Where
from shared.persistence.tables import TableRow

PROBE: Final = "sweep_due"
DELETE_SAMPLES: Final = "forget_samples"
"""The timers; health and runbooks name them so since 0.2.0."""
TARGETS_AT_ONCE: Final = 32
_PAGE: Final = 100


@dataclass(frozen=True)
class ProbedTarget:
    """A target with the document that it was read from, and the result of probing it."""

    document: Document
    target: ProbeTarget
    probe: ServiceProbe


async def probe_due_services(app: HealthApp) -> int:
    """Probe every target; return how many there were.

    When more than half of the healthy ones are lost at once, or the reference does not answer, the
    prober itself is cut off: all are Unknown then, and none is reported as failing. Two sweeps at
    the same time do no harm: of two probes of the same state, one is dropped.
    """
    service = app.service
    sweep = Sweep(PROBE, TARGETS.type_name, service.store, service.clock, service.sweeps)

    async def probe(document: Document) -> ProbedTarget | Failure:
        return await sweep.attempt(document, _probe(document, app))

    async def record(probed: ProbedTarget) -> None:
        await sweep.attempt(probed.document, record_probe(probed, app))

    documents = await _documents(app, Where("dueAt", Comparison.LE, isoformat(service.clock.now())))
    results = await bounded_map(documents, probe, at_once=TARGETS_AT_ONCE)
    targets = [probed for probed in results if not isinstance(probed, Failure)]
    if outage := await _outage(targets, app):
        targets = [replace(probed, probe=unknown_result(outage)) for probed in targets]
    await bounded_map(targets, record, at_once=TARGETS_AT_ONCE)
    return len(documents)


async def _documents(app: HealthApp, *conditions: Where) -> Sequence[Document]:
    """Return the targets of all tenants, page by page in the order of service ids."""
    documents: list[Document] = []
    last = ""
    while True:
        page = await app.service.store.query_due(
            Query(
                where=[
                    Where("type", Comparison.EQ, TARGETS.type_name),
                    Where("service_id", Comparison.GT, last),
                    *conditions,
                ],
                order_by="service_id",
                limit=_PAGE,
            )
        )
        documents += page.documents
        if not page.more or not page.documents:
            return documents
        last = str(page.documents[-1].body["service_id"])


async def _probe(document: Document, app: HealthApp) -> ProbedTarget:
    target = TARGETS.decode(document.body)
    return ProbedTarget(document, target, await probe_service(target, app))


async def _outage(targets: Sequence[ProbedTarget], app: HealthApp) -> str:
    """Return why the probes are not reliable; empty when they are."""
    outcomes = [probed.probe.outcome for probed in targets]
    before = [probed.target for probed in targets]
    if is_prober_outage(before, outcomes, app.rules.probing.prober_outage_ratio):
        return "most services were lost at once: the prober itself is cut off"
    all_pass = all(outcome is ProbeOutcome.PASS for outcome in outcomes)
    if app.reference is None or all_pass:
        return ""
    timeout_s = app.rules.probing.probe_timeout.total_seconds()
    reference = await app.prober.probe(app.reference, timeout_s)
    return "" if reference.passed else "the reference does not answer the prober either"


async def record_probe(probed: ProbedTarget, app: HealthApp) -> None:
    """Commit one probe: the sample always, the target on news or heartbeat only."""
    document, before, probe = probed.document, probed.target, probed.probe
    ctx = _context(PROBE, document, app)
    now = ctx.now()
    rules = app.rules.probing
    counted = before
    if probe.instances is not None:
        restarts = record_restarts(before.restarts, probe.instances, now, rules, before.released_at)
        counted = replace(before, restarts=restarts)
    after = record_outcome(counted, probe.outcome, probe.checks, probe.reason, now, rules)
    sample = Sample.of(after, isoformat(now))
    partition_key = sample_partition(before.tenant_id, before.service_id)
    await app.samples.upsert([TableRow(partition_key, sample.at, dict(sample.values))])
    if not needs_write(before, after, now, rules):
        return
    has_changed = after.status is not before.status
    after, events = _published(before, after, now, rules)
    is_audited = has_changed or bool(restarted(before.restarts, after.restarts))

    def decide(view: View) -> Decision[Json]:
        if view.etag(document.id) != document.etag:
            return NOTHING
        return Decision(
            {},
            writes=[TARGETS.put(after)],
            outbox=events,
            audited=Audited("JudgeHealth", after.service_id, after.status) if is_audited else None,
        )

    await app.service.work.commit(ctx, document.partition, [document.id], decide)


def _published(
    before: ProbeTarget, after: ProbeTarget, now: datetime, rules: HealthDefaults
) -> tuple[ProbeTarget, Sequence[Publish]]:
    """Return *after* with its revision, and the events of its change, each with one of its own."""
    events, revision = [], before.revision
    if news := restarted(before.restarts, after.restarts):
        revision += 1
        events.append(instances_restarted(replace(after, revision=revision), news))
    has_changed = after.status is not before.status
    if has_changed or is_heartbeat_due(before, now, rules):
        revision += 1
        after = replace(after, published_at=isoformat(now))
        source = HealthSource.CHANGE if has_changed else HealthSource.HEARTBEAT
        events.append(health_check_completed(replace(after, revision=revision), source))
    return replace(after, revision=revision), events


def _context(timer: str, document: Document, app: HealthApp) -> Context:
    tenant = TenantId(document.partition.tenant)
    return timer_context(f"health_{timer}", tenant, app.service.clock, app.service.entropy)


async def delete_old_samples(app: HealthApp) -> int:
    """Delete the samples of every service that are past their retention; return how many."""
    service, deleted = app.service, 0
    now = service.clock.now()
    before = isoformat(now - app.service.work.retention.results)
    for document in await _documents(app):
        service_id = document.partition.unit
        key = sample_partition(document.partition.tenant, service_id)
        count = await service.sweeps.attempt(
            DELETE_SAMPLES,
            (document.partition, document.id),
            _delete_before(key, before, app),
            now + app.rules.delete_samples_every + LATE,
        )
        deleted += 0 if isinstance(count, Failure) else count
    return deleted


async def _delete_before(partition_key: str, row_key: str, app: HealthApp) -> int:
    deleted = 0
    while count := await app.samples.delete_before(partition_key, row_key):
        deleted += count
    return deleted
