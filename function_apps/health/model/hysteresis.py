"""The health of one service: three failures in a row to worsen, two passes to improve.

Absent data is Unknown, never Healthy. A service without a running release has no health to keep.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from shared.contracts.catalog import ReleaseOfComponent, ReleaseOutcome
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


_SAID: Final[Mapping[Look, Status]] = {
    Look.PASS: Status.HEALTHY,
    Look.PARTLY: Status.DEGRADED,
    Look.FAIL: Status.UNHEALTHY,
    Look.NOTHING: Status.UNKNOWN,
}
_WORSE: Final = {Status.HEALTHY: 0, Status.DEGRADED: 1, Status.UNHEALTHY: 2, Status.UNKNOWN: 3}

# Every status may follow every other; what the table of looks decides is when.
TRANSITIONS: Final[Mapping[Status, frozenset[Status]]] = {
    status: frozenset(Status) - {status} for status in Status
}


@dataclass(frozen=True)
class Target:
    """What is probed, and its health. `streak` looks in a row said `pending`."""

    service_id: str
    tenant_id: str
    environment_id: str
    module_id: str
    stage: str
    deployment_id: str
    release_revision: int
    component: Mapping[str, Any]
    status: Status
    since: str
    due_at: str
    told_at: str
    reason: str = "not probed yet"
    previous: Status | None = None
    pending: Status | None = None
    streak: int = 0
    revision: int = 1
    checks: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    is_retired: bool = False


def watch(
    known: Target | None,
    release: ReleaseOfComponent,
    *,
    service_id: str,
    tenant_id: str,
    now: datetime,
) -> Target | None:
    """Return what to probe after a deployment ended; None when it says nothing new.

    A new release revision does not make a healthy service unhealthy: its status stays until looks
    at the new instances say otherwise.
    """
    component, at = release.component, isoformat(now)
    if component is None:
        gone = release.outcome in {ReleaseOutcome.COMPLETED, ReleaseOutcome.ROLLED_BACK}
        if known is None or known.is_retired or not gone:
            return None
        return replace(known, is_retired=True, revision=known.revision + 1)
    body = component.model_dump(mode="json", by_alias=True)
    if known is None:
        return Target(
            service_id=service_id,
            tenant_id=tenant_id,
            environment_id=release.environment_id,
            module_id=release.module_id,
            stage=release.stage,
            deployment_id=release.deployment_id,
            release_revision=component.release_revision,
            component=body,
            status=Status.UNKNOWN,
            since=at,
            due_at=at,
            told_at=at,
        )
    if component.release_revision <= known.release_revision:
        return None
    return replace(
        known,
        deployment_id=release.deployment_id,
        release_revision=component.release_revision,
        component=body,
        revision=known.revision + 1,
        due_at=at,
        is_retired=False,
    )


def judge(
    target: Target,
    look: Look,
    checks: Sequence[Mapping[str, Any]],
    reason: str,
    now: datetime,
    rules: HealthDefaults,
) -> Target:
    """Return *target* after one look; a changed status comes with a new `since` and revision."""
    at, said = isoformat(now), _SAID[look]
    due_at = isoformat(now + rules.sweep)
    looked = replace(target, due_at=due_at, checks=tuple(checks), reason=reason)
    if said is target.status:
        return replace(looked, pending=None, streak=0)
    streak = target.streak + 1 if target.pending is said else 1
    if streak < _needed(target.status, said, rules):
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


def _needed(current: Status, said: Status, rules: HealthDefaults) -> int:
    if current is Status.UNKNOWN:
        return 1 if said is Status.HEALTHY else rules.failures_to_worsen
    if _WORSE[said] > _WORSE[current]:
        return rules.failures_to_worsen
    return rules.passes_to_improve


def changed(before: Target, after: Target) -> bool:
    return before.status is not after.status


def is_heartbeat_due(target: Target, now: datetime, rules: HealthDefaults) -> bool:
    return now - parse_instant(target.told_at) >= rules.heartbeat


def healthy_for(target: Target, now: datetime) -> timedelta:
    """Return how long the service has been Healthy; zero when it is not."""
    if target.status is not Status.HEALTHY:
        return timedelta(0)
    return now - parse_instant(target.since)


def is_prober_outage(before: Sequence[Target], looks: Sequence[Look], ratio: float) -> bool:
    """Return whether so many went bad at once that the prober itself must be the reason.

    Among fewer than four, one bad deployment of a small environment would look the same.
    """
    healthy = [
        look for target, look in zip(before, looks, strict=True) if target.status is Status.HEALTHY
    ]
    lost = sum(look in {Look.FAIL, Look.NOTHING} for look in healthy)
    return len(healthy) >= _OUTAGE_LEAST and lost > ratio * len(healthy)


_OUTAGE_LEAST: Final = 4
DOCUMENT_ID: Final = "target"


def to_body(target: Target) -> dict[str, Any]:
    """Return the document body; a retired target is never due again."""
    body = asdict(target) | {"type": "target", "checks": [dict(each) for each in target.checks]}
    return body if target.is_retired else body | {"dueAt": target.due_at}


def from_body(body: Mapping[str, Any]) -> Target:
    fields = {name: body[name] for name in Target.__dataclass_fields__}
    for name in ("status", "previous", "pending"):
        fields[name] = Status(fields[name]) if fields[name] else None
    fields["checks"] = tuple(fields["checks"])
    return Target(**fields)
