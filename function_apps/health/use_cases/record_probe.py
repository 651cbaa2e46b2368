"""Judge the probe of one service, and commit the news: its health, its alerts, their events."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from function_apps.health.events import alert_changed, health_check_completed, instances_restarted
from function_apps.health.model.alerts import is_burning, record_alerts
from function_apps.health.model.burn_rates import Burn, burning_since
from function_apps.health.model.probe_target import ProbeTarget
from function_apps.health.model.restarts import record_restarts, restarted
from function_apps.health.model.sample import Sample
from function_apps.health.model.status_hysteresis import (
    is_heartbeat_due,
    needs_write,
    record_outcome,
)
from function_apps.health.ports import HealthApp
from function_apps.health.repository import TARGETS, sample_partition
from function_apps.health.use_cases.count_events import count_events
from function_apps.health.use_cases.probe_service import ServiceProbe
from shared.contracts.health import BurnRate, HealthDefaults, HealthSource
from shared.kernel.clock import isoformat
from shared.kernel.context import timer_context
from shared.kernel.dataclass import dataclass
from shared.kernel.ids import TenantId
from shared.messaging.outbox import Audited, Publish
from shared.messaging.unit_of_work import NOTHING, Decision, Json, View
from shared.persistence.store import Document
from shared.persistence.tables import TableRow

PROBE: Final = "sweep_due"
"""The timer; health and runbooks name it so since 0.2.0."""


@dataclass(frozen=True)
class ProbedTarget:
    """A target with the document that it was read from, and the result of probing it."""

    document: Document
    target: ProbeTarget
    probe: ServiceProbe


@dataclass(frozen=True)
class JudgedTarget:
    """A target after its probe, and the burn rates of its objective; none without one."""

    probed: ProbedTarget
    after: ProbeTarget
    at: datetime
    burns: Sequence[Burn] = ()
    rates: Sequence[BurnRate] = ()
    """The same, as they are published."""


async def judge_probe(probed: ProbedTarget, app: HealthApp) -> JudgedTarget:
    """Return the target after its probe. Only what was counted for an objective is written."""
    before, probe, now = probed.target, probed.probe, app.service.clock.now()
    rules = app.rules.probing
    counted = before
    if probe.instances is not None:
        restarts = record_restarts(before.restarts, probe.instances, now, rules, before.released_at)
        counted = replace(before, restarts=restarts)
    after = record_outcome(counted, probe.outcome, probe.checks, probe.reason, now, rules)
    measured = await count_events(after, probe, now, app)
    if measured is None:
        return JudgedTarget(probed, replace(after, burning_since=None), now)
    objective, samples = measured
    burns = objective.burns(samples, now)
    since = None
    if is_burning(after, burns):
        first_bad = burning_since(objective.content, burns, samples, now)
        since = before.burning_since or isoformat(first_bad)
    rates = objective.burn_rates(burns)
    return JudgedTarget(probed, replace(after, burning_since=since), now, burns, rates)


async def record_probe(judged: JudgedTarget, app: HealthApp) -> None:
    """Commit one probe: the sample always, the target on news or heartbeat only."""
    document, before, now = judged.probed.document, judged.probed.target, judged.at
    after, changes = record_alerts(judged.after, judged.burns, now)
    rules = app.rules.probing
    sample = Sample.of(after, isoformat(now))
    partition_key = sample_partition(before.tenant_id, before.service_id)
    await app.samples.upsert([TableRow(partition_key, sample.at, dict(sample.values))])
    if not needs_write(before, after, now, rules):
        return
    after, events = _published(before, after, judged.rates, now, rules)
    events = [*events, *(alert_changed(after, change) for change in changes)]
    has_news = after.status is not before.status or after.root_cause != before.root_cause
    is_audited = has_news or bool(changes) or bool(restarted(before.restarts, after.restarts))

    def decide(view: View) -> Decision[Json]:
        if view.etag(document.id) != document.etag:
            return NOTHING
        return Decision(
            {},
            writes=[TARGETS.put(after)],
            outbox=events,
            audited=Audited("JudgeHealth", after.service_id, after.status) if is_audited else None,
        )

    tenant = TenantId(document.partition.tenant)
    ctx = timer_context(f"health_{PROBE}", tenant, app.service.clock, app.service.entropy)
    await app.service.work.commit(ctx, document.partition, [document.id], decide)


def _published(
    before: ProbeTarget,
    after: ProbeTarget,
    rates: Sequence[BurnRate],
    now: datetime,
    rules: HealthDefaults,
) -> tuple[ProbeTarget, Sequence[Publish]]:
    """Return *after* with its revision, and the events of its change, each with one of its own."""
    events, revision = [], before.revision
    if news := restarted(before.restarts, after.restarts):
        revision += 1
        events.append(instances_restarted(replace(after, revision=revision), news))
    has_changed = (
        after.status is not before.status
        or after.root_cause != before.root_cause
        or (after.burning_since is None) != (before.burning_since is None)
    )
    if has_changed or is_heartbeat_due(before, now, rules):
        revision += 1
        after = replace(after, published_at=isoformat(now))
        source = HealthSource.CHANGE if has_changed else HealthSource.HEARTBEAT
        events.append(health_check_completed(replace(after, revision=revision), rates, source))
    return replace(after, revision=revision), events
