"""RuntimeDriftFinding: one property that is not as desired, from its first sight on.

The same property is always the same finding: it opens again when the difference comes back. What a
scan saw and what people ask for lead it through the table; what is not in it cannot happen.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from function_apps.drift.model.classification import Classification, is_of_git
from function_apps.drift.model.comparison import Change, text_of
from shared.contracts.drift import (
    DriftDefaults,
    DriftKind,
    DriftSeverity,
    FindingStatus,
    Plane,
    Remediation,
    RemediationPolicy,
    RepairRisk,
)
from shared.contracts.values import Reason
from shared.kernel.clock import isoformat, parse_instant
from shared.kernel.dataclass import dataclass
from shared.kernel.transitions import Transitions

State = FindingStatus
BACKOFF_MAX: Final = timedelta(hours=1)
OPEN_MAX: Final = 200
"""Findings of one service, or of one plane of an environment, about which nobody has decided. More
at once are one thing that happened, and the first say which."""
_DECIDED: Final = frozenset({State.ACKNOWLEDGED, State.SUPPRESSED, State.ADOPTED})


class FindingEvent:
    """Something that happened to a finding; each type leads where the table says."""


class ValueChanged(FindingEvent):
    """It differs still, and otherwise than before."""


class CameBack(FindingEvent):
    """It differs again, after it was resolved, let be for a while, or adopted."""


class RepairUndone(FindingEvent):
    """It differs again after a repair, so often that another one would be undone too."""


class Acknowledged(FindingEvent):
    """Somebody knows of it."""


class RepairBegan(FindingEvent):
    """The plane's owner was asked to repair it."""


class RepairHadNoEffect(FindingEvent):
    """It differs still, when the repair had its time."""


class GivenUp(FindingEvent):
    """So many repairs had no effect that a person is needed."""


class Suppressed(FindingEvent):
    """It is let be until a given time, and not written."""


class Cleared(FindingEvent):
    """The property is as desired again, or its service is gone."""


class AdoptedAsDesired(FindingEvent):
    """The live value was taken for the desired one."""


_ENDS: Final[dict[type[FindingEvent], State]] = {
    Suppressed: State.SUPPRESSED,
    AdoptedAsDesired: State.ADOPTED,
    Cleared: State.RESOLVED,
}
TRANSITIONS: Final[Transitions[State, FindingEvent]] = Transitions(
    "a finding of drift",
    {
        State.OPEN: {
            ValueChanged: State.OPEN,
            Acknowledged: State.ACKNOWLEDGED,
            RepairBegan: State.REMEDIATING,
            **_ENDS,
        },
        State.ACKNOWLEDGED: {
            ValueChanged: State.ACKNOWLEDGED,
            RepairBegan: State.REMEDIATING,
            **_ENDS,
        },
        State.REMEDIATING: {
            RepairHadNoEffect: State.OPEN,
            GivenUp: State.ESCALATED,
            Cleared: State.RESOLVED,
        },
        State.SUPPRESSED: {
            Suppressed: State.SUPPRESSED,
            CameBack: State.OPEN,
            AdoptedAsDesired: State.ADOPTED,
            Cleared: State.RESOLVED,
        },
        State.ESCALATED: {
            ValueChanged: State.ESCALATED,
            RepairBegan: State.REMEDIATING,
            **_ENDS,
        },
        State.RESOLVED: {CameBack: State.OPEN, RepairUndone: State.ESCALATED},
        State.ADOPTED: {CameBack: State.OPEN, Cleared: State.RESOLVED},
    },
)


