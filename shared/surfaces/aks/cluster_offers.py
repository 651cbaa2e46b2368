"""What else a cluster serves that not each does: the API of measures, and KEDA's."""

from dataclasses import dataclass

from shared.kernel.clock import Clock
from shared.surfaces.aks.cluster_api import ClusterApi
from shared.surfaces.aks.traffic_layer import REFRESHED_EVERY_S


@dataclass(frozen=True)
class ClusterOffers:
    """`has_measures`: of pods, which a HorizontalPodAutoscaler asks; `has_events`: KEDA's."""

    has_measures: bool
    has_events: bool


class OffersReader:
    """The offers of a cluster, read each minute at most."""

    def __init__(self, api: ClusterApi, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._read_at_s = 0.0
        self.last: ClusterOffers | None = None
        """As they were read last; None while they never were."""

    async def read(self) -> ClusterOffers:
        """Return the offers. Raises ApiAway, ApiRefusal, and what connecting raises."""
        now_s = self._clock.monotonic_s()
        if self.last is None or now_s - self._read_at_s > REFRESHED_EVERY_S:
            self.last = await self._read()
            self._read_at_s = now_s
        return self.last

    async def _read(self) -> ClusterOffers:
        groups = await self._api.groups()
        return ClusterOffers("metrics.k8s.io" in groups, "keda.sh" in groups)
