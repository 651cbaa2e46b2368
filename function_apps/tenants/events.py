"""The events that tenants publishes, as rows of the outbox."""

from function_apps.tenants.model.binding import TenantBinding
from shared.contracts.tenants import RuntimeTenantBound
from shared.messaging.outbox import Publish


def tenant_bound(binding: TenantBinding) -> Publish:
    """Return the event that carries the state of *binding*."""
    return Publish(
        RuntimeTenantBound.model_validate(
            {
                "aggregateId": binding.binding_id,
                "revision": binding.revision,
                "bindingId": binding.binding_id,
                "environmentId": binding.environment_id,
                "ownerTenantId": binding.owner_tenant_id,
                "isolationModel": binding.isolation_model,
                "namespace": binding.namespace,
                "identity": binding.identity,
                "quota": binding.quota,
                "status": binding.status,
                "stage": binding.stage,
                "computeTargets": binding.compute_targets,
            }
        )
    )
