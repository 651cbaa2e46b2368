"""The aggregate ScalingPolicy: what it says, its states, and the number it wants. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from function_apps.scaling.errors import PolicyExists, PolicyInvalid
from shared.contracts.alerts import Alert, AlertChange, judge_alerts
from shared.contracts.scaling import (
    Actuator,
    Direction,
    LeftReplicas,
    ScalingPolicyChange,
    ScalingReason,
    ScalingStatus,
)
from shared.kernel.clock import isoformat, parse_instant
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Violation
from shared.kernel.transitions import Transitions

State = ScalingStatus
_IS_EVALUATED: Final = frozenset({State.APPLIED, State.ENFORCED, State.PAUSED})
_IS_OVER: Final = frozenset({State.REJECTED, State.SUPERSEDED})
CHANGES_KEPT: Final = 60
"""Of the number of instances: more than a period of 30 min has, at two evaluations a minute.

On this machine, with one each five seconds, it may be five minutes of them.
"""


@dataclass(frozen=True)
class PolicyEvent:
    """Something that happened to a policy."""


@dataclass(frozen=True)
class ServiceFound(PolicyEvent):
    """The service that it is of is known, and its rules can be followed there."""


@dataclass(frozen=True)
class Evaluated(PolicyEvent):
    """It decides the number of instances."""


@dataclass(frozen=True)
class Rewritten(PolicyEvent):
    """It says something else."""


@dataclass(frozen=True)
class Paused(PolicyEvent):
    """A person holds the number, for a while."""


@dataclass(frozen=True)
class Resumed(PolicyEvent):
    """The pause is over."""


@dataclass(frozen=True)
class RulesRefused(PolicyEvent):
    """The surface of the service cannot follow its rules."""


@dataclass(frozen=True)
class ReleaseFollowed(PolicyEvent):
    """Its service has another release than the one for which it was rejected."""


@dataclass(frozen=True)
class Ended(PolicyEvent):
    """It was deleted, or its service is gone."""


TRANSITIONS: Final[Transitions[State, PolicyEvent]] = Transitions(
    "a policy",
    {
        State.REQUESTED: {
            ServiceFound: State.APPLIED,
            Rewritten: State.REQUESTED,
            RulesRefused: State.REJECTED,
            Ended: State.SUPERSEDED,
        },
        State.APPLIED: {
            Evaluated: State.ENFORCED,
            Rewritten: State.APPLIED,
            Paused: State.PAUSED,
            RulesRefused: State.REJECTED,
            Ended: State.SUPERSEDED,
        },
        State.ENFORCED: {
            Evaluated: State.ENFORCED,
            Rewritten: State.APPLIED,
            Paused: State.PAUSED,
            RulesRefused: State.REJECTED,
            Ended: State.SUPERSEDED,
        },
        State.PAUSED: {
            Evaluated: State.PAUSED,
            Paused: State.PAUSED,
            Resumed: State.ENFORCED,
            Rewritten: State.PAUSED,
            RulesRefused: State.REJECTED,
            Ended: State.SUPERSEDED,
        },
        State.REJECTED: {
            Rewritten: State.REQUESTED,
            ReleaseFollowed: State.REQUESTED,
            RulesRefused: State.REJECTED,
            Ended: State.SUPERSEDED,
        },
        State.SUPERSEDED: {Rewritten: State.REQUESTED},
    },
    endings=frozenset({State.SUPERSEDED}),
)


@dataclass(frozen=True)
class ReplicaChange:
    """A change of the number of instances, by how many."""

    at: str
    by: int


@dataclass(frozen=True)
class ScalingPolicy:
    """One policy of one service. `revision` counts its changes, `policy_revision` its contents.

    `desired` is the number that it asked for last, and `changes` how that changed lately. An ended
    one stays as a tombstone, so that a later one counts on.
    """

    policy_id: str
    tenant_id: str
    service_id: str
    environment_id: str
    content: ScalingPolicyChange
    created_at: str
    updated_at: str
    module_id: str | None = None
    status: State = State.REQUESTED
    policy_revision: int = 1
    revision: int = 1
    desired: int | None = None
    actual: int | None = None
    reason: ScalingReason = ScalingReason.POLICY
    why: str = ""
    """The words of who paused it, while it is; else why it cannot be followed."""
    paused: Direction | None = None
    paused_until: str | None = None
    pauses: int = 0
    """The number of times that somebody paused it, or ended a pause."""
    changes: tuple[ReplicaChange, ...] = ()
    lost_since: str | None = None
    """Since when a signal is lost."""
    alert: str | None = None
    alert_raised_at: str | None = None
    is_taken_back: bool = False
    """Of one that is rejected or has ended: no rules of the surface have the number any more."""
    rejected_release: int | None = None
    """The release revision of the service for which it was rejected."""
    newer_release: int | None = None
    """The newest revision that runs beyond the release in force."""
    newer_since: str | None = None
    """Since when that is seen."""
    scaled_release: int = 0
    """The newest release revision whose number it decided."""
    left_replicas: LeftReplicas | None = None
    """The number that it had as it stopped to decide, until it decides again."""

    @property
    def is_to_be_taken_back(self) -> bool:
        """Return whether rules of the surface may have the number, though it decides nothing."""
        is_native = self.content.actuator is Actuator.NATIVE
        return self.status in _IS_OVER and is_native and not self.is_taken_back

    def holds(self, direction: Direction, now: datetime) -> bool:
        """Return whether a pause keeps the number from going in *direction*."""
        is_over = self.paused_until is None or parse_instant(self.paused_until) <= now
        return not is_over and self.paused in {direction, Direction.BOTH}


@dataclass(frozen=True)
class PolicyIds:
    """The ids of a policy and of what it is of, which all follow from the service's."""

    policy_id: str
    service_id: str
    environment_id: str
    tenant_id: str


