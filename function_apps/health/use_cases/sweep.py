"""The sweep: probe every target side by side, and commit the news.

Each probe is one row of a table, which is cheap; a target is written only when its health changes
or a heartbeat is due. So a sweep costs the store one query per hundred targets.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from function_apps.health.events import health_check_completed
from function_apps.health.model.probe_target import DOCUMENT_ID, ProbeTarget, from_body, to_body
from function_apps.health.model.sample import Sample
from function_apps.health.model.status_hysteresis import (
    ProbeOutcome,
    is_heartbeat_due,
    is_prober_outage,
    needs_write,
    record_outcome,
)
from function_apps.health.ports import HealthApp
from function_apps.health.use_cases.probe_service import (
    ServiceProbe,
    probe_service,
    unknown_result,
)
from shared.contracts.health import HealthSource
from shared.kernel.clock import isoformat
from shared.kernel.concurrency import bounded_map
from shared.kernel.ids import TenantId
from shared.kernel.scope import PlatformScope, Scope
from shared.messaging.cause import Cause, caused_by_timer
from shared.messaging.compose import envelope_of
from shared.messaging.legacy_unit_of_work import NOTHING, Audited, Decision, Put, View
from shared.messaging.outbox import Publish
from shared.persistence.store import Comparison, Document, Query, Where
from shared.persistence.tables import TableRow

TARGETS_AT_ONCE: Final = 32
_PAGE: Final = 100


async def probe_due_services(app: HealthApp, scope: PlatformScope) -> int:
    """Probe every target; return how many there were.

    When more than half of the healthy ones are lost at once, or the reference does not answer, the
    prober itself is cut off: all are Unknown then, and none is reported as failing. Two sweeps at
    the same time do no harm: of two probes of the same state, one is dropped.
    """
    now = isoformat(app.service.clock.now())
    documents = await _targets(app, Where("dueAt", Comparison.LE, now))
    targets = [from_body(document.body) for document in documents]

    async def probe(target: ProbeTarget) -> ServiceProbe:
        return await probe_service(target, app)

    probes = await bounded_map(targets, probe, at_once=TARGETS_AT_ONCE)
    if outage := await _outage(targets, probes, app):
        probes = [unknown_result(outage) for _ in targets]

    async def record(pair: tuple[Document, ServiceProbe]) -> None:
        document, probe = pair
        tenant = Scope(TenantId(document.partition.tenant), scope.caller)
        await record_probe(document, probe, scope=tenant, app=app)

    await bounded_map(list(zip(documents, probes, strict=True)), record, at_once=TARGETS_AT_ONCE)
    return len(targets)


async def _targets(app: HealthApp, *conditions: Where) -> Sequence[Document]:
    """Return the targets of all tenants, page by page in the order of service ids."""
    documents: list[Document] = []
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
        documents += page.documents
        if len(page.documents) < _PAGE:
            return documents
        last = str(page.documents[-1].body["service_id"])


async def _outage(
    targets: Sequence[ProbeTarget], probes: Sequence[ServiceProbe], app: HealthApp
) -> str:
    """Return why the probes are not reliable; empty when they are."""
    outcomes = [probe.outcome for probe in probes]
    if is_prober_outage(targets, outcomes, app.rules.prober_outage_ratio):
        return "most services were lost at once: the prober itself is cut off"
    all_pass = all(outcome is ProbeOutcome.PASS for outcome in outcomes)
    if app.reference is None or all_pass:
        return ""
    timeout_s = app.rules.probe_timeout.total_seconds()
    reference = await app.prober.probe(app.reference, timeout_s)
    return "" if reference.passed else "the reference does not answer the prober either"


async def record_probe(
    document: Document, probe: ServiceProbe, *, scope: Scope, app: HealthApp
) -> None:
    """Commit one probe: the sample always, the target on news or heartbeat only."""
    now = app.service.clock.now()
    before = from_body(document.body)
    after = record_outcome(before, probe.outcome, probe.checks, probe.reason, now, app.rules)
    sample = Sample.of(after, isoformat(now))
    partition_key = sample_partition(before.tenant_id, before.service_id)
    await app.samples.upsert([TableRow(partition_key, sample.at, dict(sample.values))])
    if not needs_write(before, after, now, app.rules):
        return
    has_changed = after.status is not before.status
    is_published = has_changed or is_heartbeat_due(before, now, app.rules)
    if is_published:
        after = replace(after, told_at=isoformat(now), revision=before.revision + 1)
    cause = caused_by_timer("health_sweep_due", app.service.entropy)
    source = HealthSource.CHANGE if has_changed else HealthSource.HEARTBEAT

    def decide(view: View) -> Decision:
        if view.etag(DOCUMENT_ID) != document.etag:
            return NOTHING
        return Decision(
            writes=[Put(DOCUMENT_ID, to_body(after))],
            outbox=[_publish(after, source, cause, app)] if is_published else (),
            audited=Audited("JudgeHealth", after.service_id, after.status) if has_changed else None,
        )

    await app.service.work.write(scope, document.partition, [DOCUMENT_ID], decide, cause)


def _publish(target: ProbeTarget, source: HealthSource, cause: Cause, app: HealthApp) -> Publish:
    envelope = envelope_of(
        health_check_completed(target, source),
        tenant=target.tenant_id,
        cause=cause,
        clock=app.service.clock,
        entropy=app.service.entropy,
        module=target.module_id,
    )
    return Publish(envelope)


def sample_partition(tenant: str, service: str) -> str:
    return f"{tenant}|{service}"


async def delete_old_samples(app: HealthApp, _scope: PlatformScope) -> int:
    """Delete the samples of every service that are past their retention; return how many."""
    before = isoformat(app.service.clock.now() - app.rules.results_kept)
    deleted = 0
    for document in await _targets(app):
        body = document.body
        key = sample_partition(document.partition.tenant, str(body["service_id"]))
        deleted += await app.samples.delete_before(key, before)
    return deleted
