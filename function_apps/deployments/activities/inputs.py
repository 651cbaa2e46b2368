"""What activities are given and answer, and the right under which they act."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import shared.kernel.operation as operations
from function_apps.deployments.errors import CancelAsked, Overtaken
from function_apps.deployments.model import target as targets
from function_apps.deployments.model.deployment import Deployment, Origin
from function_apps.deployments.model.states import ENDINGS
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.use_cases.dossier import Dossier, dossier, environment_of, place
from shared.contracts.deployments import DeploymentStatus
from shared.contracts.releases import ReleasedComponent
from shared.contracts.values import DeploymentId, ModuleId, TenantId
from shared.durable.steps import Step
from shared.kernel.errors import Unavailable
from shared.kernel.observation import Absent, Present, Unknown
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause
from shared.messaging.legacy_unit_of_work import Decision, Outcome, View
from shared.surfaces.observed_state import LiveComponent
from shared.surfaces.port import Surface
from shared.surfaces.spec import SurfaceComponent as Component


@dataclass(frozen=True)
class Errand:
    """The deployment that an activity works for, and who asked for it."""

    tenant: TenantId
    deployment: DeploymentId
    origin: Origin

    @property
    def scope(self) -> Scope:
        return Scope(self.tenant, self.origin.actor)

    def cause(self, step: Step) -> Cause:
        return Cause(
            actor=self.origin.actor,
            kind="operation",
            reference=step.operation_id,
            trace_id=self.origin.trace_id,
            correlation_id=self.origin.correlation_id,
            causation_id=self.origin.causation_id,
        )


@dataclass(frozen=True)
class ModuleOf:
    errand: Errand
    module: ModuleId


@dataclass(frozen=True)
class StepOf:
    errand: Errand
    index: int


@dataclass(frozen=True)
class ShiftOf:
    errand: Errand
    index: int
    module: ModuleId


@dataclass(frozen=True)
class Problem:
    """Why a rollout does not go on."""

    code: str
    message: str


@dataclass(frozen=True)
class ProblemOf:
    errand: Errand
    problem: Problem


@dataclass(frozen=True)
class RemovalOf:
    """`is_stranded`: the previous version of the module is dead, and what is ready stays."""

    errand: Errand
    module: ModuleId
    is_stranded: bool


@dataclass(frozen=True)
class RemainsOf:
    """What a rollback could not bring back; `stranded` has modules whose previous one is dead."""

    errand: Errand
    remaining: tuple[str, ...] = ()
    stranded: tuple[ModuleId, ...] = ()
    is_last: bool = False
    """No proof is asked after this one."""


@dataclass(frozen=True)
class Restoration:
    """How a module stands on the way back. `is_dead`: what was in force has no ready instance."""

    going: "Going"
    message: str = ""
    is_dead: bool = False


@dataclass(frozen=True)
class Completion:
    """The end of a rollout, or what the proof departs in so far."""

    status: DeploymentStatus | None
    departure: str = ""


@dataclass(frozen=True)
class Opening:
    """`errand` is absent when there is nothing (more) to do for this operation."""

    status: DeploymentStatus
    errand: Errand | None = None
    is_rolling_back: bool = False


class Going(StrEnum):
    """How a wait goes on."""

    OPEN = "open"
    GO = "go"
    FAILED = "failed"
    AGAIN = "again"


@dataclass(frozen=True)
class Look:
    """What was seen: go on, or wait for the nudge *wait_name*, at the longest *until*."""

    going: Going
    wait_name: str = ""
    until: datetime | None = None
    code: str = ""
    message: str = ""


@dataclass(frozen=True)
class CourseStep:
    index: int
    pause_s: float


@dataclass(frozen=True)
class Course:
    """The whole plan of a rollout, made before its first change. `order`: dependencies first."""

    order: tuple[ModuleId, ...]
    removed: tuple[ModuleId, ...]
    steps: tuple[CourseStep, ...]
    is_recreate: bool
    is_gated: bool
    ready_s: float
    gone_s: float
    prove_s: float


@dataclass(frozen=True)
class Retreat:
    """How a rollout is turned back; without modules there is nothing to turn back."""

    status: DeploymentStatus
    modules: tuple[ModuleId, ...] = ()
    """The last one first."""
    ready_s: float = 0.0
    gone_s: float = 0.0
    prove_s: float = 0.0


Decide = Callable[[Dossier], Decision]


async def change(errand: Errand, step: Step, app: DeploymentsApp, decide: Decide) -> Outcome:
    """Read target, deployment and operation, and commit what *decide* says of them."""
    ids = [
        errand.deployment,
        targets.document_id(environment_of(errand.deployment)),
        operations.document_id(step.operation_id),
    ]

    def decide_on(view: View) -> Decision:
        return decide(dossier(view, errand.deployment, step.operation_id))

    partition = place(errand.deployment, errand.scope)
    return await app.service.work.write(errand.scope, partition, ids, decide_on, errand.cause(step))


async def holding(errand: Errand, step: Step, app: DeploymentsApp) -> Deployment:
    """Return the deployment, which this operation may change the world for.

    Raises:
        Overtaken: another operation has it now, or it has ended.
    """
    view = await app.service.work.read(place(errand.deployment, errand.scope), errand.deployment)
    found = dossier(view, errand.deployment)
    return own(found, step).deployment


def own(found: Dossier, step: Step) -> Dossier:
    """Return *found* if this step's operation has the right to it.

    Raises:
        Overtaken: it has not (any more).
        CancelAsked: somebody asked for the operation to stop.
    """
    deployment = found.deployment
    if deployment.operation_id != step.operation_id or deployment.status in ENDINGS:
        raise Overtaken(
            f"{deployment.deployment_id} is {deployment.status} under {deployment.operation_id}; "
            f"{step.operation_id} has no right to it any more"
        )
    operation = found.operation
    is_asked = operation is not None and operation.cancel_requested
    if is_asked and deployment.status is not DeploymentStatus.ROLLING_BACK:
        raise CancelAsked("somebody asked for the operation to be cancelled")
    return found


def is_ended_by(found: Dossier, step: Step) -> bool:
    """Return whether this step's operation has brought the deployment to its end already."""
    deployment = found.deployment
    return deployment.operation_id == step.operation_id and deployment.status in ENDINGS


def surface_of(unit: ReleasedComponent, app: DeploymentsApp) -> Surface:
    return app.surfaces[unit.compute_target]


async def observed(surface: Surface, component: Component) -> LiveComponent | None:
    """Return what is live of *component*, None when nothing is.

    Raises:
        Unavailable: it could not be seen, so nothing may follow from it.
    """
    match await surface.observe(component):
        case Present(live):
            return live
        case Absent():
            return None
        case Unknown(reason):
            raise Unavailable(f"{component.module} cannot be seen: {reason}")