def apply_policy(
    known: ScalingPolicy | None,
    content: ScalingPolicyChange,
    ids: PolicyIds,
    now: datetime,
    *,
    is_change: bool = False,
) -> ScalingPolicy:
    """Return the policy with *content*; the one that is *known* where it says the same.

    Raises:
        PolicyExists: there is one with other content, and *is_change* is not said.
        PolicyInvalid: it is paused, and nothing would hold what *content* asks for.
    """
    if known is None:
        at = isoformat(now)
        return ScalingPolicy(
            ids.policy_id, ids.tenant_id, ids.service_id, ids.environment_id, content, at, at
        )
    if known.status is not State.SUPERSEDED:
        if known.content == content and known.status is not State.REJECTED:
            return known
        if known.content != content and not is_change:
            raise PolicyExists(known.policy_id)
    after = evolve(known, Rewritten, now)
    if after.status is State.PAUSED and not has_pause_ended(known, now):
        require_held(content)
    return replace(
        after,
        content=content,
        policy_revision=known.policy_revision + 1,
        reason=ScalingReason.POLICY,
        why="",
    )


def require_held(content: ScalingPolicyChange) -> None:
    """Refuse a pause of what the surface decides. Raises PolicyInvalid."""
    if content.actuator is Actuator.NATIVE:
        expected = "platform while it is paused: rules of the surface are not held"
        raise PolicyInvalid([Violation("PolicyInvalid", "/actuator", f"expected {expected}, got"
                             " native", expected, "native")])  # fmt: skip


def take_back(policy: ScalingPolicy, now: datetime) -> ScalingPolicy:
    """Return *policy* after the surface gave the number back."""
    return replace(
        policy, is_taken_back=True, revision=policy.revision + 1, updated_at=isoformat(now)
    )


def evolve(policy: ScalingPolicy, event: type[PolicyEvent], now: datetime) -> ScalingPolicy:
    """Return *policy* after *event*, one revision later. Raises TransitionRefused.

    That a signal is lost is known only as long as it is evaluated. One that had the number and is
    refused, or ends, leaves it; one that is tried again has not seen how many there are.
    """
    status = TRANSITIONS.after(policy.status, event)
    is_evaluated = {policy.status, status} <= _IS_EVALUATED
    after = replace(
        policy,
        status=status,
        revision=policy.revision + 1,
        updated_at=isoformat(now),
        is_taken_back=False,
        lost_since=policy.lost_since if is_evaluated else None,
    )
    if status in _IS_OVER and policy.status in _IS_EVALUATED and policy.actual is not None:
        after = replace(after, left_replicas=_left(policy))
    if status is State.REQUESTED:
        after = replace(after, actual=None)
    if status is State.PAUSED:
        return after
    why = "" if policy.status is State.PAUSED else policy.why
    return replace(after, paused=None, paused_until=None, why=why)


def _left(policy: ScalingPolicy) -> LeftReplicas:
    """Return the number that *policy*, which was evaluated, decided last, and of which release."""
    assert policy.desired is not None, policy.policy_id
    return LeftReplicas(replicas=policy.desired, release_revision=policy.scaled_release)


