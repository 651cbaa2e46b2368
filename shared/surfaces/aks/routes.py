"""Where requests come in: a site's Gateway, a component's route by weight, and its own Service."""

from collections.abc import Iterable, Mapping
from typing import Final

from shared.kernel.ids import EnvironmentId, TenantId
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.kinds import GATEWAYS, ROUTES, SERVICES, Kind
from shared.surfaces.aks.names import (
    ENVIRONMENT,
    ENVIRONMENT_ID,
    REVISION,
    Installation,
    component_name,
    revision_name,
)
from shared.surfaces.aks.revisions import SERVICE_PORT
from shared.surfaces.rules import public_prefix
from shared.surfaces.spec import RevisionSpec, SurfaceComponent

GATEWAY: Final = "site"
LISTENER: Final = "http"


def gateway(
    installation: Installation,
    environment: EnvironmentId,
    tenant: TenantId,
    gateway_class: str,
    port: int,
) -> Object:
    """Return the Gateway of a site, for the routes of all tenants of the environment."""
    mine = {ENVIRONMENT: installation.of_environment(environment)[ENVIRONMENT]}
    listener = {
        "name": LISTENER,
        "protocol": "HTTP",
        "port": port,
        "allowedRoutes": {"namespaces": {"from": "Selector", "selector": {"matchLabels": mine}}},
    }
    return {
        "apiVersion": GATEWAYS.version,
        "kind": GATEWAYS.name,
        "metadata": {
            "name": GATEWAY,
            "namespace": installation.namespace(environment, tenant),
            "labels": installation.of_environment(environment),
            "annotations": {ENVIRONMENT_ID: environment},
        },
        "spec": {"gatewayClassName": gateway_class, "listeners": [listener]},
    }


def host_name(component: SurfaceComponent) -> str:
    """Return the host by which the Gateway knows a component without a path prefix."""
    return f"{component.module}.{component.tenant}.internal"


def parent(installation: Installation, environment: EnvironmentId, owner: TenantId) -> Object:
    """Return the reference of a route to the Gateway of *owner*'s site."""
    return {"name": GATEWAY, "namespace": installation.namespace(environment, owner)}


def route(
    installation: Installation,
    component: SurfaceComponent,
    owner: TenantId,
    weights: Mapping[int, int],
    specs: Iterable[RevisionSpec],
) -> Object:
    """Return the route of *component* to the revisions of *weights*, through *owner*'s Gateway.

    Its paths are those of the weighted revisions of *specs*, or of all while none has weight; of
    another tenant than *owner* none.
    """
    known = [spec for spec in specs if spec.revision in weights] or list(specs)
    prefixes = sorted({public_prefix(spec, owner) for spec in known} - {None}, key=str)
    backends = [
        {"name": revision_name(component, revision), "port": SERVICE_PORT, "weight": percent}
        for revision, percent in sorted(weights.items())
    ]
    matches = [{"path": {"type": "PathPrefix", "value": prefix}} for prefix in prefixes or ["/"]]
    return {
        **_head(ROUTES, installation, component),
        "spec": {
            "parentRefs": [parent(installation, component.environment, owner)],
            # Named also where it is empty: a field that is left out stays as it was created.
            "hostnames": [] if prefixes else [host_name(component)],
            "rules": [{"matches": matches, "backendRefs": backends}],
        },
    }


def service(
    installation: Installation,
    component: SurfaceComponent,
    weights: Mapping[int, int],
    specs: Iterable[RevisionSpec],
) -> Object:
    """Return the Service for callers inside the cluster: to the revision with the most weight.

    Without weights to none, as no pod has the revision 0.
    """
    first = max(sorted(weights), key=lambda revision: weights[revision], default=0)
    selector = {**installation.of_component(component), REVISION: str(first)}
    by_revision = {spec.revision: spec.port for spec in specs}
    target = by_revision.get(first) or next(iter(by_revision.values()))
    ports = [{"port": SERVICE_PORT, "targetPort": target, "protocol": "TCP"}]
    head = _head(SERVICES, installation, component)
    return {**head, "spec": {"selector": selector, "ports": ports}}


def weights_of(found: Object, component: SurfaceComponent) -> dict[int, int]:
    """Return the percents by revision in a route that the platform wrote."""
    stem = revision_name(component, 0).removesuffix("0")
    weights: dict[int, int] = {}
    for rule in found["spec"].get("rules") or ():
        for backend in rule.get("backendRefs") or ():
            number = backend["name"].removeprefix(stem)
            if backend["name"].startswith(stem) and number.isdigit() and backend.get("weight", 1):
                weights[int(number)] = int(backend.get("weight", 1))
    return weights


def is_in_force(found: Object) -> bool:
    """Return whether a gateway says that it has the route *found* as it is now, and its Services.

    A gateway answers 500 for the share of a Service that it does not find.
    """
    generation = found["metadata"].get("generation")
    for parent in (found.get("status") or {}).get("parents") or ():
        true_now = {
            condition["type"]
            for condition in parent.get("conditions") or ()
            if condition["status"] == "True" and condition.get("observedGeneration") == generation
        }
        if {"Accepted", "ResolvedRefs"} <= true_now:
            return True
    return False


def _head(kind: Kind, installation: Installation, component: SurfaceComponent) -> Object:
    return {
        "apiVersion": kind.version,
        "kind": kind.name,
        "metadata": {
            "name": component_name(component.module),
            "namespace": installation.namespace(component.environment, component.tenant),
            "labels": installation.of_component(component),
            "annotations": {ENVIRONMENT_ID: component.environment},
        },
    }