@dataclass(frozen=True)
class Finding:
    """`attempts` are repairs without effect in a row, `undone_at` when repairs were undone."""

    finding_id: str
    tenant_id: str
    environment_id: str
    service_id: str | None
    """None where it is of the environment itself, as is `module_id`."""
    module_id: str | None
    project_id: str | None
    plane: Plane
    path: str
    kind: DriftKind
    desired: str | None
    actual: str | None
    severity: DriftSeverity
    risk: RepairRisk
    remediation: Remediation
    cause: str
    baseline_revision: int
    detected_at: str
    status: State = State.OPEN
    revision: int = 1
    occurrences: int = 1
    attempts: int = 0
    undone_at: tuple[str, ...] = ()
    is_repaired: bool = False
    """The last resolution was by a repair."""
    effect_due_at: str | None = None
    """A repair that shows no effect by then has none."""
    next_attempt_at: str | None = None
    suppressed_until: str | None = None
    resolved_at: str | None = None
    reason: str = ""
    """The words of who acknowledged, suppressed, adopted or repaired it, or why it was cleared."""
    actor: str | None = None
    """The name of whoever set the live value, where the surface knows."""

    @property
    def is_active(self) -> bool:
        """Return whether a scan has to judge it, as it is not resolved."""
        return self.status is not State.RESOLVED

    def may_be_repaired(self, now: datetime) -> bool:
        """Return whether it is to be repaired now without anybody asking."""
        is_due = self.next_attempt_at is None or self.next_attempt_at <= isoformat(now)
        is_auto = self.remediation.policy is RemediationPolicy.AUTO
        return self.status is State.OPEN and is_auto and is_due


def new_finding(
    finding_id: str,
    *,
    tenant_id: str,
    environment_id: str,
    service_id: str | None,
    module_id: str | None,
    project_id: str | None,
    plane: Plane,
    change: Change,
    classification: Classification,
    baseline_revision: int,
    now: datetime,
    actor: str | None = None,
) -> Finding:
    """Return the finding of a difference that was never there before."""
    return Finding(
        finding_id,
        tenant_id,
        environment_id,
        service_id,
        module_id,
        project_id,
        plane,
        change.path,
        change.kind,
        text_of(change.desired),
        text_of(change.actual),
        classification.severity,
        classification.risk,
        classification.remediation,
        classification.cause,
        baseline_revision,
        isoformat(now),
        actor=actor,
    )


def with_findings(found: Sequence[str], known: Mapping[str, Finding]) -> Collection[str]:
    """Return the differences of *found* that have, or get, a finding: *known* ones have theirs.

    Of the others the first get one, as far as fewer than OPEN_MAX are open.
    """
    room = OPEN_MAX - sum(each.status not in _DECIDED for each in known.values())
    others = [each for each in found if each not in known]
    return {*known.keys() & {*found}, *others[: max(room, 0)]}


def too_many(left_out: int) -> Reason:
    """Return that *left_out* differences have no finding, though they are there."""
    message = f"{left_out} more differences are not told: {OPEN_MAX} findings are open"
    return Reason(code="TooManyDifferences", message=message)


def see_again(known: Finding, seen: Finding, now: datetime, rules: DriftDefaults) -> Finding | None:
    """Return *known* when a scan found the difference *seen*; None when that is no news."""
    match known.status:
        case State.REMEDIATING:
            return _without_effect(known, seen, now, rules)
        case State.SUPPRESSED:
            is_over = known.suppressed_until is None or known.suppressed_until <= isoformat(now)
            return _again(known, seen, now, rules) if is_over else None
        case State.RESOLVED | State.ADOPTED:
            return _again(known, seen, now, rules)
        case _:
            updated = _values_of(known, seen)
            return None if updated == known else evolve(updated, ValueChanged)


def clear(known: Finding, reason: str, now: datetime, *, ends_adoption: bool) -> Finding | None:
    """Return *known* when its property is as desired; None when that is no news.

    What was adopted is as desired by that, unless this *ends_adoption*, as a new release does.
    """
    if known.status is State.RESOLVED or (known.status is State.ADOPTED and not ends_adoption):
        return None
    cleared = replace(
        known,
        is_repaired=known.status is State.REMEDIATING,
        resolved_at=isoformat(now),
        effect_due_at=None,
        next_attempt_at=None,
        suppressed_until=None,
        reason=reason,
    )
    return evolve(cleared, Cleared)


def acknowledge(known: Finding, reason: str) -> Finding:
    """Return *known* acknowledged. Raises TransitionRefused."""
    return evolve(replace(known, reason=reason), Acknowledged)


def suppress(known: Finding, until: datetime, reason: str) -> Finding:
    """Return *known* let be until then. Raises TransitionRefused."""
    suppressed = replace(known, suppressed_until=isoformat(until), reason=reason)
    return evolve(suppressed, Suppressed)


