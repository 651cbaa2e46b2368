"""The pause of a policy: somebody holds its number in a direction, until a time. Pure."""

from dataclasses import replace
from datetime import datetime

from function_apps.scaling.model.policy import (
    Paused,
    Resumed,
    ScalingPolicy,
    evolve,
    require_held,
)
from shared.contracts.scaling import ScalingPause
from shared.kernel.clock import isoformat


def pause(policy: ScalingPolicy, asked: ScalingPause, now: datetime) -> ScalingPolicy:
    """Return *policy* held in a direction, until a time.

    Raises:
        TransitionRefused.
        PolicyInvalid: the surface decides, and would go on.
    """
    require_held(policy.content)
    until = isoformat(now + asked.length)
    after = evolve(policy, Paused, now)
    return replace(
        after,
        paused=asked.direction,
        paused_until=until,
        pauses=policy.pauses + 1,
        why=asked.reason,
    )


def resume(policy: ScalingPolicy, now: datetime) -> ScalingPolicy:
    """Return *policy*, of which somebody ends the pause. Raises TransitionRefused."""
    return replace(evolve(policy, Resumed, now), pauses=policy.pauses + 1)
