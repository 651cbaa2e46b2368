"""The resources that scaling answers over HTTP."""

from function_apps.scaling.model.policy import ScalingPolicy
from function_apps.scaling.model.sample import Sample
from shared.contracts.scaling import ScalingDecision, ScalingReason, ScalingStatus
from shared.contracts.scaling import ScalingPolicy as PolicyResource
from shared.messaging.unit_of_work import Json


def policy_resource(policy: ScalingPolicy) -> PolicyResource:
    """Return *policy* as clients see it."""
    content = policy.content.model_dump(mode="json", by_alias=True)
    code = ScalingReason.PAUSED if policy.status is ScalingStatus.PAUSED else policy.reason
    reason = {"code": code.value, "message": policy.why or code.value}
    return PolicyResource.model_validate(
        {
            **content,
            "policyId": policy.policy_id,
            "tenantId": policy.tenant_id,
            "serviceId": policy.service_id,
            "environmentId": policy.environment_id,
            "moduleId": policy.module_id,
            "status": policy.status,
            "paused": policy.paused,
            "pausedUntil": policy.paused_until,
            "desired": policy.desired,
            "actual": policy.actual,
            "policyRevision": policy.policy_revision,
            "revision": policy.revision,
            "reason": reason,
        }
    )


def answer(policy: ScalingPolicy) -> Json:
    """Return the immediate answer of a command, as JSON."""
    return policy_resource(policy).model_dump(mode="json", by_alias=True)


def decision_resource(sample: Sample) -> ScalingDecision:
    """Return one evaluation with what it saw."""
    decisive = sample.decisive
    return ScalingDecision.model_validate(
        {
            "at": sample.at,
            "desired": sample.desired,
            "actual": sample.current,
            "reason": sample.reason,
            "signal": decisive.signal if decisive else None,
            "value": decisive.value if decisive else None,
            "message": sample.message,
            "inputs": sample.inputs,
            "policyRevision": sample.policy_revision,
        }
    )
