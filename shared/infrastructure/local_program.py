"""The resources of a local environment, as pure data.

`infra/pulumi/environment/local.py` wraps these declarations in Pulumi resources. A test compares
the graph of that program with one that is made of the same declarations without Pulumi.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.infrastructure.inputs import (
    DataResourceInput,
    EnvironmentInputs,
    data_resource_name,
)

PROJECT: Final = "environment"
ENVIRONMENT: Final = "factory:runtime:Environment"
SITE: Final = "factory:local:Site"
VOLUME: Final = "factory:local:Volume"
SITE_NAME: Final = "site"

STABLE_TAGS: Final = ("tags.trace_id",)
"""A later request has another trace; that alone changes no resource."""


@dataclass(frozen=True)
class OutputOf:
    """Stands, inside properties and outputs, for an output of the declaration *name*."""

    name: str
    output: str


@dataclass(frozen=True)
class Declaration:
    """One resource, declared after those it refers to; `parent` names an earlier declaration."""

    type: str
    name: str
    properties: Mapping[str, Any]
    parent: str | None = None
    is_component: bool = False
    protected: bool = False
    replace_on: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()


def tags(inputs: EnvironmentInputs) -> dict[str, str]:
    """Return the tags every resource carries; the platform's own win over the caller's."""
    return {
        **inputs.tags,
        "trace_id": inputs.trace_id,
        "provisioned_by": "factory-runtime",
        "environment": inputs.name,
        "environment_id": inputs.environment_id,
        "tenant_id": inputs.tenant_id,
        "region": inputs.region,
    }


def declarations(inputs: EnvironmentInputs) -> tuple[Declaration, ...]:
    """Return the resources of a local environment: a volume per data resource, then the site.

    The site refers to its volumes and not they to it, so that a volume can outlive the site.
    """
    (target,) = inputs.compute_targets
    volumes = tuple(_volume(inputs, resource) for resource in inputs.data_resources)
    site = Declaration(
        SITE,
        SITE_NAME,
        {
            "site": inputs.environment_id,
            "tenantId": inputs.tenant_id,
            "environment": inputs.name,
            "stage": inputs.stage,
            "isolationModel": inputs.isolation_model,
            "capacity": dict(target.capacity),
            "settings": dict(target.settings),
            "volumes": {
                resource.name: OutputOf(volume.name, "path")
                for resource, volume in zip(inputs.data_resources, volumes, strict=True)
            },
            "tags": tags(inputs),
        },
        parent=inputs.name,
        replace_on=("site", "tenantId"),
        ignore=STABLE_TAGS,
    )
    return (Declaration(ENVIRONMENT, inputs.name, {}, is_component=True), *volumes, site)


def _volume(inputs: EnvironmentInputs, resource: DataResourceInput) -> Declaration:
    return Declaration(
        VOLUME,
        data_resource_name(resource.name),
        {
            "site": inputs.environment_id,
            "volume": resource.name,
            "kind": resource.kind,
            "settings": dict(resource.settings),
            "tags": tags(inputs),
        },
        parent=inputs.name,
        protected=resource.protected,
        replace_on=("site", "volume", "kind"),
        ignore=STABLE_TAGS,
    )


def outputs(inputs: EnvironmentInputs) -> dict[str, Any]:
    """Return the stack's outputs: the compute targets, and facts by name."""
    return {
        "computeTargets": [
            {
                "kind": target.kind,
                "resourceIds": [OutputOf(SITE_NAME, "id")],
                "endpoint": OutputOf(SITE_NAME, "endpoint"),
            }
            for target in inputs.compute_targets
        ],
        "facts": {
            f"data.{resource.name}.path": OutputOf(data_resource_name(resource.name), "path")
            for resource in inputs.data_resources
        },
    }
