"""Which Gateway API the cluster offers: without an accepted class no request can be split."""

from http import HTTPStatus
from typing import Final

from shared.kernel.clock import Clock
from shared.kernel.dataclass import dataclass
from shared.surfaces.aks.api_errors import ApiRefusal
from shared.surfaces.aks.cluster_api import ClusterApi
from shared.surfaces.aks.instances import condition
from shared.surfaces.aks.kinds import GATEWAY_CLASSES

REFRESHED_EVERY_S: Final = 60.0


@dataclass(frozen=True)
class TrafficLayer:
    """`gateway_class` is the one for the Gateways of sites, None where `lacks` says why not."""

    gateway_class: str | None
    lacks: str = ""

    @property
    def is_there(self) -> bool:
        return self.gateway_class is not None


class TrafficLayers:
    """The traffic layer of a cluster, read each minute at most."""

    def __init__(self, api: ClusterApi, clock: Clock, wanted: str | None) -> None:
        """*wanted* is the class to use; None: the only one that is accepted."""
        self._api = api
        self._clock = clock
        self._wanted = wanted
        self._read_at_s = 0.0
        self.last: TrafficLayer | None = None
        """As it was read last; None while it never was."""

    @property
    def is_due(self) -> bool:
        age_s = self._clock.monotonic_s() - self._read_at_s
        return self.last is None or age_s > REFRESHED_EVERY_S

    async def read(self) -> TrafficLayer:
        """Return the traffic layer. Raises ApiAway, ApiRefusal, and what connecting raises."""
        if self.last is None or self.is_due:
            self.last = await self._read()
            self._read_at_s = self._clock.monotonic_s()
        return self.last

    async def _read(self) -> TrafficLayer:
        try:
            classes, _ = await self._api.list_all(GATEWAY_CLASSES, {}, keep=lambda each: each)
        except ApiRefusal as refusal:
            if refusal.status == HTTPStatus.NOT_FOUND:
                return TrafficLayer(None, "the cluster has no Gateway API: install its CRDs")
            raise
        accepted = sorted(
            each["metadata"]["name"]
            for each in classes
            if condition(each, "Accepted").get("status") == "True"
        )
        if self._wanted is not None:
            if self._wanted in accepted:
                return TrafficLayer(self._wanted)
            return TrafficLayer(None, f"no controller accepts the GatewayClass {self._wanted}")
        if len(accepted) == 1:
            return TrafficLayer(accepted[0])
        if accepted:
            return TrafficLayer(
                None,
                f"several GatewayClasses are accepted, name one by RUNTIME_GATEWAY_CLASS:"
                f" {', '.join(accepted)}",
            )
        return TrafficLayer(None, "no GatewayClass of the cluster is accepted by a controller")
