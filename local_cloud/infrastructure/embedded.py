"""The embedded engine, which makes the declared resources on this machine."""

from pathlib import Path

from local_cloud.infrastructure.child_evaluator import ChildEvaluator
from local_cloud.infrastructure.folder_states import FolderStates
from local_cloud.infrastructure.local_providers import SiteProvider, VolumeProvider
from local_cloud.infrastructure.provider import ComponentProvider
from local_cloud.infrastructure.step_engine import Evaluator, StepEngine
from shared.infrastructure.local_program import ENVIRONMENT, SITE, VOLUME
from shared.kernel.clock import Clock
from shared.surfaces.local_process import VOLUMES
from shared.surfaces.port import Sites


def embedded_engine(
    folder: Path, sites: Sites, clock: Clock, *, evaluator: Evaluator | None = None
) -> StepEngine:
    """Return an engine that keeps its records and volumes below *folder* and places by *sites*."""
    return StepEngine(
        evaluator or ChildEvaluator(),
        FolderStates(folder / "stacks"),
        {
            ENVIRONMENT: ComponentProvider(),
            SITE: SiteProvider(sites),
            VOLUME: VolumeProvider(folder / VOLUMES),
        },
        clock,
    )
