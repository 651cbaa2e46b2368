"""Policies and circumstances for tests of the evaluation."""

from datetime import UTC, datetime, timedelta
from typing import Any

from function_apps.scaling.model.evaluation import Circumstances, ReplicaDecision, evaluate
from function_apps.scaling.model.policy import ReplicaChange
from function_apps.scaling.model.signal_values import Instances, SignalValue
from shared.contracts.scaling import Direction, ScalingPolicyChange
from shared.kernel.clock import isoformat

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
REQUESTS = {"signal": "requests", "target": 10}
LATENCY = {"signal": "latency", "target": 200}


def policy(*rules: dict[str, Any], **changes: Any) -> ScalingPolicyChange:
    return ScalingPolicyChange.model_validate(
        {"min": 1, "max": 10, "rules": list(rules or [REQUESTS]), **changes}
    )


def decide(
    content: ScalingPolicyChange,
    *seen: SignalValue,
    current: int = 4,
    ready: int | None = None,
    held: Direction | None = None,
    **changes: Any,
) -> ReplicaDecision:
    """Return what *content* decides where its rules see *seen*."""

    def is_held(direction: Direction) -> bool:
        return held in {direction, Direction.BOTH}

    at = Circumstances(
        Instances(current, current if ready is None else ready),
        dict(enumerate(seen)),
        NOW,
        **changes,
    )
    return evaluate(content, at, is_held)


def changed(seconds_ago: float, by: int) -> ReplicaChange:
    return ReplicaChange(isoformat(NOW - timedelta(seconds=seconds_ago)), by)
