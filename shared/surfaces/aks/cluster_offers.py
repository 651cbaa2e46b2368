"""What else a cluster serves that not each does: the API of measures, KEDA's, secrets of vaults."""

from typing import Final

from shared.kernel.clock import Clock
from shared.kernel.dataclass import dataclass
from shared.surfaces.aks.api_errors import ApiRefusal
from shared.surfaces.aks.cluster_api import ClusterApi
from shared.surfaces.aks.secret_classes import AUDIENCE, CSI_DRIVERS, DRIVER, GROUP
from shared.surfaces.aks.traffic_layer import REFRESHED_EVERY_S

_ADDON: Final = "az aks enable-addons --addons azure-keyvault-secrets-provider"


@dataclass(frozen=True)
class ClusterOffers:
    """`has_measures`: of pods, which a HorizontalPodAutoscaler asks; `has_events`: KEDA's.

    `lacks_secrets`: what pods lack to get secrets of a vault; empty where they get them.
    """

    has_measures: bool
    has_events: bool
    lacks_secrets: str


class OffersReader:
    """The offers of a cluster, read each minute at most."""

    def __init__(self, api: ClusterApi, clock: Clock, directory: str | None) -> None:
        """*directory* is that of Entra (tenant id) in which the vaults of tenants are."""
        self._api = api
        self._clock = clock
        self._directory = directory
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
        lacks_secrets = await self._lacks_secrets(groups)
        return ClusterOffers("metrics.k8s.io" in groups, "keda.sh" in groups, lacks_secrets)

    async def _lacks_secrets(self, groups: frozenset[str]) -> str:
        if GROUP not in groups:
            return f"the cluster has no SecretProviderClass ({GROUP}): {_ADDON}"
        try:
            driver = await self._api.get(CSI_DRIVERS, DRIVER)
        except ApiRefusal as refusal:
            return f"its CSIDriver {DRIVER} cannot be read: {refusal.message}"
        if driver is None:
            return f"the cluster has no CSIDriver {DRIVER}: {_ADDON}"
        asked = (driver.get("spec") or {}).get("tokenRequests") or []
        if AUDIENCE not in {each.get("audience") for each in asked}:
            return f"its CSIDriver {DRIVER} asks for no tokens of {AUDIENCE}"
        if self._directory is None:
            return "no RUNTIME_VAULT_DIRECTORY_ID says in which directory of Entra the vaults are"
        return ""
