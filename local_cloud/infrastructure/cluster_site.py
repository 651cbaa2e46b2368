"""The provider of `factory:kubernetes:Site`: an environment's place in the installation's cluster.

The site is the surface's, its capacity too. That is read as it is in the cluster, so that what
somebody else changes there shows as a difference.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from local_cloud.infrastructure.local_providers import SiteProvider, no_settings
from shared.infrastructure.graph import Node, Properties
from shared.infrastructure.port import MonthlyCost
from shared.kernel.errors import Violation
from shared.surfaces.observed_state import Site
from shared.surfaces.spec import Resources, SiteSpec

SHARED_NODES: Final = MonthlyCost(0.0, "EUR", "runs on the nodes that its cluster has anyway")
_LIMITED: Final = ("cpu", "memoryMib")
"""The fields of a capacity that a cluster can hold all workloads together to."""


class ClusterSiteProvider(SiteProvider):
    """`factory:kubernetes:Site`, by the surface of the cluster."""

    def check(self, node: Node, place: str) -> Sequence[Violation]:
        unlimited = (
            Violation(
                "CapacityNotLimited", f"{place}/capacity/{name}",
                "a cluster cannot hold all workloads together to this limit",
                " | ".join(_LIMITED), str(value),
            )
            for name, value in sorted(node.properties["capacity"].items())
            if name not in _LIMITED
        )  # fmt: skip
        return [*no_settings(node, place), *unlimited]

    def monthly_cost(self, _node: Node) -> MonthlyCost | None:
        return SHARED_NODES

    def wanted_site(self, properties: Properties) -> SiteSpec:
        asked = properties["capacity"]
        capacity = Resources(memory_mb=asked.get("memoryMib"), cpu=asked.get("cpu"))
        return replace(super().wanted_site(properties), capacity=capacity)

    def properties_of(self, site: Site) -> dict[str, Any]:
        return {**super().properties_of(site), "capacity": _capacity(site.capacity)}


def _capacity(live: Resources) -> dict[str, float | int]:
    """Return the capacity that a site holds its owner's workloads to, as the graph has it."""
    values = {"cpu": live.cpu, "memoryMib": live.memory_mb}
    return {name: _number(value) for name, value in values.items() if value is not None}


def _number(value: float) -> float | int:
    """Return a figure as the graph has it: whole ones as integers."""
    return int(value) if float(value).is_integer() else value
