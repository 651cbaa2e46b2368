"""The events that secret_bindings publishes, as rows of the outbox; no value is in any."""

from typing import Any

from function_apps.secret_bindings.model.binding import Binding
from shared.contracts.secret_bindings import SecretBound
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
