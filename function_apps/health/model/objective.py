"""The objective of one service, and the events that it counts."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from function_apps.health.model.baseline_comparison import slower_than
from function_apps.health.model.burn_rates import Burn, burn_rules, measure_burn
from function_apps.health.model.burn_samples import BurnSamples, CountedEvents, Events
from function_apps.health.model.gate_samples import Counts
from shared.contracts.health import BurnRate, HealthStatus, SetObjective, Sli, UnmeasuredBurn
from shared.kernel.dataclass import dataclass
from shared.surfaces.traffic import RevisionTraffic, TrafficSample


@dataclass(frozen=True)
class Objective:
    """`slo/{serviceId}`: what is to be reached, as it was set last."""

    service_id: str
    content: SetObjective
    revision: int = 1
    is_retired: bool = False
    """Its service was removed: it goes with what is known of that, unless it is released again."""

    @property
    def measure(self) -> str:
        """Return what is counted: samples of something else say nothing about it."""
        limit, metrics = self.content.latency_ms_max, self.content.provider_metrics
        named = [self.content.sli.value, *([f"{limit:g} ms"] if limit is not None else [])]
        if metrics is not None:
            text = metrics.model_dump_json(exclude_none=True)
            named.append(f"by {hashlib.sha256(text.encode()).hexdigest()[:16]}")
        return " ".join(named)

    def burns(self, samples: BurnSamples, now: datetime) -> Sequence[Burn]:
        """Return the burn rates by *samples*; nothing is measured where they are of another."""
        own = samples if samples.measure == self.measure else BurnSamples()
        return measure_burn(self.content, own, now)

    def why_unmeasured(self, samples: BurnSamples) -> str:
        """Return why its provider measured nothing the last time; empty where it did."""
        return samples.problem if samples.measure == self.measure else ""

    def burn_rates(self, burns: Sequence[Burn]) -> Sequence[BurnRate]:
        """Return *burns* as the contract has them: those that are measured."""
        return [
            BurnRate(
                sli=self.content.sli,
                long_window=burn.rule.long,
                long=round(burn.long, 3),
                short_window=burn.rule.short,
                short=round(burn.short, 3),
            )
            for burn in burns
            if burn.long is not None and burn.short is not None
        ]

    def unmeasured(self, burns: Sequence[Burn]) -> Sequence[UnmeasuredBurn]:
        """Return those of *burns* with a window that has too few events."""
        return [
            UnmeasuredBurn(
                sli=self.content.sli,
                long_window=burn.rule.long,
                long=None if burn.long is None else round(burn.long, 3),
                short_window=burn.rule.short,
                short=None if burn.short is None else round(burn.short, 3),
            )
            for burn in burns
            if not burn.is_measured
        ]


def set_objective(
    known: Objective | None, service_id: str, content: SetObjective
) -> Objective | None:
    """Return the objective with *content*; None where it is so already."""
    if known is None:
        return Objective(service_id, content)
    if known.content == content:
        return None
    return replace(known, content=content, revision=known.revision + 1)


def count_probes(
    objective: Objective, samples: BurnSamples, checks: Sequence[Mapping[str, Any]], now: datetime
) -> BurnSamples:
    """Return *samples* with the probes of one sweep; one without an instance to ask is bad."""
    failed = sum(check["status"] == HealthStatus.UNHEALTHY for check in checks)
    probes = Events(len(checks), failed) if checks else Events(1, 1)
    return _added(objective, _of(objective, samples), probes, now)


def count_requests(
    objective: Objective, samples: BurnSamples, traffic: TrafficSample, now: datetime
) -> BurnSamples:
    """Return *samples* with the requests that the surface's proxy has counted since the last."""
    revisions = {
        str(number): _events(objective.content, counters)
        for number, counters in traffic.revisions.items()
    }
    counted, more = _of(objective, samples).with_counters(CountedEvents(traffic.epoch, revisions))
    return _added(objective, counted, more, now)


def begin_counting(objective: Objective, samples: BurnSamples, at: datetime) -> BurnSamples:
    """Return *samples* if they are of *objective*, or new ones that begin *at*."""
    own = _of(objective, samples)
    return own if own.read_at is not None else replace(own, read_at=at)


def count_measured(
    objective: Objective, samples: BurnSamples, counts: Counts, until: datetime
) -> BurnSamples:
    """Return *samples* with the requests that a provider measured since the last time."""
    limit_ms = objective.content.latency_ms_max
    events = Events(counts.requests, counts.errors)
    if limit_ms is not None:
        latency = counts.histogram()
        events = Events(latency.total, slower_than(latency, limit_ms))
    return _added(objective, samples, events, until)


def _of(objective: Objective, samples: BurnSamples) -> BurnSamples:
    is_same = samples.measure == objective.measure
    return samples if is_same else BurnSamples(measure=objective.measure)


def _added(objective: Objective, samples: BurnSamples, more: Events, now: datetime) -> BurnSamples:
    windows = [rule.long for rule in burn_rules(objective.content.window)]
    return samples.plus(more, windows, now)


def _events(content: SetObjective, counters: RevisionTraffic) -> Events:
    if content.sli is Sli.LATENCY:
        assert content.latency_ms_max is not None, content
        slow = slower_than(counters.latency, content.latency_ms_max)
        return Events(counters.latency.total, slow)
    return Events(counters.requests, counters.errors)
