"""The arguments and results of the activities."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.contracts.deployments import DeploymentStatus
from shared.contracts.values import ModuleId


@dataclass(frozen=True)
class ModuleInput:
    module: ModuleId


@dataclass(frozen=True)
class StepInput:
    index: int


@dataclass(frozen=True)
class ModuleStepInput:
    """One module in one step of the rollout."""

    index: int
    module: ModuleId


@dataclass(frozen=True)
class RemovalInput:
    """The module whose rejected instances are removed; `is_stranded`: its previous one is dead."""

    module: ModuleId
    is_stranded: bool = False


@dataclass(frozen=True)
class RemainingInput:
    """What a rollback could not bring back; `stranded` has modules whose previous one is dead."""

    remaining: tuple[str, ...] = ()
    stranded: tuple[ModuleId, ...] = ()
    is_last: bool = False
    """No proof is asked after this one."""


@dataclass(frozen=True)
class RolloutStart:
    """How a deployment stands when its operation starts; one that waits in a queue does nothing."""

    status: DeploymentStatus
    is_admitted: bool
    is_rolling_back: bool = False


class WaitState(StrEnum):
    """How a wait goes on."""

    PENDING = "pending"
    PASSED = "passed"
    FAILED = "failed"
    RESTART = "restart"


@dataclass(frozen=True)
class WaitStatus:
    """Go on, or wait for the external event *wait_name*, at the longest *until*."""

    state: WaitState
    wait_name: str = ""
    until: datetime | None = None
    code: str = ""
    message: str = ""


@dataclass(frozen=True)
class PlannedStep:
    index: int
    pause_s: float


@dataclass(frozen=True)
class RolloutPlan:
    """The whole plan of a rollout, made before its first change. `order`: dependencies first."""

    order: tuple[ModuleId, ...]
    removed: tuple[ModuleId, ...]
    steps: tuple[PlannedStep, ...]
    is_recreate: bool
    is_gated: bool
    ready_s: float
    gone_s: float
    prove_s: float


@dataclass(frozen=True)
class RollbackPlan:
    """How a rollout goes back; without modules there is nothing to bring back."""

    status: DeploymentStatus
    modules: tuple[ModuleId, ...] = ()
    """The last one first."""
    ready_s: float = 0.0
    gone_s: float = 0.0
    prove_s: float = 0.0


@dataclass(frozen=True)
class Restoration:
    """How a module stands on the way back. `is_dead`: its previous unit has no ready instance."""

    state: WaitState
    message: str = ""
    is_dead: bool = False


@dataclass(frozen=True)
class Completion:
    """The end of a rollout, or the first mismatch that the proof shows so far."""

    status: DeploymentStatus | None
    departure: str = ""
