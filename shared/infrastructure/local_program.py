"""The resources of an environment on what its installation runs on, as pure data.

`infra/pulumi/environment/local.py` wraps these declarations in Pulumi resources. A test compares
the graph of that program with one that is made of the same declarations without Pulumi.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.infrastructure.inputs import (
    CLUSTER_TARGET,
    LOCAL_TARGET,
    ComputeTargetInput,
    DataResourceInput,
    EnvironmentInputs,
    data_resource_name,
)

PROJECT: Final = "environment"
ENVIRONMENT: Final = "factory:runtime:Environment"
SITE: Final = "factory:local:Site"
KUBERNETES_SITE: Final = "factory:kubernetes:Site"
VOLUME: Final = "factory:local:Volume"
SITES: Final[Mapping[str, tuple[str, str]]] = {
    LOCAL_TARGET: (SITE, "site"),
    CLUSTER_TARGET: (KUBERNETES_SITE, "kubernetes-site"),
}
"""Of each kind of compute target: the type of its resource, and the name."""

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
    """Return the resources of a local environment: a volume per data resource, then its sites.

    The site of this machine refers to its volumes and not they to it, so that a volume can outlive
    the site.
    """
    volumes = tuple(_volume(inputs, resource) for resource in inputs.data_resources)
    sites = tuple(_site(inputs, target, volumes) for target in inputs.compute_targets)
    return (Declaration(ENVIRONMENT, inputs.name, {}, is_component=True), *volumes, *sites)


def places(inputs: EnvironmentInputs) -> Mapping[str, str]:
    """Return where *inputs* say what, as JSON pointers, by the name of its declaration."""
    sites = {
        SITES[target.kind][1]: f"/computeTargets/{at}"
        for at, target in enumerate(inputs.compute_targets)
        if target.kind in SITES
    }
    volumes = {
        data_resource_name(resource.name): f"/dataResources/{at}"
        for at, resource in enumerate(inputs.data_resources)
    }
    return {**sites, **volumes}


def _site(
    inputs: EnvironmentInputs, target: ComputeTargetInput, volumes: Sequence[Declaration]
) -> Declaration:
    resource_type, name = SITES[target.kind]
    properties = {
        "site": inputs.environment_id,
        "tenantId": inputs.tenant_id,
        "environment": inputs.name,
        "stage": inputs.stage,
        "isolationModel": inputs.isolation_model,
        "capacity": dict(target.capacity),
        "settings": dict(target.settings),
        "tags": tags(inputs),
    }
    if target.kind == LOCAL_TARGET:
        properties["volumes"] = {
            resource.name: OutputOf(volume.name, "path")
            for resource, volume in zip(inputs.data_resources, volumes, strict=True)
        }
    return Declaration(
        resource_type,
        name,
        properties,
        parent=inputs.name,
        replace_on=("site", "tenantId"),
        ignore=STABLE_TAGS,
    )


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
                "resourceIds": [OutputOf(SITES[target.kind][1], "id")],
                "endpoint": OutputOf(SITES[target.kind][1], "endpoint"),
            }
            for target in inputs.compute_targets
        ],
        "facts": {
            f"data.{resource.name}.path": OutputOf(data_resource_name(resource.name), "path")
            for resource in inputs.data_resources
        },
    }
