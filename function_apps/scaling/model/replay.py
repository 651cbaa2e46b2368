"""The replay of a recorded load under a proposed policy: replicas, objective and cost.

The proposed policy decides at each recorded evaluation, from its own last number. A load that
instances share is spread over as many as there would have been; a latency or a burn rate is taken
to change with their number as Kubernetes' formula does. New instances are ready at once.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from function_apps.scaling.model.cost import affordable, hourly_cost
from function_apps.scaling.model.cron_windows import is_open
from function_apps.scaling.model.evaluation import Circumstances, ReplicaDecision, evaluate
from function_apps.scaling.model.policy import CHANGES_KEPT, ReplicaChange
from function_apps.scaling.model.replica_ratio import share_of
from function_apps.scaling.model.sample import Load, Sample, measured_by
from function_apps.scaling.model.signal_values import (
    Instances,
    Level,
    Lost,
    Signals,
    SignalValue,
    Total,
    Window,
)
from shared.contracts.scaling import (
    Direction,
    ScalingDefaults,
    ScalingPolicyChange,
    ScalingRule,
    Signal,
)
from shared.contracts.scaling_what_if import WHAT_IF_STEPS_MAX, WhatIfResult, WhatIfStep
from shared.contracts.values import Resources
from shared.kernel.clock import parse_instant
from shared.kernel.dataclass import dataclass

ASSUMPTIONS: Final = (
    "a load that instances share is spread evenly over as many as there would have been",
    "a latency or burn rate changes in proportion to the number of instances",
    "new instances are ready at once, and no rollout or pause is replayed",
)
_GAP_MAX: Final = timedelta(minutes=10)
"""A step counts no longer: nothing was recorded after it."""
_HOUR_S: Final = 3600
_USES: Final = frozenset({Signal.CPU, Signal.MEMORY})


@dataclass(frozen=True)
class Recorded:
    """One evaluation as it was recorded: how many there were, and their load."""

    at: datetime
    current: int
    loads: Mapping[str, Load]


def recorded(samples: Sequence[Sample]) -> Sequence[Recorded]:
    """Return those of *samples* that a replay can use, oldest first."""
    return [
        Recorded(parse_instant(sample.at), sample.current, sample.loads or {})
        for sample in sorted(samples, key=lambda each: each.at)
        if sample.current is not None
    ]


def replay(
    policy: ScalingPolicyChange,
    load: Sequence[Recorded],
    resources: Resources,
    rules: ScalingDefaults,
    *,
    may_be_none: bool,
    is_whole: bool = True,
) -> WhatIfResult:
    """Return what *policy* would have done with *load*, of at most `WHAT_IF_STEPS_MAX` steps."""
    steps: list[WhatIfStep] = []
    price = _price(policy, resources)
    current = load[0].current if load else 0
    changes: tuple[ReplicaChange, ...] = ()
    wanted: list[tuple[datetime, int]] = []
    for place, each in enumerate(load[:WHAT_IF_STEPS_MAX]):
        since = each.at - policy.stabilisation
        wanted = [(at, number) for at, number in wanted if at > since]
        decision = evaluate(
            policy,
            Circumstances(
                Instances(current, current),
                _signals(policy, each, current),
                each.at,
                [number for _, number in wanted],
                changes,
                affordable(policy.cost_ceiling, resources),
                may_be_none=may_be_none,
                tolerance=rules.tolerance,
            ),
            _never_held,
        )
        if decision.recommended is not None:
            wanted.append((each.at, decision.recommended))
        steps.append(_step(each, decision, _hours(load, place), price))
        if decision.desired != current:
            change = ReplicaChange(
                steps[-1].model_dump(mode="json")["at"], decision.desired - current
            )
            changes = (*changes, change)[-CHANGES_KEPT:]
        current = decision.desired
    return _summary(policy, load, steps, price, rules, is_whole=is_whole)


def _never_held(direction: Direction) -> bool:
    del direction
    return False


def _signals(policy: ScalingPolicyChange, each: Recorded, current: int) -> Signals:
    return {place: _seen(rule, each, current) for place, rule in enumerate(policy.rules)}


def _seen(rule: ScalingRule, each: Recorded, current: int) -> SignalValue:
    settings = rule.settings
    if rule.signal is Signal.SCHEDULE:
        zone = settings.get("timeZone", "UTC")
        return Window(is_open(settings["start"], settings["end"], zone, each.at))
    load = each.loads.get(measured_by(rule))
    if load is None:
        return Lost("it was not recorded")
    if not load.is_shared:
        return Level(load.value * each.current / current if current else load.value)
    if rule.signal in _USES:
        # All are ready and use as much as each other, so the average is as good as all of them.
        return Level(load.value / current) if current else Lost("no instance uses any of it")
    return Total(load.value)


def _step(
    each: Recorded, decision: ReplicaDecision, hours: float, price: float | None
) -> WhatIfStep:
    shares = [
        share_of(given.value, given.target)
        for given in decision.inputs
        if given.value is not None and given.signal is not Signal.SCHEDULE
    ]
    return WhatIfStep(
        at=each.at,
        recorded=each.current,
        desired=decision.desired,
        reason=decision.reason,
        load=round(max(shares), 4) if shares else None,
        cost=None if price is None else round(price * decision.desired * hours, 6),
    )


def _hours(load: Sequence[Recorded], place: int) -> float:
    """Return how long the step at *place* lasts."""
    if place + 1 >= len(load):
        return 0.0
    return min(load[place + 1].at - load[place].at, _GAP_MAX).total_seconds() / _HOUR_S


def _gaps(load: Sequence[Recorded]) -> Sequence[str]:
    """Return in words that nothing was recorded in a part of the time, as without a policy."""
    pauses = (later.at - earlier.at for earlier, later in pairwise(load))
    gaps = [each for each in pauses if each > _GAP_MAX]
    if not gaps:
        return ()
    lost = sum(gaps, timedelta())
    lost_min, counted_min = (round(each / timedelta(minutes=1)) for each in (lost, _GAP_MAX))
    gap = f"{len(gaps)} gaps" if len(gaps) > 1 else "a gap"
    sentence = (
        f"nothing was recorded in {gap} of {lost_min} min, as without a policy: the chart leaves it"
        f" out and counts {counted_min} min of each"
    )
    return (sentence,)


def _price(policy: ScalingPolicyChange, resources: Resources) -> float | None:
    ceiling = policy.cost_ceiling
    return None if ceiling is None else hourly_cost(ceiling.prices, resources)


def _summary(
    policy: ScalingPolicyChange,
    load: Sequence[Recorded],
    steps: Sequence[WhatIfStep],
    price: float | None,
    rules: ScalingDefaults,
    *,
    is_whole: bool,
) -> WhatIfResult:
    hours = [_hours(load, place) for place in range(len(steps))]
    total = sum(step.desired * each for step, each in zip(steps, hours, strict=True))
    before = sum(step.recorded * each for step, each in zip(steps, hours, strict=True))
    judged = [step.load for step in steps if step.load is not None]
    met = sum(share <= 1 + rules.tolerance for share in judged)
    numbers = [*([load[0].current] if load else []), *(step.desired for step in steps)]
    return WhatIfResult(
        steps=tuple(steps),
        replicas_max=max(numbers, default=0),
        replica_hours=round(total, 4),
        recorded_replica_hours=round(before, 4),
        objective_met=round(met / len(judged), 4) if judged else None,
        cost=None if price is None else round(price * total, 4),
        recorded_cost=None if price is None else round(price * before, 4),
        currency=policy.cost_ceiling.currency if policy.cost_ceiling else None,
        changes=sum(later != earlier for earlier, later in pairwise(numbers)),
        assumptions=(*ASSUMPTIONS, *_gaps(load[:WHAT_IF_STEPS_MAX])),
        is_whole=is_whole and len(load) <= WHAT_IF_STEPS_MAX,
    )
