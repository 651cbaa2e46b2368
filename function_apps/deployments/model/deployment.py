"""RuntimeDeployment: one change of some modules of one environment, whole or turned back."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from pydantic import TypeAdapter

from function_apps.deployments.model.states import Change, after
from shared.contracts.components import Component, ConfigurationChoice
from shared.contracts.deployments import (
    DeploymentKind,
    DeploymentStatus,
    EndReason,
    StepShare,
)
from shared.contracts.gates import Gate, GateEvidence, Verdict
from shared.contracts.promotions import SoakEvidence
from shared.contracts.releases import Hold, Proof, ReleasedComponent, ReleaseUnit
from shared.contracts.strategies import OnConflict, Strategy
from shared.contracts.values import (
    DeploymentId,
    EnvironmentId,
    Instant,
    ModuleId,
    OperationId,
    ProjectId,
    Reason,
    Stage,
    TenantId,
)

TYPE: Final = "deployment"


@dataclass(frozen=True)
class TrafficShift:
    """One step: a weight for all components, and the gates that judge it.

    `gates` are the ids asked in the current attempt, one a component; `evidence` what came back.
    `shares` has the modules whose new version takes another part than `weight`.
    """

    index: int
    name: str
    weight: int
    pause_s: float = 0.0
    started_at: Instant | None = None
    asked_at: Instant | None = None
    deadline_at: Instant | None = None
    gates: tuple[str, ...] = ()
    evidence: tuple[GateEvidence, ...] = ()
    verdict: Verdict | None = None
    marked: bool = False
    ended_at: Instant | None = None
    shares: tuple[StepShare, ...] = ()

    def share_of(self, module: str) -> int:
        """Return the percent of *module*'s requests that go to its new version."""
        departing = (share.weight for share in self.shares if share.module_id == module)
        return next(departing, self.weight)

    @property
    def share(self) -> int:
        """Return the most that goes to a new version in this step."""
        return max([self.weight, *(share.weight for share in self.shares)])


@dataclass(frozen=True)
class Origin:
    """Who asked and as part of which work: the trace goes from the command to the last event."""

    actor: str
    trace_id: str
    correlation_id: str
    causation_id: str | None = None


@dataclass(frozen=True)
class ReleaseName:
    """The release that first brought a unit, and what its caller called it."""

    deployment_id: DeploymentId
    release_ref: str


@dataclass(frozen=True)
class Deployment:
    """The aggregate. `order` has its modules, dependencies first; `previous` is what was in force.

    `unit` is fixed once an attempt, before anything is applied. `absent` says which parts of it
    nobody has provided yet, and the rule by which they will be.

    Of a rollback: `replaces` are the revisions that it was asked to undo, `restores` the releases
    whose units it brings back, `earlier` what was in force before those. `earlier_releases` names
    the releases of what an undo of this deployment goes back to.
    """

    deployment_id: DeploymentId
    tenant_id: TenantId
    environment_id: EnvironmentId
    kind: DeploymentKind
    release_ref: str
    strategy: Strategy
    gate: Gate
    components: tuple[Component, ...]
    remove: tuple[ModuleId, ...]
    order: tuple[ModuleId, ...]
    on_conflict: OnConflict
    key: str
    origin: Origin
    operation_id: OperationId
    created_at: Instant
    updated_at: Instant
    restart: bool = False
    status: DeploymentStatus = DeploymentStatus.REQUESTED
    revision: int = 1
    attempt: int = 1
    token: int = 0
    project_id: ProjectId | None = None
    stage: Stage | None = None
    configuration: ConfigurationChoice | None = None
    evidence: SoakEvidence | None = None
    opened_at: Instant | None = None
    wait_name: str = ""
    paused_at: Instant | None = None
    unit: ReleaseUnit | None = None
    absent: tuple[Reason, ...] = ()
    previous: tuple[ReleasedComponent, ...] = ()
    previous_deployment_id: DeploymentId | None = None
    rolled_back_deployment_id: DeploymentId | None = None
    replaces: Mapping[ModuleId, int] = field(default_factory=dict)
    restores: Mapping[ModuleId, DeploymentId] = field(default_factory=dict)
    earlier: tuple[ReleasedComponent, ...] = ()
    earlier_releases: Mapping[ModuleId, ReleaseName] = field(default_factory=dict)
    steps: tuple[TrafficShift, ...] = ()
    reason: EndReason | None = None
    restored: ReleaseUnit | None = None
    proof: Proof | None = None
    holds: tuple[Hold, ...] = ()
    remaining: tuple[str, ...] = ()
    ended_at: Instant | None = None

    @property
    def modules(self) -> tuple[ModuleId, ...]:
        """All modules whose queues it enters."""
        return (*(component.module_id for component in self.components), *self.remove)

    @property
    def weight(self) -> int:
        """Percent of the requests that go to the new version."""
        if self.status in {DeploymentStatus.ROLLED_BACK, DeploymentStatus.ROLLING_BACK}:
            return 0
        return max((step.share for step in self.steps if step.started_at), default=0)

    def released(self, module: str) -> ReleasedComponent | None:
        """Return what this deployment brings to *module*."""
        found = self.unit.components if self.unit else ()
        return next((one for one in found if one.module_id == module), None)

    def before(self, module: str) -> ReleasedComponent | None:
        """Return what was in force of *module* when the unit was fixed."""
        return next((one for one in self.previous if one.module_id == module), None)


_ADAPTER: Final = TypeAdapter(Deployment)


def to_body(deployment: Deployment) -> dict[str, Any]:
    """Return the document body; `status`, `environment_id` and `created_at` are queried."""
    body: dict[str, Any] = _ADAPTER.dump_python(deployment, mode="json")
    return body | {"type": TYPE}


def from_body(body: Mapping[str, Any]) -> Deployment:
    return _ADAPTER.validate_python({k: v for k, v in body.items() if k != "type"})


def evolve(deployment: Deployment, change: Change, now: datetime, **fields: Any) -> Deployment:
    """Return *deployment* after *change*, with *fields*, one revision later.

    Raises:
        TransitionRefused: the table has no row for its state and *change*.
    """
    return replace(
        deployment,
        status=after(deployment.status, change),
        revision=deployment.revision + 1,
        updated_at=now,
        **fields,
    )


def with_share(step: TrafficShift, share: StepShare) -> TrafficShift:
    """Return *step* with *share* in place of the one of its module."""
    others = [each for each in step.shares if each.module_id != share.module_id]
    return replace(step, shares=(*others, share))


def with_step(deployment: Deployment, step: TrafficShift) -> tuple[TrafficShift, ...]:
    """Return the steps of *deployment* with *step* in its place."""
    return tuple(step if one.index == step.index else one for one in deployment.steps)
