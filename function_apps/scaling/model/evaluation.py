"""One evaluation of a policy: from what was seen to the number of instances, with the reason.

The most demanding rule decides; stabilisation, rates, bounds, cooldown, rollouts and pauses limit
it, in this order. The number is never lowered while a signal is missing. As of Kubernetes'
HorizontalPodAutoscaler where it has the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from function_apps.scaling.model.limits import highest, lowest, stabilised
from function_apps.scaling.model.policy import ReplicaChange, ScalingPolicy, recent
from function_apps.scaling.model.signal_values import Instances, Signals, apply_rule
from shared.contracts.scaling import (
    Direction,
    ScalingInput,
    ScalingPolicyChange,
    ScalingReason,
    SignalLoss,
)
from shared.kernel.dataclass import dataclass

_MINUTE_S: Final = 60
_NO_DATA: Final = "at least one signal is not known, so the number is not lowered"


@dataclass(frozen=True)
class Circumstances:
    """The state of the world that an evaluation takes into account beside the policy.

    `recommended` are the numbers that its rules wanted in the stabilisation window, `changes` those
    that were made lately.
    """

    instances: Instances
    signals: Signals
    now: datetime
    recommended: Sequence[int] = ()
    changes: tuple[ReplicaChange, ...] = ()
    affordable: int | None = None
    """As many as the cost ceiling pays for; None for no limit."""
    is_rolling_out: bool = False
    may_be_none: bool = False
    """The service may have no instance."""
    tolerance: float = 0.1


@dataclass(frozen=True)
class ReplicaDecision:
    """`recommended` is what the rules want, for the stabilisation of later evaluations."""

    desired: int
    reason: ScalingReason
    message: str
    inputs: tuple[ScalingInput, ...] = ()
    recommended: int | None = None

    @property
    def is_lost(self) -> bool:
        """Return whether a signal was missing, whatever decided in the end."""
        return any(each.wanted is None for each in self.inputs)


def evaluate(
    policy: ScalingPolicyChange, at: Circumstances, held: Callable[[Direction], bool]
) -> ReplicaDecision:
    """Return how many instances *policy* wants; *held* says which direction a pause holds."""
    inputs = tuple(
        apply_rule(rule, at.signals[place], at.instances, at.tolerance)
        for place, rule in enumerate(policy.rules)
    )
    decision = _by_rules(policy, inputs, at.instances.current)
    decision = replace(decision, inputs=inputs)
    for limit in _LIMITS:
        decision = limit(decision, policy, at)
    return _as_paused(decision, at, held)


def evaluate_policy(policy: ScalingPolicy, at: Circumstances) -> ReplicaDecision:
    """Return how many instances the policy wants now."""

    def held(direction: Direction) -> bool:
        return policy.holds(direction, at.now)

    return evaluate(policy.content, at, held)


def _by_rules(
    policy: ScalingPolicyChange, inputs: Sequence[ScalingInput], current: int
) -> ReplicaDecision:
    """Return the number of the most demanding rule; with signals lost, never a lower one."""
    wanted = [each for each in inputs if each.wanted is not None]
    lost = [each for each in inputs if each.wanted is None]
    most = max(wanted, key=lambda each: each.wanted or 0, default=None)
    number = (most.wanted or 0) if most else None
    if not lost:
        if most is None or number is None:
            return ReplicaDecision(current, ScalingReason.POLICY, "it has no rules but its bounds")
        text = _sentence(most)
        return ReplicaDecision(number, ScalingReason.RULE, text, recommended=number)
    fallback = _without_signal(policy, current)
    if number is not None and most is not None and number > fallback:
        text = _sentence(most)
        return ReplicaDecision(number, ScalingReason.RULE, text, recommended=number)
    names = ", ".join(f"{each.signal}: {each.reason}" for each in lost)
    return ReplicaDecision(
        fallback, ScalingReason.SIGNAL_LOST, f"{_NO_DATA} ({names})"[:2048],
        recommended=fallback,
    )  # fmt: skip


def _without_signal(policy: ScalingPolicyChange, current: int) -> int:
    match policy.on_signal_loss:
        case SignalLoss.HOLD:
            return current
        case SignalLoss.SCALE_TO:
            return max(current, policy.scale_to or 0)
        case SignalLoss.MAX:
            return max(current, policy.max)


def _sentence(asking: ScalingInput) -> str:
    value = "unknown" if asking.value is None else f"{asking.value:g}"
    return f"{asking.signal} is {value}, its target is {asking.target:g}"


def _stabilise(
    decision: ReplicaDecision, policy: ScalingPolicyChange, at: Circumstances
) -> ReplicaDecision:
    current = at.instances.current
    number = stabilised(decision.desired, current, at.recommended)
    if number == decision.desired:
        return decision
    span_s = policy.stabilisation.total_seconds()
    span = f"{span_s:g} s" if span_s < _MINUTE_S else f"{span_s / _MINUTE_S:g} min"
    text = f"{decision.message}; more were wanted in the last {span}"
    return replace(decision, desired=number, message=text)


def _limit_rate(
    decision: ReplicaDecision, policy: ScalingPolicyChange, at: Circumstances
) -> ReplicaDecision:
    current, number = at.instances.current, decision.desired
    most = highest(current, policy.rate_limits.up, at.changes, at.now)
    least = lowest(current, policy.rate_limits.down, at.changes, at.now)
    if number > current and most is not None and number > most:
        return _limited(decision, most, f"{number} are wanted, and its rate allows {most} now")
    if number < current and number < least:
        return _limited(decision, least, f"{number} are wanted, and its rate allows {least} now")
    return decision


def _bound(
    decision: ReplicaDecision, policy: ScalingPolicyChange, at: Circumstances
) -> ReplicaDecision:
    """Bring the number within the bounds; those of a person come before those of money.

    While a signal is missing they only keep it from being raised.
    """
    number = decision.desired
    least = policy.min if policy.min or at.may_be_none else 1
    most = policy.max
    if at.affordable is not None and at.affordable < most:
        most = max(least, at.affordable)
    allowed = max(most, at.instances.current) if decision.is_lost else most
    if number > allowed:
        why = f"its max is {policy.max}" if most == policy.max else f"its cost ceiling pays {most}"
        return _limited(decision, allowed, f"{number} are wanted, and {why}")
    if number < least:
        return _limited(decision, least, f"{number} are wanted, and its min is {least}")
    return decision


def _cool_down(
    decision: ReplicaDecision, policy: ScalingPolicyChange, at: Circumstances
) -> ReplicaDecision:
    current = at.instances.current
    if decision.desired >= current or not recent(at.changes, at.now - policy.cooldown):
        return decision
    seconds = policy.cooldown.total_seconds()
    text = f"{decision.desired} are wanted; the number was changed in the last {seconds:g} s"
    return replace(decision, desired=current, reason=ScalingReason.COOLDOWN, message=text)


def _hold_for_rollout(
    decision: ReplicaDecision, policy: ScalingPolicyChange, at: Circumstances
) -> ReplicaDecision:
    del policy
    current = at.instances.current
    if decision.desired >= current or not at.is_rolling_out:
        return decision
    text = f"{decision.desired} are wanted; a rollout is under way, and none is stopped meanwhile"
    return replace(decision, desired=current, reason=ScalingReason.ROLLOUT, message=text)


_LIMITS: Final = (_stabilise, _limit_rate, _bound, _cool_down, _hold_for_rollout)


def _as_paused(
    decision: ReplicaDecision, at: Circumstances, held: Callable[[Direction], bool]
) -> ReplicaDecision:
    current, number = at.instances.current, decision.desired
    direction = Direction.UP if number > current else Direction.DOWN
    if number == current or not held(direction):
        return decision
    text = f"{number} are wanted; it is paused"
    return replace(decision, desired=current, reason=ScalingReason.PAUSED, message=text)


def _limited(decision: ReplicaDecision, number: int, text: str) -> ReplicaDecision:
    return replace(decision, desired=number, reason=ScalingReason.LIMITED, message=text)
