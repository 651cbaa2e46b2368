"""The events that scaling publishes, as rows of the outbox."""

from function_apps.scaling.model.policy import ScalingPolicy
from shared.contracts.alerts import AlertChange, change_event, service_subject
from shared.contracts.scaling import ScalingPolicyApplied
from shared.messaging.outbox import Publish


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
            "leftReplicas": policy.left_replicas,
        }
    )
    return Publish(event, module=policy.module_id)


def alert_changed(policy: ScalingPolicy, change: AlertChange) -> Publish:
    """Return the event that an alert of *policy* was raised, or has ended."""
    subject = service_subject(policy.service_id, policy.environment_id)
    return Publish(change_event(change, subject, policy.revision), module=policy.module_id)
