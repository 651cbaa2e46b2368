"""The arguments and results of the activities."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum

from shared.contracts.deployments import DeploymentStatus
from shared.contracts.values import ModuleId
from shared.kernel.dataclass import dataclass


@dataclass(frozen=True)
class ModuleInput:
    """A module, and for how long to watch it at most; None: as long as one look lasts."""

    module: ModuleId
    watch_s: float | None = None


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
    """A module to remove rejected instances of; `is_stranded`: its previous version is dead."""

    module: ModuleId
    is_stranded: bool = False


@dataclass(frozen=True)
class RemainingInput:
    """Parts that could not be restored; `stranded` has modules whose previous version is dead."""

    remaining: tuple[str, ...] = ()
    stranded: tuple[ModuleId, ...] = ()
    is_last: bool = False
    """No proof is asked after this one."""


@dataclass(frozen=True)
class RolloutStart:
    """The status of a deployment when its operation starts; one in a queue does nothing."""

    status: DeploymentStatus
    is_admitted: bool
    is_rolling_back: bool = False


class WaitState(StrEnum):
    """The state of a wait."""

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
    jobs: Mapping[ModuleId, float] = field(default_factory=dict)
    """The longest time of each module that runs once; that of others is `ready_s`."""


@dataclass(frozen=True)
class RollbackPlan:
    """The plan of a rollback; without modules there is nothing to restore."""

    status: DeploymentStatus
    modules: tuple[ModuleId, ...] = ()
    """The last one first."""
    ready_s: float = 0.0
    gone_s: float = 0.0
    prove_s: float = 0.0
    is_recreate: bool = False


@dataclass(frozen=True)
class Restoration:
    """A module in a rollback. `is_dead`: its previous version has no ready instance."""

    state: WaitState
    message: str = ""
    is_dead: bool = False


@dataclass(frozen=True)
class Completion:
    """The end of a rollout, or the first mismatch that the proof shows so far."""

    status: DeploymentStatus | None
    departure: str = ""
