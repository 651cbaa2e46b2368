"""The timer that asks providers what objectives count, apart from the sweep of probes.

A provider that is slow or silent delays no probe, and no objective of another tenant.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from function_apps.health.model.burn_samples import BurnSamples
from function_apps.health.model.measured_windows import covered_since, window_counts, window_queries
from function_apps.health.model.objective import Objective, begin_counting, count_measured
from function_apps.health.model.probe_target import ProbeTarget
from function_apps.health.ports import HealthApp
from function_apps.health.repository import OBJECTIVES, TARGETS
from function_apps.health.use_cases.count_events import (
    component_of,
    load_samples,
    store_samples,
)
from shared.composition.parts import PartNotSupported
from shared.contracts.gate_metrics import GateMetrics
from shared.kernel.concurrency import Failure, answered_within
from shared.kernel.ids import TenantId
from shared.messaging.sweep import LATE, every
from shared.metrics.port import Metrics, Subject
from shared.persistence.store import Document

MEASURE: Final = "measure_objectives"
WINDOW_MAX: Final = timedelta(hours=1)
"""A provider that was away for longer answers for so long; the rest is left out."""


async def ask_providers(app: HealthApp) -> int:
    """Ask about every objective that a provider measures; return how many there are."""
    service, rules = app.service, app.rules
    documents = [
        each
        for each in await every(OBJECTIVES.type_name, OBJECTIVES.key, service.store)
        if _is_measured(each)
    ]

    async def measure(document: Document) -> None:
        key, until = (document.partition, document.id), service.clock.now() + LATE
        await service.sweeps.attempt(MEASURE, key, _measure(document, app), until)

    await app.runs.run(MEASURE, documents, measure, within=rules.measure_every, clock=service.clock)
    return len(documents)


def _is_measured(document: Document) -> bool:
    content = document.body.get("content")
    return isinstance(content, dict) and content.get("metrics") is not None


async def _measure(document: Document, app: HealthApp) -> None:
    """Count what the provider of one objective has measured since the last time."""
    objective = OBJECTIVES.decode(document.body)
    tenant = TenantId(document.partition.tenant)
    metrics = objective.content.provider_metrics
    target = await app.service.work.find(TARGETS, objective.service_id, tenant)
    if metrics is None or target is None or objective.is_retired:
        return
    before = await load_samples(tenant, objective.service_id, app)
    try:
        provider = app.metrics(metrics.measured_by)
    except PartNotSupported as missing:
        after = _unmeasured(objective, before, missing.message, app.service.clock.now())
    else:
        after = await _counted(objective, metrics, before, target, provider, app)
    if after != before:
        await store_samples(after, tenant, objective.service_id, app)


async def _counted(
    objective: Objective,
    metrics: GateMetrics,
    before: BurnSamples,
    target: ProbeTarget,
    provider: Metrics,
    app: HealthApp,
) -> BurnSamples:
    """Return *before* with the next window, once it is over; a window is counted once."""
    until = provider.resolution.complete_until(app.service.clock.now())
    begun = begin_counting(objective, before, until)
    if begun.read_at is None or begun.read_at >= until:
        return begun
    since = max(begun.read_at, until - WINDOW_MAX)
    if until - since < provider.resolution.window_least:
        return begun
    queries = window_queries(metrics, Subject(component_of(target)), since, until)
    work = provider.measure([*queries.values()])
    measured = await answered_within(work, app.rules.read_within, "its provider")
    if isinstance(measured, Failure):
        return replace(begun, problem=measured.reason)
    counts = window_counts(metrics, 0, dict(zip(queries, measured, strict=True)))
    if isinstance(counts, tuple):
        read_at = covered_since(measured) or begun.read_at
        return replace(begun, read_at=read_at, problem=counts[0].cause)
    return count_measured(objective, replace(begun, read_at=since), counts, until)


def _unmeasured(objective: Objective, before: BurnSamples, why: str, now: datetime) -> BurnSamples:
    return replace(begin_counting(objective, before, now), problem=why)
