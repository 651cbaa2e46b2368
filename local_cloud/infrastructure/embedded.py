"""The embedded engine, which makes the declared resources on what the installation runs on."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from local_cloud.infrastructure.child_evaluator import ChildEvaluator
from local_cloud.infrastructure.cluster_site import ClusterSiteProvider
from local_cloud.infrastructure.folder_states import FolderStates
from local_cloud.infrastructure.local_providers import SiteProvider, VolumeProvider
from local_cloud.infrastructure.provider import ComponentProvider, ResourceProvider
from local_cloud.infrastructure.server_provider import ServerProvider
from local_cloud.infrastructure.step_engine import Evaluator, StepEngine
from shared.contracts.values import ComputeTargetKind
from shared.infrastructure.local_program import ENVIRONMENT, SERVER, SITES, VOLUME
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.surfaces.local_process import VOLUMES
from shared.surfaces.port import Sites
from shared.vault.port import Vaults

_PROVIDERS: Final[Mapping[ComputeTargetKind, Callable[[Sites], ResourceProvider]]] = {
    ComputeTargetKind.LOCAL_PROCESS: SiteProvider,
    ComputeTargetKind.AKS: ClusterSiteProvider,
}


def site_providers(sites: Mapping[ComputeTargetKind, Sites]) -> dict[str, ResourceProvider]:
    """Return the providers of *sites*, which are by the kind of their compute target."""
    return {SITES[kind][0]: _PROVIDERS[kind](each) for kind, each in sites.items()}


def embedded_engine(
    folder: Path,
    sites: Mapping[ComputeTargetKind, Sites],
    vaults: Vaults,
    clock: Clock,
    entropy: Entropy,
    *,
    evaluator: Evaluator | None = None,
) -> StepEngine:
    """Return an engine that keeps its records and volumes below *folder* and places by *sites*.

    Those are by kind of compute target: what is not among them is refused. The logins of servers'
    administrators are in *vaults*.
    """
    return StepEngine(
        evaluator or ChildEvaluator(),
        FolderStates(folder / "stacks"),
        {
            ENVIRONMENT: ComponentProvider(),
            VOLUME: VolumeProvider(folder / VOLUMES),
            SERVER: ServerProvider(folder / VOLUMES, vaults, entropy),
            **site_providers(sites),
        },
        clock,
    )
