"""The events that secret_bindings publishes, as rows of the outbox; no value is in any."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from function_apps.secret_bindings.model.binding import Binding
from function_apps.secret_bindings.model.rotation import Rotation, State
from function_apps.secret_bindings.model.secret_head import SecretHead, alert_subject
from function_apps.secret_bindings.model.secret_watch import SecretWatch
from shared.contracts.alerts import Alert, AlertChange, alert_event, change_event
from shared.contracts.secret_bindings import (
    SecretBound,
    SecretExpiring,
    SecretRotated,
    SecretRotationFailed,
)
from shared.kernel.clock import isoformat
from shared.messaging.outbox import Publish


def secret_bound(binding: Binding) -> Publish:
    """Return the event of *binding*, which has had a version; its status says if it still does."""
    event = SecretBound.model_validate(
        {**_facts(binding), "version": binding.version, "status": binding.status}
    )
    return Publish(event, module=binding.module_id)


def _facts(binding: Binding) -> dict[str, Any]:
    """Return what every event about *binding* says, but for the version."""
    return {
        "aggregateId": binding.binding_id,
        "revision": binding.revision,
        "environmentId": binding.environment_id,
        "bindingId": binding.binding_id,
        "moduleId": binding.module_id,
        "secretName": binding.secret_name,
        "vaultUri": binding.vault_uri,
        "delivery": binding.delivery,
        "target": binding.target,
    }


def secret_rotated(rotation: Rotation, head: SecretHead) -> Publish:
    """Return the event that the version of *rotation* is in force; as Revoked, that old are not."""
    disabled = rotation.disabled if rotation.status is State.REVOKED else ()
    event = SecretRotated.model_validate(
        {
            **_rotation_facts(rotation, head),
            "overlapUntil": rotation.overlap_until,
            # The newest last; they are listed newest first.
            "revoked": [*reversed(disabled)],
        }
    )
    return Publish(event, module=rotation.module_id)


def rotation_failed(rotation: Rotation, head: SecretHead) -> Publish:
    """Return the event that *rotation* does not go on, and why."""
    event = SecretRotationFailed.model_validate(
        {**_rotation_facts(rotation, head), "reason": rotation.reason}
    )
    return Publish(event, module=rotation.module_id)


def alert_raised(rotation: Rotation, now: datetime) -> Publish:
    """Return the alert that *rotation* failed."""
    assert rotation.reason is not None, rotation
    evidence = [f"{rotation.rotation_id} of {rotation.secret_name}: {rotation.reason.message}"]
    subject = alert_subject(rotation.environment_id, rotation.secret)
    event = alert_event(
        Alert.ROTATION_FAILED, subject, _alert_revision(rotation.number), isoformat(now),
        evidence=evidence,
    )  # fmt: skip
    return Publish(event, module=rotation.module_id)


def alert_cleared(rotation: Rotation, raised_at: str, now: datetime) -> Publish:
    """Return the end, by *rotation*, of the alert that an earlier one raised."""
    subject = alert_subject(rotation.environment_id, rotation.secret)
    event = alert_event(
        Alert.ROTATION_FAILED, subject, _alert_revision(rotation.number), raised_at,
        cleared_at=isoformat(now),
    )  # fmt: skip
    return Publish(event, module=rotation.module_id)


def alert_left(head: SecretHead, raised_at: str, module_id: str, now: datetime) -> Publish:
    """Return the end of the alert about a secret of which *module_id* was the last consumer."""
    subject = alert_subject(head.environment_id, head.secret)
    # Between the last rotation and the next.
    revision = _alert_revision(head.rotations) + 1
    event = alert_event(
        Alert.ROTATION_FAILED, subject, revision, raised_at, cleared_at=isoformat(now)
    )
    return Publish(event, module=module_id)


def _alert_revision(rotation: int) -> int:
    """Return the revision of an event of the alert by *rotation*; the next is that of no other."""
    return 2 * rotation


def secret_expiring(binding: Binding) -> Publish:
    """Return the event that the version of *binding* ends soon."""
    event = SecretExpiring.model_validate(
        {**_facts(binding), "version": binding.version, "expiresAt": binding.expires_at}
    )
    return Publish(event, module=binding.module_id)


def watch_alert(
    watch: SecretWatch, head: SecretHead, change: AlertChange, revision: int
) -> Publish:
    """Return the event that an alert about a secret in its vault was raised, or cleared."""
    named = replace(change, evidence=change.evidence or (head.secret_name,))
    return Publish(change_event(named, alert_subject(watch.environment_id, watch.secret), revision))


def _rotation_facts(rotation: Rotation, head: SecretHead) -> dict[str, Any]:
    return {
        "aggregateId": rotation.rotation_id,
        "revision": rotation.revision,
        "environmentId": rotation.environment_id,
        "bindingId": rotation.binding_id,
        "moduleId": rotation.module_id,
        "secretName": rotation.secret_name,
        "vaultUri": rotation.vault_uri,
        "delivery": rotation.delivery,
        "target": rotation.target,
        "version": rotation.version,
        "rotationId": rotation.rotation_id,
        "previousVersion": rotation.from_version,
        "status": rotation.status,
        "consumers": [each.proof for each in head.consumers],
    }
