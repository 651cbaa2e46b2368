"""The embedded engine: what a program declares, made on this machine."""

from pathlib import Path

from shared.infrastructure.child_evaluator import ChildEvaluator
from shared.infrastructure.folder_states import FolderStates
from shared.infrastructure.local_program import ENVIRONMENT, SITE, VOLUME
from shared.infrastructure.local_providers import SiteProvider, VolumeProvider
from shared.infrastructure.provider import Components
from shared.infrastructure.step_engine import Evaluator
from shared.infrastructure.stepwise import StepwiseEngine
from shared.kernel.clock import Clock, LoopClock
from shared.surfaces.port import Sites


def embedded_engine(
    folder: Path,
    sites: Sites,
    *,
    evaluator: Evaluator | None = None,
    clock: Clock | None = None,
) -> StepwiseEngine:
    """Return an engine that keeps its records and volumes below *folder* and places by *sites*."""
    return StepwiseEngine(
        evaluator or ChildEvaluator(),
        FolderStates(folder / "stacks"),
        {
            ENVIRONMENT: Components(),
            SITE: SiteProvider(sites),
            VOLUME: VolumeProvider(folder / "volumes"),
        },
        clock or LoopClock(),
    )
