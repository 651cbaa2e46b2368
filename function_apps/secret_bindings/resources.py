"""The resources that secret_bindings answers over HTTP; no value is in any."""

from function_apps.secret_bindings.model.binding import Binding
from shared.contracts.secret_bindings import SecretBinding
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
            "identity": None,
            "delivery": binding.delivery,
            "target": binding.target,
            "rotation": binding.rotation,
            "status": binding.status,
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
