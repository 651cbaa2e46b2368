"""The values of signals, and the number of instances that a rule makes of each."""

import math
from collections.abc import Mapping
from typing import Final, TypeAlias, assert_never

from function_apps.scaling.model import replica_ratio
from function_apps.scaling.model.replica_ratio import InstanceUse
from shared.contracts.scaling import ScalingInput, ScalingRule
from shared.contracts.values import REPLICAS_MAX
from shared.kernel.dataclass import dataclass

REASON_MAX: Final = 300


@dataclass(frozen=True)
class Uses:
    """Of each instance what it uses, in percent of its limit."""

    instances: tuple[InstanceUse, ...]

    @property
    def value(self) -> float | None:
        """The average of the ready ones, which is what the target is about."""
        known = [
            each.percent for each in self.instances if each.is_ready and each.percent is not None
        ]
        return sum(known) / len(known) if known else None


@dataclass(frozen=True)
class Total:
    """A value that the instances share: requests a second, requests at the same time, a queue."""

    value: float


@dataclass(frozen=True)
class Level:
    """A value that they have in common: a latency in ms, a burn rate."""

    value: float


@dataclass(frozen=True)
class Window:
    """The window of a schedule, open or not."""

    is_open: bool


@dataclass(frozen=True)
class Lost:
    """Not known, and why. That is not 0."""

    reason: str


SignalValue: TypeAlias = Uses | Total | Level | Window | Lost
Signals: TypeAlias = Mapping[int, SignalValue]
"""By the place of the rule in its policy."""


@dataclass(frozen=True)
class Instances:
    """The instances that there are: how many are asked for, and how many are ready."""

    current: int
    ready: int


def apply_rule(
    rule: ScalingRule, seen: SignalValue, instances: Instances, tolerance: float
) -> ScalingInput:
    """Return what *rule* asks for, with what it saw."""
    value, wanted, reason = _asked(rule, seen, instances, tolerance)
    if value is not None and not math.isfinite(value):
        value, wanted, reason = None, None, "its value is larger than any number"
    bounded = None if wanted is None else min(wanted, REPLICAS_MAX)
    return ScalingInput(
        signal=rule.signal,
        target=rule.target,
        value=value,
        wanted=bounded,
        reason=reason[:REASON_MAX],
    )


def _asked(
    rule: ScalingRule, seen: SignalValue, instances: Instances, tolerance: float
) -> tuple[float | None, int | None, str]:
    target, current = rule.target, instances.current
    match seen:
        case Uses(uses):
            wanted = replica_ratio.for_use(uses, target, current, tolerance)
            reason = "" if wanted is not None else "no instance that is ready has a value"
            return seen.value, wanted, reason
        case Total(value):
            wanted = replica_ratio.for_total(value, target, current, tolerance)
            return value / current if current else value, wanted, ""
        case Level(value):
            wanted = replica_ratio.for_level(value, target, current, instances.ready, tolerance)
            return value, wanted, ""
        case Window(is_open):
            return float(is_open), round(target) if is_open else 0, ""
        case Lost(reason):
            return None, None, reason
        case _:
            assert_never(seen)