def has_pause_ended(policy: ScalingPolicy, now: datetime) -> bool:
    """Return whether it is still Paused, and the end that was given has come."""
    until = policy.paused_until
    return policy.status is State.PAUSED and until is not None and parse_instant(until) <= now


def reject(policy: ScalingPolicy, why: str, release: int, now: datetime) -> ScalingPolicy:
    """Return *policy* as one that cannot be followed for *release* of its service."""
    return replace(evolve(policy, RulesRefused, now), why=why[:2048], rejected_release=release)


def recent(changes: tuple[ReplicaChange, ...], since: datetime) -> tuple[ReplicaChange, ...]:
    """Return those of *changes* that came after *since*."""
    return tuple(each for each in changes if each.at > isoformat(since))


def longest_memory(content: ScalingPolicyChange) -> timedelta:
    """Return how far back an evaluation of *content* looks at changes of the number."""
    limits = (*content.rate_limits.up, *content.rate_limits.down)
    return max((content.cooldown, *(limit.period for limit in limits)))


def with_alert(
    policy: ScalingPolicy, now: datetime, after: timedelta
) -> tuple[ScalingPolicy, Sequence[AlertChange]]:
    """Return *policy* with the alert that its state raises, and what that changes.

    A signal that is lost is told when it is for longer than *after*.
    """
    lost = policy.lost_since is not None and parse_instant(policy.lost_since) + after <= now
    is_rejected = policy.status is State.REJECTED
    due = Alert.POLICY_REJECTED if is_rejected else Alert.SIGNAL_LOST if lost else None
    if due == policy.alert:
        return policy, ()
    at, raised = (
        isoformat(now),
        {policy.alert: policy.alert_raised_at or ""} if policy.alert else {},
    )
    evidence = {due: [policy.why or policy.reason]} if due else {}
    known = replace(policy, alert=due, alert_raised_at=at if due else None)
    return known, judge_alerts(raised, evidence, at)


def see_newer(policy: ScalingPolicy, release: int | None, now: datetime) -> ScalingPolicy:
    """Return *policy* after a look: *release* is the newest beyond the one in force, if any."""
    if release == policy.newer_release:
        return policy
    since = None if release is None else isoformat(now)
    return replace(policy, newer_release=release, newer_since=since)


def is_held_by_newer(policy: ScalingPolicy, now: datetime, at_most: timedelta) -> bool:
    """Return whether a newer revision runs, and is seen no longer than *at_most*."""
    return policy.newer_since is not None and parse_instant(policy.newer_since) + at_most > now


@dataclass(frozen=True)
class Wanted:
    """The decision of an evaluation: so many instances where there are *actual*, and why.

    *release* is the newest release revision that it is of.
    """

    desired: int
    actual: int
    reason: ScalingReason
    release: int
    is_lost: bool = False


def record_evaluation(policy: ScalingPolicy, wanted: Wanted, now: datetime) -> ScalingPolicy:
    """Return *policy* with what it wants now; a change of the number is remembered.

    It has the number again, so nothing is left.

    Raises:
        TransitionRefused: it is not one that is evaluated.
    """
    is_over = has_pause_ended(policy, now)
    after = evolve(policy, Resumed if is_over else Evaluated, now)
    changes = recent(policy.changes, now - longest_memory(policy.content))
    by = wanted.desired - wanted.actual
    if by:
        changes = (*changes, ReplicaChange(isoformat(now), by))[-CHANGES_KEPT:]
    return replace(
        after,
        desired=wanted.desired,
        actual=wanted.actual,
        reason=wanted.reason,
        lost_since=(policy.lost_since or isoformat(now)) if wanted.is_lost else None,
        changes=changes,
        scaled_release=wanted.release,
        left_replicas=None,
    )


def is_news(before: ScalingPolicy, after: ScalingPolicy) -> bool:
    """Return whether an evaluation changed what others are to know; most change nothing."""
    return _said(before) != _said(after)


def _said(policy: ScalingPolicy) -> tuple[object, ...]:
    is_limited = policy.reason is ScalingReason.LIMITED
    return (policy.status, policy.desired, policy.actual, policy.lost_since, policy.alert,
            policy.is_taken_back, policy.rejected_release, policy.newer_release,
            policy.scaled_release, is_limited)  # fmt: skip
