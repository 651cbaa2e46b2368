"""The ResourceProvider port: makes, reads, changes and deletes resources of some types.

A resource has its identity from its URN and properties, never from what an earlier call returned.
So a write that was killed before its answer was recorded finds the same resource again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from shared.infrastructure.graph import Node, Properties, Resource
from shared.infrastructure.port import MonthlyCost
from shared.kernel.errors import Violation
from shared.kernel.fence import Fence
from shared.kernel.observation import Present, Reading


@dataclass(frozen=True)
class LiveResource:
    """One resource as it is: its properties, and the outputs others refer to."""

    properties: Properties
    outputs: dict[str, Any]


class ResourceProvider(Protocol):
    """Every write is idempotent and may be repeated after a kill; a stale fence changes nothing.

    `Refused` means that repeating is useless, `Unavailable` that it is not. In what a provider is
    given to read or write every reference is resolved.
    """

    def check(self, node: Node, place: str, /) -> Sequence[Violation]:
        """Return why *node* cannot be had, before anything is changed; empty when it can.

        *place* is the JSON pointer to what the request says of it.
        """
        ...

    def monthly_cost(self, node: Node, /) -> MonthlyCost | None:
        """Return the estimate for *node*, None when it is not known."""
        ...

    async def put(self, resource: Resource, fence: Fence, /) -> LiveResource:
        """Make *resource*, or bring the one that is there to these properties in place."""
        ...

    async def read(self, resource: Resource) -> Reading[LiveResource]: ...

    async def delete(self, resource: Resource, fence: Fence) -> None:
        """Remove *resource*; it is a success when it is absent already."""
        ...


Providers: TypeAlias = Mapping[str, ResourceProvider]
"""By resource type."""


class ComponentProvider:
    """The provider of component resources, which exist in the record alone."""

    def check(self, _node: Node, _place: str) -> Sequence[Violation]:
        return ()

    def monthly_cost(self, _node: Node) -> MonthlyCost | None:
        return MonthlyCost(0.0, "EUR", "")

    async def put(self, resource: Resource, _fence: Fence) -> LiveResource:
        return LiveResource(resource.properties, {})

    async def read(self, resource: Resource) -> Reading[LiveResource]:
        return Present(LiveResource(resource.properties, {}))

    async def delete(self, resource: Resource, fence: Fence) -> None:
        """Nothing is there to delete."""
