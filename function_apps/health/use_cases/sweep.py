"""The sweep: probe every target side by side, find root causes, and commit the news.

Each probe is one row of a table, which is cheap; a sweep writes a target only when its health
changes or a heartbeat is due. So a sweep costs the store one query per hundred targets. A target
that cannot be read, probed or committed is postponed and does not stop the others.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from function_apps.health.model.explanations import by_environment, explain
from function_apps.health.model.probe_target import ProbeTarget
from function_apps.health.model.status_hysteresis import ProbeOutcome, is_prober_outage
from function_apps.health.ports import HealthApp
from function_apps.health.repository import TARGETS, sample_partition
from function_apps.health.use_cases.count_events import delete_counted
from function_apps.health.use_cases.probe_service import probe_service, unknown_result
from function_apps.health.use_cases.record_probe import (
    PROBE,
    JudgedTarget,
    ProbedTarget,
    judge_probe,
    record_probe,
)
from shared.contracts.health import RootCause
from shared.kernel.clock import isoformat
from shared.kernel.concurrency import Failure, bounded_map, isolate
from shared.messaging.sweep import LATE, Sweep, every
from shared.persistence.store import Comparison, Document, UnreadableDocument, Where
from shared.persistence.tables import delete_all_before

DELETE_SAMPLES: Final = "forget_samples"
"""The timer; health and runbooks name it so since 0.2.0."""
TARGETS_AT_ONCE: Final = 32


async def probe_due_services(app: HealthApp) -> int:
    """Probe every target; return how many there were.

    When more than half of the healthy ones are lost at once, of most tenants, or the reference does
    not answer, the prober itself is cut off: all are Unknown then, and none is reported as failing.
    Two sweeps at the same time do no harm: of two probes of the same state, one is dropped.
    """
    service = app.service
    sweep = Sweep(PROBE, TARGETS.type_name, service.store, service.clock, service.sweeps)

    async def probe(document: Document) -> ProbedTarget | Failure:
        return await sweep.attempt(document, _probe(document, app))

    async def judge(probed: ProbedTarget) -> JudgedTarget | Failure:
        return await sweep.attempt(probed.document, judge_probe(probed, app))

    async def record(judged: JudgedTarget) -> None:
        await sweep.attempt(judged.probed.document, record_probe(judged, app))

    now = isoformat(service.clock.now())
    documents = await every(
        TARGETS.type_name, TARGETS.key, service.store, Where("dueAt", Comparison.GT, "")
    )
    due = [document for document in documents if document.body["dueAt"] <= now]
    probes = await bounded_map(due, probe, at_once=TARGETS_AT_ONCE)
    targets = [probed for probed in probes if not isinstance(probed, Failure)]
    if outage := await _outage(targets, app):
        targets = [replace(probed, probe=unknown_result(outage)) for probed in targets]
    judgements = await bounded_map(targets, judge, at_once=TARGETS_AT_ONCE)
    judged = [each for each in judgements if not isinstance(each, Failure)]
    explained = await _explained(judged, documents, app)
    await bounded_map(explained, record, at_once=TARGETS_AT_ONCE)
    return len(due)


async def _explained(
    judged: Sequence[JudgedTarget], documents: Sequence[Document], app: HealthApp
) -> Sequence[JudgedTarget]:
    """Return *judged*, each with the root cause of its failure where another one explains it.

    The sweep has all services in hand, so the graph of dependencies costs no read of its own. Those
    of *documents* that could not be probed this time are taken as they were. A defect in one
    environment leaves its services explained as they were, and stops no other.
    """
    probed = {each.after.service_id: each for each in judged}
    others = [target for target in _decoded(documents) if target.service_id not in probed]
    outcomes = {service_id: each.probed.probe.outcome for service_id, each in probed.items()}

    async def explained(members: Sequence[ProbeTarget]) -> Mapping[str, RootCause]:
        return explain(members, outcomes, app.service.clock.now(), app.rules.probing)

    causes: dict[str, RootCause | None] = {}
    for members in by_environment([*others, *(each.after for each in judged)]):
        one = members[0]
        subject = f"{PROBE}: root causes in {one.environment_id} of {one.tenant_id}"
        found = await isolate(explained(members), subject)
        if isinstance(found, Failure):
            causes |= {each.service_id: each.root_cause for each in members}
        else:
            causes |= found
    return [
        replace(each, after=replace(each.after, root_cause=causes.get(each.after.service_id)))
        for each in judged
    ]


def _decoded(documents: Sequence[Document]) -> Sequence[ProbeTarget]:
    targets = []
    for document in documents:
        with suppress(UnreadableDocument):  # it is postponed, and logged, where it is probed
            targets.append(TARGETS.decode(document.body))
    return targets


async def _probe(document: Document, app: HealthApp) -> ProbedTarget:
    target = TARGETS.decode(document.body)
    return ProbedTarget(document, target, await probe_service(target, app))


async def _outage(targets: Sequence[ProbedTarget], app: HealthApp) -> str:
    """Return why the probes are not reliable; empty when they are."""
    if not targets:
        return ""
    before, lost = zip(*((each.target, each.probe.is_lost) for each in targets), strict=True)
    if is_prober_outage(before, lost, app.rules.probing.prober_outage_ratio):
        return "most services were lost at once: the prober itself is cut off"
    all_pass = all(probed.probe.outcome is ProbeOutcome.PASS for probed in targets)
    if app.reference is None or all_pass:
        return ""
    timeout_s = app.rules.probing.probe_timeout.total_seconds()
    reference = await app.prober.probe(app.reference, timeout_s)
    return "" if reference.passed else "the reference does not answer the prober either"


async def delete_old_samples(app: HealthApp) -> int:
    """Delete the samples of every service that are past their retention; return how many."""
    service, now = app.service, app.service.clock.now()
    before = isoformat(now - service.work.retention.results)

    async def delete(target: Document) -> int:
        return await _delete_samples(target, before, app)

    targets = await every(TARGETS.type_name, TARGETS.key, service.store)
    until = now + app.rules.delete_samples_every + LATE
    return await service.sweeps.attempt_each(DELETE_SAMPLES, targets, delete, until)


async def _delete_samples(document: Document, before: str, app: HealthApp) -> int:
    """Delete the samples of one service; those of its objective once it is removed for so long.

    They are one row, which is written anew as long as the service is probed.
    """
    tenant, service_id = document.partition.tenant, document.partition.unit
    deleted = await delete_all_before(app.samples, sample_partition(tenant, service_id), before)
    target = TARGETS.decode(document.body)
    if target.is_retired and (target.retired_at or "") <= before:
        deleted += await delete_counted(tenant, service_id, app)
    return deleted
