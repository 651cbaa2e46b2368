"""The events that secret_bindings publishes, as rows of the outbox; no value is in any."""

from datetime import datetime
from typing import Any, Final

from function_apps.secret_bindings.model.binding import Binding
from function_apps.secret_bindings.model.rotation import Rotation, State
from function_apps.secret_bindings.model.secret_head import SecretHead
from function_apps.secret_bindings.model.secret_watch import (
    SEVERITIES,
    AlertChange,
    SecretWatch,
)
from shared.contracts.health import RuntimeAlertCleared, RuntimeAlertRaised
from shared.contracts.secret_bindings import (
    SecretBound,
    SecretExpiring,
    SecretRotated,
    SecretRotationFailed,
)
from shared.contracts.values import Severity
from shared.kernel.clock import isoformat
from shared.messaging.outbox import Publish

ROTATION_FAILED: Final = "SecretRotationFailed"
"""The alert."""


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
    evidence = [
        f"{rotation.rotation_id} of {rotation.secret_name}: {rotation.reason.message}"[:500]
    ]
    event = RuntimeAlertRaised.model_validate(
        {**_alert(rotation), "evidence": evidence, "raisedAt": isoformat(now)}
    )
    return Publish(event, module=rotation.module_id)


def alert_cleared(rotation: Rotation, raised_at: str, now: datetime) -> Publish:
    """Return the end of the alert that an earlier rotation raised."""
    event = RuntimeAlertCleared.model_validate(
        {**_alert(rotation), "raisedAt": raised_at, "clearedAt": isoformat(now)}
    )
    return Publish(event, module=rotation.module_id)


def secret_expiring(binding: Binding) -> Publish:
    """Return the event that the version of *binding* ends soon."""
    event = SecretExpiring.model_validate(
        {**_facts(binding), "version": binding.version, "expiresAt": binding.expires_at}
    )
    return Publish(event, module=binding.module_id)


def watch_alert(
    watch: SecretWatch, head: SecretHead, change: AlertChange, revision: int, now: datetime
) -> Publish:
    """Return the event that an alert about a secret in its vault was raised, or cleared."""
    facts = {
        "aggregateId": f"{watch.environment_id}/{watch.secret}/{change.alert}",
        "revision": revision,
        "alert": change.alert,
        "severity": SEVERITIES[change.alert],
        "environmentId": watch.environment_id,
        "evidence": [change.evidence[:500]] if change.evidence else [],
        "raisedAt": change.raised_at,
    }
    if change.evidence:
        return Publish(RuntimeAlertRaised.model_validate(facts))
    cleared = {**facts, "clearedAt": isoformat(now), "evidence": [head.secret_name]}
    return Publish(RuntimeAlertCleared.model_validate(cleared))


def _alert(rotation: Rotation) -> dict[str, Any]:
    return {
        "aggregateId": f"{rotation.environment_id}/{rotation.secret}/{ROTATION_FAILED}",
        "revision": rotation.number,
        "alert": ROTATION_FAILED,
        "severity": Severity.CRITICAL,
        "environmentId": rotation.environment_id,
    }


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
