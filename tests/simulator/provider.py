"""A provider of measurements beside the surface: it counts the same load, or does not answer."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.contracts.metrics import Metric
from shared.metrics.port import Measured, Measurement, MetricsQuery, Resolution, Unmeasurable

if TYPE_CHECKING:
    from tests.simulator.simulated_world import SimulatedWorld

SILENT = "provider has no answer"


@dataclass
class SimulatedProvider:
    """Says what clients sent to a component, of which `error_ratio` failed."""

    world: "SimulatedWorld"
    error_ratio: float = 0.0
    resolution: Resolution = field(default_factory=Resolution)

    async def measure(self, queries: Sequence[MetricsQuery]) -> Sequence[Measurement]:
        if self.world.faults.occurs(SILENT):
            self.world.history.sometimes("a provider of measurements had no answer")
            return [Unmeasurable("simulated: no answer", each.text) for each in queries]
        self.world.history.sometimes("a provider measured an objective")
        return [self._measured(each) for each in queries]

    def _measured(self, query: MetricsQuery) -> Measured:
        requests = self.world.surface.requests_per_s * query.window.total_seconds()
        ratio = self.error_ratio if query.metric is Metric.ERRORS else 1.0
        return Measured(requests * ratio, query.until, query.text)
