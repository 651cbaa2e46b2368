"""The status of a service: three failing probes in a row worsen it, two passing ones improve it.

A crash loop makes a healthy one Degraded at once, whether its instances are ready at that moment or
not: it took restarts in a row already.

Health is an observed record, so any status may follow any other and no transition table is needed.
Absent data is Unknown, never Healthy.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from function_apps.health.model.probe_target import ProbeTarget
from function_apps.health.model.restarts import describe_restarts, has_crash_loop
from shared.contracts.health import HealthDefaults, HealthStatus
from shared.kernel.clock import isoformat, parse_instant


class ProbeOutcome(StrEnum):
    """The result of probing all instances of a service once."""

    PASS = "pass"  # noqa: S105  a result
    PARTLY = "partly"
    """Fewer instances pass than the release asks for, or one that passes says it is Degraded."""
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
    after = _recorded(target, outcome, checks, reason, now, rules)
    if outcome is ProbeOutcome.NOTHING:
        return after
    passes = outcome is ProbeOutcome.PASS
    passing_since = (target.passing_since or isoformat(now)) if passes else None
    failing_since = target.failing_since
    if passes and after.status is HealthStatus.HEALTHY:
        failing_since = None
    elif not passes or has_crash_loop(target.restarts):
        failing_since = failing_since or isoformat(now)
    return replace(after, passing_since=passing_since, failing_since=failing_since)


def _recorded(
    target: ProbeTarget,
    outcome: ProbeOutcome,
    checks: Sequence[Mapping[str, Any]],
    reason: str,
    now: datetime,
    rules: HealthDefaults,
) -> ProbeTarget:
    at = isoformat(now)
    restarts = describe_restarts(target.restarts, now, rules)
    probed = replace(
        target,
        checks=tuple(checks),
        reason=f"{reason}; {restarts}" if restarts else reason,
        probed_at=at,
    )
    loops = has_crash_loop(target.restarts) and outcome is not ProbeOutcome.NOTHING
    is_up = outcome is ProbeOutcome.PASS
    status = HealthStatus.DEGRADED if loops and is_up else STATUS_OF[outcome]
    if status is target.status:
        return replace(probed, pending=None, streak=0)
    streak = target.streak + 1 if target.pending is status else 1
    if streak >= _needed(target, status, rules):
        return _changed(probed, status, at)
    if loops and target.status in {HealthStatus.HEALTHY, HealthStatus.UNKNOWN}:
        # What it is on its way to goes on being counted.
        pending = None if status is HealthStatus.DEGRADED else status
        degraded = _changed(probed, HealthStatus.DEGRADED, at)
        return replace(degraded, pending=pending, streak=streak if pending else 0)
    return replace(probed, pending=status, streak=streak)


def _changed(target: ProbeTarget, status: HealthStatus, at: str) -> ProbeTarget:
    return replace(
        target,
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
    return _news(before) != _news(after) or is_heartbeat_due(before, now, rules)


def _news(target: ProbeTarget) -> tuple[object, ...]:
    return (
        target.status,
        target.pending,
        target.streak,
        target.restarts,
        target.passing_since,
        target.burning_since,
        target.root_cause,
        target.alerts,
    )


def is_heartbeat_due(target: ProbeTarget, now: datetime, rules: HealthDefaults) -> bool:
    return now - parse_instant(target.published_at) >= rules.heartbeat


def is_prober_outage(
    before: Sequence[ProbeTarget], lost: Sequence[bool], ratio: float
) -> bool:  # fmt: skip
    """Return whether more than *ratio* of the healthy targets were *lost* at once: did not answer.

    So many at once have one reason: the prober itself. Those that answer an error do not count, or
    an outage of what most of them depend on would be nobody's. It is to be so for more than *ratio*
    of the tenants too: what one of them does to its own says nothing about those of others.
    """
    of_tenants = defaultdict[str, list[bool]](list)
    for target, is_lost in zip(before, lost, strict=True):
        if target.status is HealthStatus.HEALTHY:
            of_tenants[target.tenant_id].append(is_lost)
    of_healthy = [is_lost for each in of_tenants.values() for is_lost in each]
    if len(of_healthy) < _OUTAGE_LEAST:
        return False
    return _is_most(of_healthy, ratio) and _is_most(
        [_is_most(each, ratio) for each in of_tenants.values()], ratio
    )


def _is_most(lost: Sequence[bool], ratio: float) -> bool:
    return sum(lost) > ratio * len(lost)
