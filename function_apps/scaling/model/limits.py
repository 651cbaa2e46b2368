"""Limits to the speed at which the number moves: stabilisation, and rates by period.

As the `behavior` of a HorizontalPodAutoscaler:
https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/#configurable-scaling-behavior
"""

import math
from collections.abc import Sequence
from datetime import datetime

from function_apps.scaling.model.policy import ReplicaChange, recent
from shared.contracts.scaling import RateLimit, Rates, RateUnit


def stabilised(wanted: int, current: int, recommended: Sequence[int]) -> int:
    """Return *wanted*, or where that is lower than *current*, the highest one of late.

    *recommended* are the numbers that were wanted in the stabilisation window.
    """
    if wanted >= current:
        return wanted
    return min(current, max((wanted, *recommended)))


def highest(
    current: int, rates: Rates, changes: tuple[ReplicaChange, ...], now: datetime
) -> int | None:
    """Return how many instances there may be at once; None where *rates* limit nothing."""
    if not rates:
        return None
    return max(current, *(_after(limit, _before(limit, current, changes, now), 1)
                          for limit in rates))  # fmt: skip


def lowest(current: int, rates: Rates, changes: tuple[ReplicaChange, ...], now: datetime) -> int:
    """Return how few instances there may be at once; 0 where *rates* limit nothing."""
    if not rates:
        return 0
    bounds = [_after(limit, _before(limit, current, changes, now), -1) for limit in rates]
    return max(0, min(current, *bounds))


def _before(
    limit: RateLimit, current: int, changes: tuple[ReplicaChange, ...], now: datetime
) -> int:
    """Return how many there were when the period of *limit* began."""
    return current - sum(each.by for each in recent(changes, now - limit.period))


def _after(limit: RateLimit, start: int, sign: int) -> int:
    if limit.unit is RateUnit.INSTANCES:
        return start + sign * limit.value
    moved = start * (100 + sign * limit.value) / 100
    return math.ceil(moved) if sign > 0 else math.floor(moved)
