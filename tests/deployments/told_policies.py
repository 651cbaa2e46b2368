"""What scaling says of a policy of SHOP."""

from collections.abc import Mapping
from typing import Final

from function_apps.deployments.use_cases.record_facts import record_scaling_policy
from shared.contracts.scaling import ScalingPolicyApplied, ScalingStatus
from shared.contracts.values import EnvironmentId
from tests.deployments.driven import SHOP, TEST, Driven

IN_FORCE, ENDED = ScalingStatus.ENFORCED, ScalingStatus.SUPERSEDED
POLICY: Final = f"sp-{TEST.removeprefix('env-')}-abcdefghij"


async def scaled(
    world: Driven,
    revision: int,
    minimum: int = 1,
    status: ScalingStatus = IN_FORCE,
    environment_id: EnvironmentId = TEST,
    left: Mapping[str, int] | None = None,
) -> None:
    """Tell that *revision* of the policy is in force, or has ended and *left* a number."""
    part = f"{environment_id.removeprefix('env-')}-abcdefghij"
    event = ScalingPolicyApplied.model_validate(
        {
            "aggregateId": f"sp-{part}",
            "revision": revision + (10 if status == ENDED else 0),
            "policyId": f"sp-{part}",
            "serviceId": f"svc-{part}",
            "environmentId": environment_id,
            "moduleId": SHOP,
            "min": minimum,
            "max": 9,
            "desired": minimum,
            "actuator": "platform",
            "status": status,
            "reason": "Policy",
            "policyRevision": revision,
            "leftReplicas": left,
        }
    )
    await record_scaling_policy(event, world.bench.ctx(), world.app)
