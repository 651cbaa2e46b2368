"""The write of the number of instances, by the platform or by rules that the surface follows.

The token is the one that was read with the number: a deployment that began since has a higher one,
and the write is refused. So scaling needs no right of its own, and never overtakes a rollout.
"""

import logging
from typing import Final, cast

from function_apps.scaling.model.native_rules import native_rules
from function_apps.scaling.model.policy import ScalingPolicy
from function_apps.scaling.use_cases.measure_signals import Scaled
from shared.contracts.scaling import Actuator
from shared.kernel.fence import Fence, StaleFence
from shared.surfaces.capabilities import Feature
from shared.surfaces.errors import NotOwner, RevisionMissing
from shared.surfaces.observed_state import LiveComponent, Phase
from shared.surfaces.port import NativeScaling, Surface
from shared.surfaces.scaling import ReplicasOwner

_STEP: Final = "scale"
_log = logging.getLogger(__name__)


async def write_replicas(
    policy: ScalingPolicy, desired: int, scaled: Scaled, live: LiveComponent, surface: Surface
) -> None:
    """Bring the instances of the service to *desired*; what was overtaken changes nothing.

    While two versions run, each that has traffic gets as many at the least: deployments owns the
    split over them.
    """
    fence = Fence(live.fence, policy.policy_id, _STEP)
    try:
        await _take_back(scaled, surface, fence)
        if desired != scaled.revision.replicas:
            number = scaled.revision.revision
            await surface.scale(scaled.component, number, desired, fence)
        for other in live.revisions:
            is_serving = live.weights.get(other.revision, 0) and other.phase is not Phase.DRAINING
            is_other = other.revision != scaled.revision.revision
            if is_other and is_serving and other.replicas < desired:
                await surface.scale(scaled.component, other.revision, desired, fence)
    except (StaleFence, RevisionMissing, NotOwner) as overtaken:
        _log.info("%s is decided again: %s", policy.policy_id, overtaken.message)


async def _take_back(scaled: Scaled, surface: Surface, fence: Fence) -> None:
    """Take the number from rules of the surface, which an earlier policy gave it to."""
    if scaled.revision.replicas_owner is ReplicasOwner.PLATFORM:
        return
    # The surface says that it owns a number, so it is one that has rules of its own.
    native = cast("NativeScaling", surface)
    await native.set_scaling(scaled.component, scaled.revision.revision, None, fence)


async def write_native_rules(
    policy: ScalingPolicy, scaled: Scaled, live: LiveComponent, surface: Surface
) -> bool:
    """Give the number to the rules of *policy*; a repeat changes nothing.

    Return whether the surface has them: who was overtaken by a deployment gave none.

    Raises:
        Invalid: the surface cannot follow them for this revision.
    """
    fence = Fence(live.fence, policy.policy_id, _STEP)
    native = cast("NativeScaling", surface)  # the policy was checked against its capabilities
    rules = native_rules(policy.content)
    try:
        await native.set_scaling(scaled.component, scaled.revision.revision, rules, fence)
    except (StaleFence, RevisionMissing) as overtaken:
        _log.info("%s is given again: %s", policy.policy_id, overtaken.message)
        return False
    return True


async def release_replicas(
    policy: ScalingPolicy, scaled: Scaled, live: LiveComponent, surface: Surface
) -> bool:
    """Take the number back from the surface where *policy* has ended; it stays what it is.

    Return whether that is so now: who was overtaken by a deployment took nothing.
    """
    if policy.content.actuator is not Actuator.NATIVE:
        return True
    if not surface.capabilities().supports(Feature.NATIVE_SCALING):
        return True
    try:
        await _take_back(scaled, surface, Fence(live.fence, policy.policy_id, _STEP))
    except StaleFence:
        return False
    except RevisionMissing:
        return True  # its rules went with it
    return True
