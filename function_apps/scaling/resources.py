"""The resources that scaling answers over HTTP."""

from collections.abc import Iterator

from function_apps.scaling.model.policy import ScalingPolicy
from function_apps.scaling.model.sample import Sample
from shared.contracts.alerts import OpenAlert, open_alert, service_subject
from shared.contracts.scaling import ScalingDecision, ScalingReason, ScalingStatus
from shared.contracts.scaling import ScalingPolicy as PolicyResource
from shared.kernel.ids import TenantId
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


def raised_alerts(policy: ScalingPolicy, _tenant: TenantId) -> Iterator[OpenAlert]:
    """Yield the alert of *policy*, while it is raised."""
    if policy.alert is not None and policy.alert_raised_at is not None:
        subject = service_subject(policy.service_id, policy.environment_id)
        yield open_alert(policy.alert, subject, policy.alert_raised_at, module_id=policy.module_id)
