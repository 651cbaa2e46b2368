"""The events that scaling publishes, as rows of the outbox."""

from typing import Any, Final

from function_apps.scaling.model.policy import ScalingPolicy
from shared.contracts.health import RuntimeAlertCleared, RuntimeAlertRaised
from shared.contracts.scaling import ScalingPolicyApplied
from shared.contracts.values import Severity
from shared.messaging.outbox import Publish

EVIDENCE_MAX: Final = 500


def policy_applied(policy: ScalingPolicy) -> Publish:
    """Return the event with the policy of a service that is known, and the number it wants."""
    assert policy.module_id is not None, policy
    desired = policy.desired if policy.desired is not None else policy.content.min
    event = ScalingPolicyApplied.model_validate(
        {
            "aggregateId": policy.policy_id,
            "revision": policy.revision,
            "policyId": policy.policy_id,
            "serviceId": policy.service_id,
            "environmentId": policy.environment_id,
            "moduleId": policy.module_id,
            "min": policy.content.min,
            "max": policy.content.max,
            "desired": desired,
            "actual": policy.actual,
            "actuator": policy.content.actuator,
            "rules": policy.content.rules,
            "status": policy.status,
            "reason": policy.reason,
            "policyRevision": policy.policy_revision,
        }
    )
    return Publish(event, module=policy.module_id)


def alert_raised(policy: ScalingPolicy, alert: str, evidence: str) -> Publish:
    """Return the event that *alert* of *policy* was raised."""
    event = RuntimeAlertRaised.model_validate(
        {
            **_alert(policy, alert),
            "evidence": [evidence[:EVIDENCE_MAX]],
            "raisedAt": policy.alert_raised_at,
        }
    )
    return Publish(event, module=policy.module_id)


def alert_cleared(policy: ScalingPolicy, alert: str, raised_at: str) -> Publish:
    """Return the event that *alert* of *policy* has ended."""
    event = RuntimeAlertCleared.model_validate(
        {**_alert(policy, alert), "raisedAt": raised_at, "clearedAt": policy.updated_at}
    )
    return Publish(event, module=policy.module_id)


def _alert(policy: ScalingPolicy, alert: str) -> dict[str, Any]:
    return {
        "aggregateId": f"{policy.service_id}/{alert}",
        "revision": policy.revision,
        "alert": alert,
        "severity": Severity.WARNING,
        "environmentId": policy.environment_id,
        "serviceId": policy.service_id,
    }
