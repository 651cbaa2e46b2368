"""What deployments and environments tell, in short: events about one environment of `acme`."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from shared.contracts.catalog import ReleaseOfComponent
from shared.contracts.deployments import (
    DeploymentEnded,
    RuntimeDeploymentCompleted,
    RuntimeDeploymentRolledBack,
)
from shared.contracts.environments import (
    EnvironmentFacts,
    RuntimeEnvironmentDecommissioned,
    RuntimeEnvironmentProvisioned,
)
from shared.contracts.tenants import RuntimeTenantBound
from shared.kernel.clock import isoformat
from shared.kernel.fence import Fence
from shared.kernel.ids import (
    EnvironmentId,
    EnvironmentKey,
    ModuleId,
    ServiceId,
    TenantId,
    module_key,
    service_id,
    tenant_binding_id,
)
from shared.surfaces.spec import RevisionSpec, SiteSpec
from shared.surfaces.spec import SurfaceComponent as Component
from tests.kit.memory_cluster import MemoryCluster
from tests.kit.memory_surface import MemorySurface
from tests.kit.service import TENANT
from tests.kit.virtual_time import EPOCH

KEY = EnvironmentKey("a" * 12)
ENVIRONMENT = EnvironmentId(f"env-{KEY}")
WEB = ModuleId("module-web")
DIGEST = "sha256:" + "1" * 64
Part = TypeVar("Part", bound=ReleaseOfComponent)


def service_of(module: str = WEB) -> ServiceId:
    return service_id(KEY, module_key(TENANT, ModuleId(module)))


def deployment_of(number: int) -> str:
    return f"dep-{KEY}-{number:016d}"


def released(module: str = WEB, revision: int = 1, **changes: Any) -> dict[str, Any]:
    """Return a component of a release unit, as JSON."""
    return {
        "moduleId": module,
        "serviceId": service_of(module),
        "releaseRevision": revision,
        "componentType": "gateway",
        "version": f"{revision}.0",
        "digest": DIGEST,
        "computeTarget": "LocalProcess",
        "endpoint": "http://shop.test/",
        "port": 8080,
        "probes": {"readiness": {"path": "/health"}},
        "replicas": 2,
        "owner": "team-web",
        **changes,
    }


def ended(
    number: int,
    components: Sequence[dict[str, Any]],
    *,
    at: datetime | None = None,
    rolled_back: bool = False,
    modules: Sequence[str] = (),
    removed: Sequence[str] = (),
) -> DeploymentEnded:
    """Return the end of the deployment *number*, by default *number* minutes after the epoch."""
    payload = RuntimeDeploymentRolledBack if rolled_back else RuntimeDeploymentCompleted
    named = [each["moduleId"] for each in components]
    return payload.model_validate(
        {
            "aggregateId": deployment_of(number),
            "revision": 9,
            "deploymentId": deployment_of(number),
            "environmentId": ENVIRONMENT,
            "projectId": "proj-web",
            "stage": "test",
            "kind": "release",
            "releaseRef": f"v{number}",
            "strategy": "canary",
            "status": "RolledBack" if rolled_back else "Completed",
            "modules": [*named, *modules],
            "releaseUnit": {"components": list(components), "removed": list(removed)},
            "endedAt": isoformat(at or EPOCH + timedelta(minutes=number)),
        }
    )


def part_of_end(
    kind: type[Part], number: int, minutes: float, component: Mapping[str, Any] | None, **more: Any
) -> Part:
    """Return what a service sends itself about the module web when deployment *number* has ended.

    That is so many *minutes* after the epoch; without a *component* the module is removed.
    """
    return kind.model_validate(
        {
            "environmentId": ENVIRONMENT, "projectId": "proj-web", "stage": "test",
            "deploymentId": deployment_of(number), "outcome": "Completed", "moduleId": WEB,
            "component": component, "cause": {"kind": "deployment", "id": f"dep-{number}"},
            "endedAt": isoformat(EPOCH + timedelta(minutes=minutes)), **more,
        }
    )  # fmt: skip


def environment(revision: int, *, gone: bool = False, generation: int = 1) -> EnvironmentFacts:
    payload = RuntimeEnvironmentDecommissioned if gone else RuntimeEnvironmentProvisioned
    return payload.model_validate(
        {
            "aggregateId": ENVIRONMENT,
            "revision": revision,
            "environmentId": ENVIRONMENT,
            "ownerTenantId": TENANT,
            "name": "shop",
            "stage": "test",
            "region": "local",
            "isolationModel": "shared",
            "status": "Decommissioned" if gone else "Provisioned",
            "generation": generation,
            "computeTargets": [],
            "pulumiStackRef": "stack",
        }
    )


def bound_tenant(revision: int, status: str, **changes: Any) -> RuntimeTenantBound:
    """Return an event of the tenant's binding to the environment, which is its own."""
    identity = tenant_binding_id(KEY, TENANT)
    return RuntimeTenantBound.model_validate(
        {
            "aggregateId": identity,
            "revision": revision,
            "bindingId": identity,
            "environmentId": ENVIRONMENT,
            "ownerTenantId": TENANT,
            "isolationModel": "shared",
            "status": status,
            "askedRevision": revision,
            "stage": "test",
            **changes,
        }
    )


def component_of(module: str = WEB) -> Component:
    return Component(ENVIRONMENT, TenantId(TENANT), ModuleId(module))


async def run(
    world: MemoryCluster, module: str = WEB, revision: int = 1, replicas: int = 2, **changes: Any
) -> None:
    """Have *replicas* of the module run on the surface."""
    surface = MemorySurface(world)
    await surface.ensure_site(SiteSpec(ENVIRONMENT, TENANT, "shop", "test"), Fence(1, "op-1", "1"))
    spec = RevisionSpec(
        component_of(module), revision, f"{revision}.0", DIGEST, ("serve",), replicas=replicas,
        **changes,
    )  # fmt: skip
    await surface.apply(spec, Fence(1, "op-1", "2"))


def vanish(world: MemoryCluster, *modules: str) -> None:
    """Take modules off the surface behind everybody's back."""
    for module in modules:
        del world.sites[ENVIRONMENT].components[component_of(module)]
