"""The event that catalog publishes."""

from function_apps.catalog.model.description import description
from function_apps.catalog.model.history import Facts
from function_apps.catalog.model.service import RuntimeService
from shared.contracts import catalog as published


def inventory_updated(service: RuntimeService, facts: Facts) -> published.RuntimeInventoryUpdated:
    """Return the event with the present state of *service*."""
    return published.RuntimeInventoryUpdated.model_validate(
        {
            **description(service, facts),
            "aggregateId": service.service_id,
            "instancesTotal": len(service.instances),
            "probes": facts.release.component.get("probes", {}),
        }
    )
