"""The resources that secret_bindings answers over HTTP; no value is in any."""

from collections.abc import Iterator

from function_apps.secret_bindings.model.binding import Binding
from function_apps.secret_bindings.model.rotation import Rotation
from function_apps.secret_bindings.model.secret_head import SecretHead, alert_subject
from function_apps.secret_bindings.model.secret_watch import SecretWatch
from shared.contracts.alerts import Alert, OpenAlert, open_alert
from shared.contracts.secret_bindings import SecretBinding, SecretRotation
from shared.kernel.ids import TenantId
from shared.messaging.unit_of_work import Json


def binding_resource(binding: Binding) -> SecretBinding:
    """Return *binding* as clients see it."""
    return SecretBinding.model_validate(
        {
            "bindingId": binding.binding_id,
            "tenantId": binding.tenant_id,
            "environmentId": binding.environment_id,
            "moduleId": binding.module_id,
            "secretName": binding.secret_name,
            "vaultUri": binding.vault_uri,
            "external": binding.external,
            "version": binding.version,
            "identity": binding.identity,
            "delivery": binding.delivery,
            "target": binding.target,
            "rotation": binding.rotation,
            "generator": binding.generator,
            "status": binding.status,
            "reason": binding.reason,
            "rotatedAt": binding.rotated_at,
            "expiresAt": binding.expires_at,
            "revision": binding.revision,
            "lastOperationId": binding.operation_id,
        }
    )


def answer(binding: Binding) -> Json:
    """Return the immediate answer of a command, as JSON."""
    resource = binding_resource(binding).model_dump(mode="json", by_alias=True)
    return {"operationId": binding.operation_id, "binding": resource}


def rotation_resource(rotation: Rotation, head: SecretHead) -> SecretRotation:
    """Return *rotation* as clients see it; while it is in flight *head* has its consumers."""
    consumers = rotation.consumers if rotation.is_ended else head.consumers
    return SecretRotation.model_validate(
        {
            "rotationId": rotation.rotation_id,
            "tenantId": rotation.tenant_id,
            "environmentId": rotation.environment_id,
            "vaultUri": rotation.vault_uri,
            "secretName": rotation.secret_name,
            "fromVersion": rotation.from_version or None,
            "toVersion": rotation.to_version,
            "status": rotation.status,
            "consumers": [each.proof for each in consumers],
            "canary": rotation.canary,
            "overlap": rotation.overlap,
            "overlapUntil": rotation.overlap_until,
            "requestReason": rotation.request_reason,
            "reason": rotation.reason,
            "revision": rotation.revision,
            "createdAt": rotation.created_at,
            "endedAt": rotation.ended_at,
            "operationId": rotation.operation_id,
        }
    )


def rotation_answer(rotation: Rotation, head: SecretHead) -> Json:
    """Return the immediate answer of a rotation's command, as JSON."""
    resource = rotation_resource(rotation, head).model_dump(mode="json", by_alias=True)
    return {"operationId": rotation.operation_id, "rotation": resource}


def alerts_of_rotations(head: SecretHead, _tenant: TenantId) -> Iterator[OpenAlert]:
    """Yield the alert that the last rotation of a secret failed, while it is raised."""
    if head.alerted_at is not None:
        yield open_alert(
            Alert.ROTATION_FAILED,
            alert_subject(head.environment_id, head.secret),
            head.alerted_at,
            about=head.secret_name,
        )


def alerts_of_watch(watch: SecretWatch, _tenant: TenantId) -> Iterator[OpenAlert]:
    """Yield the raised alerts about a secret in its vault."""
    for alert, since in watch.alerts.items():
        yield open_alert(
            alert, alert_subject(watch.environment_id, watch.secret), since, about=watch.secret_name
        )
