"""The sites of environments in the cluster of an installation, for the engine that makes them."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from shared.composition.settings import Settings
from shared.contracts.values import ComputeTargetKind
from shared.kernel.clock import Clock
from shared.surfaces.port import Sites

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential


def cluster_sites(
    settings: Settings, credential: "Callable[[], AsyncTokenCredential]", clock: Clock
) -> Mapping[ComputeTargetKind, Sites]:
    """Return the sites in the cluster that *settings* name, by their kind; none without one.

    Nothing is connected yet.

    Raises:
        InvalidSetting: the cluster's kubeconfig cannot be used; the message says why.
    """
    if not settings.has_cluster:
        return {}
    from shared.composition.cluster import open_cluster  # noqa: PLC0415  where there is one
    from shared.surfaces.aks.surface import AksSurface  # noqa: PLC0415  where there is one

    cluster = open_cluster(settings, credential, clock)
    return {ComputeTargetKind.AKS: AksSurface(cluster.client, clock)}
