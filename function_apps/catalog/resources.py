"""What the API answers about services: one service, a row of its history, a dependency."""

from collections.abc import Mapping
from typing import Any

from function_apps.catalog.model.description import description
from function_apps.catalog.model.history import Facts, Row
from function_apps.catalog.model.service import RuntimeService
from function_apps.catalog.model.states import Status
from shared.contracts import catalog as published


def resource(
    service: RuntimeService,
    facts: Facts,
    *,
    observed_at: str | None,
    valid_until: str | None = None,
) -> published.RuntimeService:
    """Return what clients see of *service* while *facts* held."""
    component = facts.release.component
    return published.RuntimeService.model_validate(
        {
            **description(service, facts),
            "tenantId": service.identity.tenant_id,
            "projectId": service.identity.project_id,
            "image": component.get("image"),
            "tier": None,
            "links": (),
            "validUntil": valid_until,
            "knownFrom": facts.known_from,
            "lastObservedAt": observed_at,
            "retiredAt": facts.valid_from if facts.status is Status.RETIRED else None,
        }
    )


def history_row(facts: Facts, row: Row, valid_until: str | None) -> Mapping[str, Any]:
    """Return one row of a service's history as clients see it, with the cause of that row."""
    component = facts.release.component
    return {
        "status": row.status,
        "version": component["version"],
        "digest": component["digest"],
        "releaseRevision": facts.release.release_revision,
        "deploymentId": facts.release.deployment_id,
        "cause": {"kind": row.cause_kind, "id": row.cause_id},
        "validFrom": row.valid_from,
        "validUntil": valid_until,
        "knownFrom": row.known_from,
    }


def depends_on(service: RuntimeService) -> tuple[str, ...]:
    return tuple(service.component.get("dependsOn", ()))


def dependency(module: str, found: RuntimeService | None) -> published.Dependency:
    """Return how one end of a dependency is; what nothing is known of is Unknown."""
    return published.Dependency.model_validate(
        {
            "module_id": module,
            "service_id": found.identity.service_id if found else None,
            "status": (found.status if found else None) or Status.UNKNOWN,
        }
    )
