"""The cluster on which the workloads of an installation run, opened from its settings."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from shared.composition.cluster_settings import AKS_CLUSTER, KUBECONFIG
from shared.composition.parts import PartNotSupported
from shared.composition.settings import InvalidSetting, Settings
from shared.contracts.values import ComputeTargetKind
from shared.kernel.clock import Clock
from shared.surfaces.aks.cluster_access import (
    AksSource,
    ClusterAccess,
    ClusterSource,
    KubeconfigSource,
)
from shared.surfaces.aks.cluster_errors import ClusterRefused
from shared.surfaces.aks.managed_cluster import ClusterId
from shared.surfaces.aks.managed_clusters import ManagedClusters

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

    from shared.surfaces.aks.surface import AksSurface

_NAMING: Final = (
    "aks_cluster", "kubeconfig", "kubeconfig_context", "gateway_class", "cluster_installation",
    "gateway_networks", "gateway_counters", "vault_directory", "client_id", "ca_file",
    "cluster_issuer", "gateway_url", "audience", "platform_networks", "isolation_image",
)  # fmt: skip
"""The settings of which a surface is made: who has the same gets the same one."""


class Clusters:
    """The surfaces on clusters that one process has open: one of each, with its watches."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[tuple[object, ...], tuple[AksSurface, ClusterAccess]] = {}

    def surfaces(
        self, settings: Settings, credential: "Callable[[], AsyncTokenCredential]"
    ) -> "Mapping[ComputeTargetKind, AksSurface]":
        """Return the surface on the cluster that *settings* name, which makes sites there too.

        None where they name no cluster. Nothing is connected yet.

        Raises:
            InvalidSetting: as `open_cluster`.
        """
        if not settings.has_cluster:
            return {}
        key = tuple(getattr(settings, name) for name in _NAMING)
        if key not in self._open:
            self._open[key] = self._opened(settings, credential)
        surface, _ = self._open[key]
        return {ComputeTargetKind.AKS: surface}

    def _opened(
        self, settings: Settings, credential: "Callable[[], AsyncTokenCredential]"
    ) -> "tuple[AksSurface, ClusterAccess]":
        from shared.surfaces.aks.gateway_counters import GatewayCounters  # noqa: PLC0415  as below
        from shared.surfaces.aks.names import Installation  # noqa: PLC0415  as the next
        from shared.surfaces.aks.platform_access import PlatformAccess  # noqa: PLC0415  as the next
        from shared.surfaces.aks.surface import AksSurface  # noqa: PLC0415  not every app's

        access = open_cluster(settings, credential, self._clock)
        url, platform_url = settings.gateway_counters, settings.gateway_url
        platform = None
        if settings.cluster_issuer is not None and platform_url is not None:
            networks = tuple(map(str, settings.platform_networks))
            platform = PlatformAccess(platform_url, settings.audience, networks)
        surface = AksSurface(
            access.client,
            self._clock,
            Installation(settings.cluster_installation),
            gateway_class=settings.gateway_class,
            counters=None if url is None else GatewayCounters(url, self._clock),
            gateway_networks=tuple(map(str, settings.gateway_networks)),
            directory=settings.vault_directory,
            access=platform,
            isolation_image=settings.isolation_image,
        )
        return surface, access

    async def close(self) -> None:
        """End the watches and connections of all."""
        opened, self._open = list(self._open.values()), {}
        for surface, access in opened:
            await surface.close()
            await access.close()


def open_cluster(
    settings: Settings,
    credential: "Callable[[], AsyncTokenCredential]",
    clock: Clock,
    *,
    arm_endpoint: str | None = None,
) -> ClusterAccess:
    """Return the way to the cluster that *settings* name; nothing is connected yet.

    *arm_endpoint* is another than that of the cloud that `AZURE_CLOUD` names.

    Raises:
        PartNotSupported: they name none.
        InvalidSetting: the kubeconfig that they name cannot be used; the message says why.
    """
    source: ClusterSource
    if settings.kubeconfig is not None:
        try:
            source = KubeconfigSource(settings.kubeconfig, settings.kubeconfig_context, clock)
        except ClusterRefused as refused:
            message = f"{KUBECONFIG}: {refused.message}"
            raise InvalidSetting(message, target=KUBECONFIG) from refused
    elif settings.aks_cluster is not None:
        cluster_id = ClusterId.parsed(settings.aks_cluster)
        assert cluster_id is not None, "the setting is checked by the same pattern"
        clusters = ManagedClusters(
            cluster_id, credential=credential, ca_file=settings.ca_file, endpoint=arm_endpoint
        )
        source = AksSource(clusters, credential, clock)
    else:
        raise PartNotSupported(
            f"a surface of kind AKS needs its cluster: set {AKS_CLUSTER}, or {KUBECONFIG} for one"
            " that is not Azure's"
        )
    return ClusterAccess(source, clock, ca_file=settings.ca_file)
