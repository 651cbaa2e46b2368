"""The fields that the resource of a service shares with its event, as JSON."""

from typing import Any, Final

from function_apps.catalog.model.history import Facts
from function_apps.catalog.model.service import RuntimeService

INSTANCES_MAX: Final = 200
"""As many as the contract lets one answer carry; `instancesTotal` says how many there are."""


def description(service: RuntimeService, facts: Facts) -> dict[str, Any]:
    """Return the fields of *service* at the time of *facts*."""
    component = facts.release.component
    is_now = facts == service.facts
    return {
        "serviceId": service.service_id,
        "environmentId": service.environment_id,
        "stage": service.stage,
        "moduleId": service.module_id,
        "componentType": component["componentType"],
        "digest": component["digest"],
        "version": component["version"],
        "computeTarget": component["computeTarget"],
        "replicas": service.replicas if is_now else component["replicas"],
        "instances": service.instances[:INSTANCES_MAX],
        "endpointUrl": component.get("endpoint"),
        "port": component.get("port"),
        "dependsOn": component.get("dependsOn", ()),
        "owner": component.get("owner"),
        "status": facts.status,
        "configurationVersion": component["configuration"]["module"],
        "releaseRevision": facts.release.release_revision,
        "deploymentId": facts.release.deployment_id,
        "revision": service.revision,
        "cause": {"kind": facts.cause_kind, "id": facts.cause_id},
        "validFrom": facts.valid_from,
    }
