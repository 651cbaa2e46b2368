"""The event that catalog publishes, as a row of the outbox."""

from function_apps.catalog.model.description import description
from function_apps.catalog.model.service import RuntimeService
from shared.contracts import catalog as published
from shared.messaging.outbox import Publish


def inventory_updated(service: RuntimeService) -> Publish:
    """Return the event with the present state of *service*, which is no tombstone."""
    facts = service.facts
    assert facts is not None, service
    event = published.RuntimeInventoryUpdated.model_validate(
        {
            **description(service, facts),
            "aggregateId": service.service_id,
            "instancesTotal": len(service.instances),
            "probes": facts.release.component.get("probes", {}),
        }
    )
    return Publish(event, project=service.project_id, module=service.module_id)