def adopt(known: Finding, reason: str) -> Finding:
    """Return *known* with its live value taken for the desired one. Raises TransitionRefused."""
    return evolve(replace(known, reason=reason, suppressed_until=None), AdoptedAsDesired)


def reword(known: Finding, reason: str) -> Finding:
    """Return *known*, about which the same was decided again, with the words of that if any.

    A repair under way keeps the words that its owner was asked with.
    """
    is_news = known.status is not State.REMEDIATING and reason not in {"", known.reason}
    return replace(known, reason=reason, revision=known.revision + 1) if is_news else known


def begin_repair(known: Finding, reason: str, now: datetime, rules: DriftDefaults) -> Finding:
    """Return *known* while its owner repairs it. Raises TransitionRefused."""
    effect_due_at = isoformat(now + _backoff(known.attempts, rules))
    return evolve(replace(known, effect_due_at=effect_due_at, reason=reason), RepairBegan)


def _without_effect(
    known: Finding, seen: Finding, now: datetime, rules: DriftDefaults
) -> Finding | None:
    """Return *known* after its repair; None while that has time left to show its effect."""
    if known.effect_due_at is not None and known.effect_due_at > isoformat(now):
        return None
    attempts = known.attempts + 1
    tried = replace(_values_of(known, seen), attempts=attempts, effect_due_at=None)
    if attempts >= rules.attempts_max:
        return evolve(tried, GivenUp)
    next_attempt_at = isoformat(now + _backoff(attempts, rules))
    return evolve(replace(tried, next_attempt_at=next_attempt_at), RepairHadNoEffect)


def _again(known: Finding, seen: Finding, now: datetime, rules: DriftDefaults) -> Finding:
    """Return *known* open again; escalated when its repairs are undone again and again."""
    is_undone = known.status is State.RESOLVED and known.is_repaired
    lately = isoformat(now - rules.undone_within)
    undone_at = tuple(at for at in known.undone_at if at > lately)
    if is_undone:
        undone_at = (*undone_at, isoformat(now))
    back = replace(
        _values_of(known, seen),
        occurrences=known.occurrences + 1,
        attempts=0,
        undone_at=undone_at,
        detected_at=isoformat(now),
        resolved_at=None,
        suppressed_until=None,
        next_attempt_at=None,
        reason="",
    )
    is_loop = is_undone and len(undone_at) >= rules.undone_max
    return evolve(back, RepairUndone if is_loop else CameBack)


def _values_of(known: Finding, seen: Finding) -> Finding:
    """Return *known* as it was seen now; who set the same value before may not be known now."""
    is_same = (known.kind, known.actual) == (seen.kind, seen.actual)
    return replace(
        known,
        kind=seen.kind,
        desired=seen.desired,
        actual=seen.actual,
        severity=seen.severity,
        risk=seen.risk,
        remediation=seen.remediation,
        cause=seen.cause,
        actor=seen.actor or (known.actor if is_same else None),
        baseline_revision=seen.baseline_revision,
    )


def _backoff(attempts: int, rules: DriftDefaults) -> timedelta:
    return min(rules.own_work * (1 << min(attempts, 10)), BACKOFF_MAX)


def evolve(finding: Finding, event: type[FindingEvent]) -> Finding:
    """Return *finding* after *event*, one revision later. Raises TransitionRefused."""
    status = TRANSITIONS.after(finding.status, event)
    return replace(finding, status=status, revision=finding.revision + 1)


def blocks_repair(finding: Finding, now: datetime) -> bool:
    """Return whether *finding* is let be, and a repair of its service would write its property.

    None writes what Git says.
    """
    until = finding.suppressed_until
    if is_of_git(finding.path):
        return False
    return finding.status is State.SUPPRESSED and until is not None and parse_instant(until) > now


def would_destroy_unasked(asked: Finding, other: Finding) -> bool:
    """Return whether the repair of *asked* does to *other* what nobody asked for, for good.

    The owner repairs an environment as a whole.
    """
    is_same_repair = asked.service_id is None and asked.remediation.command == (
        other.remediation.command
    )
    is_lost = other.risk is RepairRisk.DESTRUCTIVE and asked.risk is not RepairRisk.DESTRUCTIVE
    return is_same_repair and is_lost
