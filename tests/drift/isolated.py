"""A tenant that is bound to its environment, its boundaries, and what others tell of both."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from shared.contracts.environments import EnvironmentFacts, RuntimeEnvironmentStatusChanged
from shared.contracts.tenants import TenantIsolationProofCompleted
from shared.kernel.ids import EnvironmentId, TenantId, tenant_binding_id
from shared.kernel.observation import Present, Reading
from shared.surfaces.boundaries import Boundary, BoundarySpec, Quota
from shared.surfaces.capabilities import Feature
from tests.drift.compared import OWN_WORK_S, Drift, drift
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT, KEY, bound_tenant, environment

BINDING: Final = tenant_binding_id(KEY, TENANT)
ABLE: Final = (Feature.NAMESPACES, Feature.QUOTAS, Feature.NETWORK_POLICY)
SPEC: Final = BoundarySpec(ENVIRONMENT, TENANT, Quota(cpu=2.0, instances=10))
QUOTA: Final = {"cpu": 2.0, "instances": 10}


@dataclass
class OtherBoundaries:
    """Reads boundaries of *drift*'s surface, opened or with other *properties* than it has."""

    drift: Drift
    is_closed: bool = True
    properties: Mapping[str, str] | None = None

    async def read_boundary(
        self, environment: EnvironmentId, tenant: TenantId
    ) -> Reading[Boundary]:
        reading = await self.drift.surface.read_boundary(environment, tenant)
        if isinstance(reading, Present):
            live = reading.value
            properties = live.properties if self.properties is None else self.properties
            return Present(replace(live, is_ready=self.is_closed, properties=properties))
        return reading


def told(revision: int, *, able: tuple[Feature, ...] = ABLE, **changes: Any) -> EnvironmentFacts:
    """Return an event of the environment, where the tenant's isolation is in force."""
    entry = {"bindingId": BINDING, "revision": 1, "state": "Applied"}
    content = environment(revision).model_dump(mode="json", by_alias=True)
    endpoint = changes.pop("endpoint", None)
    kind = changes.pop("kind", "LocalProcess")
    target = {"kind": kind, "capabilities": able, "endpoint": endpoint}
    whole = {**content, "computeTargets": [target], "isolation": [entry], **changes}
    return type(environment(revision)).model_validate(whole)


def status(revision: int, name: str) -> RuntimeEnvironmentStatusChanged:
    content = environment(revision).model_dump(mode="json", by_alias=True)
    return RuntimeEnvironmentStatusChanged.model_validate({**content, "status": name})


async def bound(**changes: Any) -> Drift:
    """Return the service, which has scanned the boundary of a bound tenant and found it right."""
    made = await drift()
    await made.surface.ensure_boundary(SPEC, made.fence())
    await made.hear(bound_tenant(2, "Enforced", quota=QUOTA), told(2, **changes))
    await believed(made)
    return made


def limit(made: Drift, **quota: Any) -> None:
    """Change the quota behind everybody's back."""
    boundary = made.world.sites[ENVIRONMENT].boundaries[TENANT]
    boundary.spec = replace(SPEC, quota=replace(SPEC.quota, **quota))


async def believed(made: Drift) -> None:
    """Have two scans look at what is there, as long apart as it takes."""
    await made.scan_anew()
    await made.app.service.clock.sleep(OWN_WORK_S)
    await made.scan_anew()


async def coverage(made: Drift, plane: str) -> dict[str, Any]:
    """Return how much of the plane the last scan saw."""
    report = await made.report()
    return next(each for each in report["coverage"] if each["plane"] == plane)


def proof(verdict: str) -> TenantIsolationProofCompleted:
    """Return that the quota of the tenant was looked at."""
    return TenantIsolationProofCompleted.model_validate(
        {
            "aggregateId": f"{BINDING}/quota", "revision": 1, "bindingId": BINDING,
            "environmentId": ENVIRONMENT, "layer": "quota", "verdict": verdict,
            "positiveControl": True, "checkedAt": "2026-01-01T00:00:00Z",
        }
    )  # fmt: skip
