"""The ResourceProvider port: makes, reads, changes and deletes resources of some types.

A resource has its identity from its URN and properties, never from what an earlier call returned:
so a create that was killed before its answer was recorded finds the same resource again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from shared.infrastructure.graph import Node, Properties, Urn
from shared.infrastructure.port import MonthlyCost
from shared.kernel.errors import Violation
from shared.kernel.fence import Fence
from shared.kernel.observation import Present, Reading


@dataclass(frozen=True)
class Resource:
    """One resource as it should be; every reference in `properties` is resolved."""

    urn: Urn
    type: str
    name: str
    properties: Properties


@dataclass(frozen=True)
class Live:
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

    async def create(self, resource: Resource, fence: Fence) -> Live:
        """Make *resource*, or bring the one that is there to these properties."""
        ...

    async def read(self, resource: Resource) -> Reading[Live]: ...

    async def update(self, resource: Resource, fence: Fence) -> Live:
        """Change *resource* to these properties in place."""
        ...

    async def delete(self, resource: Resource, fence: Fence) -> None:
        """Remove *resource*; one that is not there is a success."""
        ...


class Components:
    """The provider of component resources, which exist in the record alone."""

    def check(self, node: Node) -> Sequence[Violation]:
        _ = node
        return ()

    def monthly_cost(self, node: Node) -> MonthlyCost | None:
        _ = node
        return MonthlyCost(0.0, "EUR", "")

    async def create(self, resource: Resource, fence: Fence) -> Live:
        _ = fence
        return Live(resource.properties, {})

    async def read(self, resource: Resource) -> Reading[Live]:
        return Present(Live(resource.properties, {}))

    async def update(self, resource: Resource, fence: Fence) -> Live:
        return await self.create(resource, fence)

    async def delete(self, resource: Resource, fence: Fence) -> None:
        _ = (resource, fence)
