"""The provider of `factory:kubernetes:Site`: an environment's place in the installation's cluster.

The site is the surface's. A capacity is the quota of the owner's boundary in it, and is read from
there, so that what somebody else changes in the cluster shows as a difference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol, TypeGuard

from local_cloud.infrastructure.local_providers import SiteProvider, no_settings
from local_cloud.infrastructure.provider import LiveResource
from shared.infrastructure.graph import Node, Resource
from shared.infrastructure.port import MonthlyCost
from shared.kernel.errors import Unavailable, Violation
from shared.kernel.fence import Fence
from shared.kernel.ids import EnvironmentId, TenantId
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.surfaces.boundaries import Boundary, BoundarySpec, Quota
from shared.surfaces.port import Boundaries, Sites
from shared.surfaces.spec import Resources

SHARED_NODES: Final = MonthlyCost(0.0, "EUR", "runs on the nodes that its cluster has anyway")
INSTANCE: Final = Resources(memory_mb=512, cpu=0.5)
"""Of an instance whose component names no limits, where the environment has a capacity: without
limits a quota refuses it."""
_QUOTAS: Final = {"cpu": "quota/cpu", "memoryMib": "quota/memoryMib"}
"""Of a capacity: its field, and the property of a boundary that holds it."""


class _BoundedSites(Sites, Boundaries, Protocol):
    """Sites of a surface that can limit them."""


def _has_boundaries(sites: Sites) -> TypeGuard[_BoundedSites]:
    return hasattr(sites, Boundaries.ensure_boundary.__name__)


class ClusterSiteProvider(SiteProvider):
    """`factory:kubernetes:Site`, by the surface of the cluster."""

    def __init__(self, sites: Sites) -> None:
        super().__init__(sites)
        self._bounded = sites if _has_boundaries(sites) else None

    def check(self, node: Node, place: str) -> Sequence[Violation]:
        known = tuple(_QUOTAS) if self._bounded else ()
        expected = " | ".join(known) or "no capacity: the surface has no quotas yet"
        unlimited = (
            Violation(
                "CapacityNotLimited", f"{place}/capacity/{name}",
                "a cluster cannot hold all workloads together to this limit", expected, str(value),
            )
            for name, value in sorted(node.properties["capacity"].items())
            if name not in known
        )  # fmt: skip
        return [*no_settings(node, place), *unlimited]

    def monthly_cost(self, _node: Node) -> MonthlyCost | None:
        return SHARED_NODES

    async def put(self, resource: Resource, fence: Fence) -> LiveResource:
        live = await super().put(resource, fence)
        wanted = resource.properties["capacity"]
        if self._bounded is None or live.properties["capacity"] == wanted:
            return live
        await self._bounded.ensure_boundary(_boundary(resource, wanted), fence)
        match await self.read(resource):
            case Present(limited):
                return limited
            case Absent():
                raise Unavailable(f"the boundary of {resource.name} does not exist yet")
            case Unknown(reason):
                raise Unavailable(f"the boundary of {resource.name} cannot be read: {reason}")

    async def read(self, resource: Resource) -> Reading[LiveResource]:
        reading = await super().read(resource)
        if self._bounded is None or not isinstance(reading, Present):
            return reading
        environment, tenant = _owner(resource)
        match await self._bounded.read_boundary(environment, tenant):
            case Unknown() as unknown:
                return unknown
            case found:
                capacity = _capacity(found.value) if isinstance(found, Present) else {}
                properties = {**reading.value.properties, "capacity": capacity}
                return Present(replace(reading.value, properties=properties))


def _owner(resource: Resource) -> tuple[EnvironmentId, TenantId]:
    return EnvironmentId(resource.properties["site"]), TenantId(resource.properties["tenantId"])


def _boundary(resource: Resource, capacity: Mapping[str, Any]) -> BoundarySpec:
    environment, tenant = _owner(resource)
    quota = Quota(cpu=capacity.get("cpu"), memory_mb=capacity.get("memoryMib"))
    limits = Resources(
        cpu=INSTANCE.cpu if quota.cpu else None,
        memory_mb=INSTANCE.memory_mb if quota.memory_mb else None,
    )
    return BoundarySpec(environment, tenant, quota, limits)


def _capacity(boundary: Boundary) -> dict[str, float | int]:
    """Return the capacity that *boundary* holds its workloads to."""
    live = {name: boundary.properties.get(path) for name, path in _QUOTAS.items()}
    return {name: _number(value) for name, value in live.items() if value is not None}


def _number(text: str) -> float | int:
    """Return a figure as the graph has it: whole ones as integers."""
    number = float(text)
    return int(number) if number.is_integer() else number
