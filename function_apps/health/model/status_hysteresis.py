"""How looks become health: three failures in a row to worsen, two passes to improve.

Absent data is Unknown, never Healthy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from function_apps.health.model.probe_target import Target
from shared.contracts.health import HealthDefaults, HealthStatus
from shared.kernel.clock import isoformat, parse_instant

Status = HealthStatus


class Look(StrEnum):
    """What one look at a service said of it."""

    PASS = "pass"  # noqa: S105  a result
    PARTLY = "partly"
    """Some instances pass, not all that were asked for."""
    FAIL = "fail"
    NOTHING = "nothing"
    """No answer that can be relied on: the surface could not be read."""


SAID: Final[Mapping[Look, Status]] = {
    Look.PASS: Status.HEALTHY,
    Look.PARTLY: Status.DEGRADED,
    Look.FAIL: Status.UNHEALTHY,
    Look.NOTHING: Status.UNKNOWN,
}
_WORSE: Final = {Status.HEALTHY: 0, Status.DEGRADED: 1, Status.UNHEALTHY: 2, Status.UNKNOWN: 3}

# What is not in this table cannot happen: a status changes into what enough looks in a row said.
TRANSITIONS: Final[Mapping[Status, Mapping[Look, Status]]] = {
    status: {look: said for look, said in SAID.items() if said is not status} for status in Status
}
_OUTAGE_LEAST: Final = 4
"""Among fewer healthy targets, one bad deployment would look like an outage of the prober."""


def judge(
    target: Target,
    look: Look,
    checks: Sequence[Mapping[str, Any]],
    reason: str,
    now: datetime,
    rules: HealthDefaults,
) -> Target:
    """Return *target* after one look; a changed status comes with a new `since` and revision."""
    at = isoformat(now)
    looked = replace(target, checks=tuple(checks), reason=reason, looked_at=at)
    said = TRANSITIONS[target.status].get(look)
    if said is None:
        return replace(looked, pending=None, streak=0)
    streak = target.streak + 1 if target.pending is said else 1
    if streak < _needed(target, said, rules):
        return replace(looked, pending=said, streak=streak)
    return replace(
        looked,
        status=said,
        previous=target.status,
        since=at,
        pending=None,
        streak=0,
        revision=target.revision + 1,
    )


def _needed(target: Target, said: Status, rules: HealthDefaults) -> int:
    if target.status is Status.UNKNOWN and said is Status.HEALTHY:
        return 1  # nothing is taken back by it, and a first release is healthy as soon as it is
    if target.status is Status.UNKNOWN or _WORSE[said] > _WORSE[target.status]:
        return target.failures_to_worsen(rules)
    return target.passes_to_improve(rules)


def is_worth_keeping(before: Target, after: Target, now: datetime, rules: HealthDefaults) -> bool:
    """Return whether *after* is written: what only repeats what is known is in the samples."""
    is_other = (before.status, before.pending, before.streak) != (
        after.status,
        after.pending,
        after.streak,
    )
    return is_other or is_heartbeat_due(before, now, rules)


def is_heartbeat_due(target: Target, now: datetime, rules: HealthDefaults) -> bool:
    return now - parse_instant(target.told_at) >= rules.heartbeat


def is_prober_outage(before: Sequence[Target], looks: Sequence[Look], ratio: float) -> bool:
    """Return whether so many went bad at once that the prober itself must be the reason."""
    healthy = [
        look for target, look in zip(before, looks, strict=True) if target.status is Status.HEALTHY
    ]
    lost = sum(look in {Look.FAIL, Look.NOTHING} for look in healthy)
    return len(healthy) >= _OUTAGE_LEAST and lost > ratio * len(healthy)
