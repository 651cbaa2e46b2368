"""The resources that tenants answers over HTTP."""

from function_apps.tenants.model.binding import TenantBinding
from shared.contracts.tenants import RuntimeTenantBinding
from shared.messaging.unit_of_work import Json


def binding_resource(binding: TenantBinding) -> RuntimeTenantBinding:
    """Return *binding* as clients see it."""
    return RuntimeTenantBinding.model_validate(
        {
            "bindingId": binding.binding_id,
            "tenantId": binding.tenant_id,
            "environmentId": binding.environment_id,
            "ownerTenantId": binding.owner_tenant_id,
            "stage": binding.stage,
            "isolationModel": binding.isolation_model,
            "requires": binding.requires,
            "namespace": binding.namespace,
            "identity": binding.identity,
            "quota": binding.quota,
            "status": binding.status,
            "phase": None,
            "moved": (),
            "proofs": (),
            "reason": binding.reason,
            "revision": binding.revision,
            "createdAt": binding.created_at,
            "updatedAt": binding.updated_at,
            "lastOperationId": None,
        }
    )


def answer(binding: TenantBinding) -> Json:
    """Return the immediate answer of a command, as JSON."""
    return binding_resource(binding).model_dump(mode="json", by_alias=True)
