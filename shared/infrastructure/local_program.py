"""The resources of an environment on what its installation runs on, as pure data.

`infra/pulumi/environment/local.py` wraps these declarations in Pulumi resources. A test compares
the graph of that program with one that is made of the same declarations without Pulumi.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from shared.infrastructure.inputs import (
    CLUSTER_TARGET,
    LOCAL_SERVERS,
    LOCAL_TARGET,
    ComputeTargetInput,
    DataResourceInput,
    EnvironmentInputs,
    data_resource_name,
)
from shared.kernel.dataclass import dataclass

PROJECT: Final = "environment"
ENVIRONMENT: Final = "factory:runtime:Environment"
SITE: Final = "factory:local:Site"
KUBERNETES_SITE: Final = "factory:kubernetes:Site"
VOLUME: Final = "factory:local:Volume"
SERVER: Final = "factory:local:Server"
SITES: Final[Mapping[str, tuple[str, str]]] = {
    LOCAL_TARGET: (SITE, "site"),
    CLUSTER_TARGET: (KUBERNETES_SITE, "kubernetes-site"),
}
"""Of each kind of compute target: the type of its resource, and the name."""

VOLUME_FACTS: Final = ("path",)
SERVER_FACTS: Final = ("path", "host", "port", "database")
"""The outputs of a resource that are facts of the environment."""
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
    """Return the resources of a local environment: those that keep data, then its sites.

    The site of this machine refers to them and not they to it, so that data can outlive the site.
    """
    data = tuple(_data(inputs, resource) for resource in inputs.data_resources)
    sites = tuple(_site(inputs, target) for target in inputs.compute_targets)
    return (Declaration(ENVIRONMENT, inputs.name, {}, is_component=True), *data, *sites)


def places(inputs: EnvironmentInputs) -> Mapping[str, str]:
    """Return where *inputs* say what, as JSON pointers, by the name of its declaration."""
    sites = {
        SITES[target.kind][1]: f"/computeTargets/{at}"
        for at, target in enumerate(inputs.compute_targets)
        if target.kind in SITES
    }
    data = {
        data_resource_name(resource.name): f"/dataResources/{at}"
        for at, resource in enumerate(inputs.data_resources)
    }
    return {**sites, **data}


def _site(inputs: EnvironmentInputs, target: ComputeTargetInput) -> Declaration:
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
        properties |= _given_data(inputs.data_resources)
    return Declaration(
        resource_type,
        name,
        properties,
        parent=inputs.name,
        replace_on=("site", "tenantId"),
        ignore=STABLE_TAGS,
    )


def _given_data(resources: Sequence[DataResourceInput]) -> dict[str, Any]:
    """Return the properties by which a site has its data; no servers where there are none."""
    servers = {
        resource.name: {
            "kind": resource.kind,
            "port": OutputOf(data_resource_name(resource.name), "port"),
            "verifier": OutputOf(data_resource_name(resource.name), "verifier"),
        }
        for resource in resources
        if resource.kind in LOCAL_SERVERS
    }
    volumes = {
        resource.name: OutputOf(data_resource_name(resource.name), "path")
        for resource in resources
        if resource.kind not in LOCAL_SERVERS
    }
    return {"volumes": volumes, **({"servers": servers} if servers else {})}


def _data(inputs: EnvironmentInputs, resource: DataResourceInput) -> Declaration:
    return Declaration(
        SERVER if resource.kind in LOCAL_SERVERS else VOLUME,
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
            f"data.{resource.name}.{fact}": OutputOf(data_resource_name(resource.name), fact)
            for resource in inputs.data_resources
            for fact in (SERVER_FACTS if resource.kind in LOCAL_SERVERS else VOLUME_FACTS)
        },
    }
