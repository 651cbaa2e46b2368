"""The number of instances that one signal asks for, by Kubernetes' formula.

desired = ceil(current x value / target), unless the ratio is near 1. Instances that are not ready
and values that are missing only ever dampen a change.
https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/#algorithm-details
"""

import math
from collections.abc import Sequence
from typing import Final

from shared.kernel.dataclass import dataclass

_FULL: Final = 100.0
"""Percent: what an instance without a value is taken for when the number would be lowered."""
_SHARE_MAX: Final = 1e9
"""A value is at most so many times its target: more instances than that are never asked for."""
_DIGITS: Final = 9
"""A quotient is rounded here before it is rounded up: 3.0000000000000004 instances are three."""


@dataclass(frozen=True)
class InstanceUse:
    """The use of one instance, in percent of its limit; None where that is not known."""

    percent: float | None
    is_ready: bool = True


def for_use(
    uses: Sequence[InstanceUse], target: float, current: int, tolerance: float
) -> int | None:
    """Return how many instances keep the average use at *target* percent.

    None when no instance that is ready has a value.
    """
    measured = [use.percent for use in uses if use.is_ready and use.percent is not None]
    if not measured:
        return None
    unready = sum(not use.is_ready for use in uses)
    missing = sum(use.is_ready and use.percent is None for use in uses)
    ratio = share_of(_average(measured), target)
    is_growth_shared = unready > 0 and ratio > 1
    if not is_growth_shared and not missing:
        return current if _is_near(ratio, tolerance) else _up(ratio * len(measured))
    dampened = list(measured)
    if missing and ratio != 1:
        dampened += [max(_FULL, target) if ratio < 1 else 0.0] * missing
    if is_growth_shared:
        dampened += [0.0] * unready
    share = share_of(_average(dampened), target)
    return _dampened(ratio, share, len(dampened), current, tolerance)


def _dampened(before: float, ratio: float, counted: int, current: int, tolerance: float) -> int:
    """Return the number that *ratio* asks for, unless it turns the direction of *before*."""
    is_turned = (before < 1 < ratio) or (ratio < 1 < before)
    if _is_near(ratio, tolerance) or is_turned:
        return current
    wanted = _up(ratio * counted)
    goes_wrong_way = (ratio < 1 and wanted > current) or (ratio > 1 and wanted < current)
    return current if goes_wrong_way else wanted


def for_total(value: float, target: float, current: int, tolerance: float) -> int:
    """Return how many instances share *value* at *target* each: a queue, a rate of requests."""
    share = share_of(value, target)
    if current and _is_near(share / current, tolerance):
        return current
    return _up(share)


def for_level(value: float, target: float, current: int, ready: int, tolerance: float) -> int:
    """Return how many instances bring a *value* that all have in common to *target*.

    That of a latency or a burn rate: it is taken to fall as instances are added.
    """
    ratio = share_of(value, target)
    if not current:
        return _up(ratio)
    return current if _is_near(ratio, tolerance) else _up(ratio * ready)


def share_of(value: float, target: float) -> float:
    """Return how many times *target* fits into *value*; a tiny target is no infinity."""
    return min(value / target, _SHARE_MAX)


def _is_near(ratio: float, tolerance: float) -> bool:
    return round(abs(1 - ratio), _DIGITS) <= tolerance


def _up(number: float) -> int:
    return math.ceil(round(number, _DIGITS))


def _average(values: Sequence[float]) -> float:
    return sum(values) / len(values)
