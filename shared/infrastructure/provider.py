"""The ResourceProvider port: makes, reads, changes and deletes resources of some types.

A resource has its identity from its URN and properties, never from what an earlier call returned:
so a create that was killed before its answer was recorded finds the same resource again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from shared.infrastructure.graph import Node, Properties, Urn
from shared.infrastructure.port import MonthlyCost
from shared.kernel.errors import Violation
from shared.kernel.fence import Fence
from shared.kernel.observation import Present, Reading


@dataclass(frozen=True)
class DesiredResource:
    """One resource as it should be; every reference in `properties` is resolved."""

    urn: Urn
    type: str
    name: str
    properties: Properties


@dataclass(frozen=True)
class LiveResource:
    """One resource as it is: its properties, and the outputs others refer to."""

    properties: Properties
    outputs: dict[str, Any]


class ResourceProvider(Protocol):
    """Every write is idempotent and may be repeated after a kill; a stale fence changes nothing.

    `Refused` means that repeating is useless, `Unavailable` that it is not.
    """

    def check(self, node: Node) -> Sequence[Violation]:
        """Return why *node* cannot be had, before anything is changed; empty when it can."""
        ...

    def monthly_cost(self, node: Node) -> MonthlyCost | None:
        """Return the estimate for *node*, None when it is not known."""
        ...

    async def create(self, resource: DesiredResource, fence: Fence) -> LiveResource:
        """Make *resource*, or bring the one that is there to these properties."""
        ...

    async def read(self, resource: DesiredResource) -> Reading[LiveResource]: ...

    async def update(self, resource: DesiredResource, fence: Fence) -> LiveResource:
        """Change *resource* to these properties in place."""
        ...

    async def delete(self, resource: DesiredResource, fence: Fence) -> None:
        """Remove *resource*; one that is not there is a success."""
        ...


Providers: TypeAlias = Mapping[str, ResourceProvider]
"""By resource type."""


class ComponentProvider:
    """The provider of component resources, which exist in the record alone."""

    def check(self, node: Node) -> Sequence[Violation]:
        _ = node
        return ()

    def monthly_cost(self, node: Node) -> MonthlyCost | None:
        _ = node
        return MonthlyCost(0.0, "EUR", "")

    async def create(self, resource: DesiredResource, fence: Fence) -> LiveResource:
        _ = fence
        return LiveResource(resource.properties, {})

    async def read(self, resource: DesiredResource) -> Reading[LiveResource]:
        return Present(LiveResource(resource.properties, {}))

    async def update(self, resource: DesiredResource, fence: Fence) -> LiveResource:
        return await self.create(resource, fence)

    async def delete(self, resource: DesiredResource, fence: Fence) -> None:
        _ = (resource, fence)
