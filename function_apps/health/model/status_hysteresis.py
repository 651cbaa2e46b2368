"""The status of a service: three failing probes in a row worsen it, two passing ones improve it.

Health is an observed record, so any status may follow any other and no transition table is needed.
Absent data is Unknown, never Healthy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from function_apps.health.model.probe_target import ProbeTarget
from shared.contracts.health import HealthDefaults, HealthStatus
from shared.kernel.clock import isoformat, parse_instant


class ProbeOutcome(StrEnum):
    """The result of probing all instances of a service once."""

    PASS = "pass"  # noqa: S105  a result
    PARTLY = "partly"
    """Some instances pass, but fewer than the release asks for."""
    FAIL = "fail"
    NOTHING = "nothing"
    """No reliable answer: the surface could not be read."""


STATUS_OF: Final[Mapping[ProbeOutcome, HealthStatus]] = {
    ProbeOutcome.PASS: HealthStatus.HEALTHY,
    ProbeOutcome.PARTLY: HealthStatus.DEGRADED,
    ProbeOutcome.FAIL: HealthStatus.UNHEALTHY,
    ProbeOutcome.NOTHING: HealthStatus.UNKNOWN,
}
_SEVERITY: Final = {
    HealthStatus.HEALTHY: 0,
    HealthStatus.DEGRADED: 1,
    HealthStatus.UNHEALTHY: 2,
    HealthStatus.UNKNOWN: 3,
}
_OUTAGE_LEAST: Final = 4
"""Among fewer healthy targets, one bad deployment would look like an outage of the prober."""


def record_outcome(
    target: ProbeTarget,
    outcome: ProbeOutcome,
    checks: Sequence[Mapping[str, Any]],
    reason: str,
    now: datetime,
    rules: HealthDefaults,
) -> ProbeTarget:
    """Return *target* after one probe; a new status comes with a new `since` and revision."""
    at = isoformat(now)
    probed = replace(target, checks=tuple(checks), reason=reason, probed_at=at)
    status = STATUS_OF[outcome]
    if status is target.status:
        return replace(probed, pending=None, streak=0)
    streak = target.streak + 1 if target.pending is status else 1
    if streak < _needed(target, status, rules):
        return replace(probed, pending=status, streak=streak)
    return replace(
        probed,
        status=status,
        previous=target.status,
        since=at,
        pending=None,
        streak=0,
        revision=target.revision + 1,
    )


def _needed(target: ProbeTarget, status: HealthStatus, rules: HealthDefaults) -> int:
    """Return how many outcomes in a row it takes to change *target* to *status*."""
    if target.status is HealthStatus.UNKNOWN and status is HealthStatus.HEALTHY:
        return 1  # no earlier statement is withdrawn, and a first release is healthy immediately
    if target.status is HealthStatus.UNKNOWN or _SEVERITY[status] > _SEVERITY[target.status]:
        return target.failures_to_worsen(rules)
    return target.passes_to_improve(rules)


def needs_write(
    before: ProbeTarget, after: ProbeTarget, now: datetime, rules: HealthDefaults
) -> bool:
    """Return whether *after* is written; a probe without news is kept as a sample only."""
    has_news = (before.status, before.pending, before.streak) != (
        after.status,
        after.pending,
        after.streak,
    )
    return has_news or is_heartbeat_due(before, now, rules)


def is_heartbeat_due(target: ProbeTarget, now: datetime, rules: HealthDefaults) -> bool:
    return now - parse_instant(target.published_at) >= rules.heartbeat


def is_prober_outage(
    before: Sequence[ProbeTarget], outcomes: Sequence[ProbeOutcome], ratio: float
) -> bool:
    """Return whether more than *ratio* of the healthy targets were lost at once.

    So many at once have one reason: the prober itself.
    """
    of_healthy = [
        outcome
        for target, outcome in zip(before, outcomes, strict=True)
        if target.status is HealthStatus.HEALTHY
    ]
    lost = sum(outcome in {ProbeOutcome.FAIL, ProbeOutcome.NOTHING} for outcome in of_healthy)
    return len(of_healthy) >= _OUTAGE_LEAST and lost > ratio * len(of_healthy)
