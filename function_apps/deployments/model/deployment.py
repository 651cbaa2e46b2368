"""RuntimeDeployment: one change of some modules of one environment, whole or rolled back."""

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime
from typing import Final

from function_apps.deployments.model.lifecycle import (
    TRANSITIONS,
    AnalysisRequested,
    AnalysisRestarted,
    Cancelled,
    DeploymentEvent,
    EnvironmentReady,
    HoldReleased,
    Paused,
    PolicyAndBinding,
    PromotionBegan,
    Rejected,
    ReleaseName,
    ReleaseProved,
    RestoreFailed,
    Retried,
    RollbackBegan,
    RollbackEnded,
    RolloutTerms,
    StepEvent,
    StepJudged,
    UnitPinned,
)
from function_apps.deployments.model.rollout_steps import RolloutStep, without_analysis
from shared.contracts.components import Component, ConfigurationChoice
from shared.contracts.deployments import Deploy, DeploymentKind, DeploymentStatus, EndReason
from shared.contracts.gates import Gate
from shared.contracts.promotions import SoakEvidence
from shared.contracts.releases import (
    ConfigurationPin,
    Hold,
    Proof,
    ReleasedComponent,
    ReleasedSecret,
    ReleaseUnit,
)
from shared.contracts.roll_outs import Relocation, SecretRollout
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
from shared.kernel.context import Context, NewIds
from shared.kernel.dataclass import dataclass
from shared.kernel.ids import deployment_id, parse_id


@dataclass(frozen=True)
class Origin:
    """The caller and the work it is part of: the trace goes from the command to the last event."""

    actor: str
    trace_id: str
    correlation_id: str
    causation_id: str | None = None


@dataclass(frozen=True)
class Deployment:
    """The aggregate. `order` has its modules, dependencies first; `previous` is what was in force.

    `unit` is fixed once an attempt, before anything is applied. `absent` says which parts of it
    nobody has provided yet, and the rule by which they will be.

    `pins` are the configurations of its modules, fixed when it was asked for. `secrets` are those
    of modules that get what an earlier release had, as it had them; others get what is bound to
    them. `secret` is what a deployment of kind secret brings, `relocation` the move that one of
    kind relocation is part of. `replaced_secrets` are those that `previous` had, where a rollback
    gives it other versions.

    Of a rollback: `replaces` are the revisions that it was asked to undo, `restores` the releases
    whose units it brings back, `terms` how those are rolled out, `jobs_left_out` the modules that
    had run to their end in those, `earlier` what was in force before them. `earlier_releases` names
    the releases of what an undo of this deployment goes back to. Of a repair, `replaces` is the
    revision that it is of, and `repaired_replicas` the number of instances that it is to bring.
    `scaled_at_source` are the modules that a policy scales where they are promoted from.
    `recorded` is what the releases that a rollback brings back had of policy and binding, and
    `live_replicas` the number of instances of what was in force when the unit was fixed.
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
    pins: Mapping[ModuleId, ConfigurationPin] = field(default_factory=dict)
    secrets: Mapping[ModuleId, tuple[ReleasedSecret, ...]] = field(default_factory=dict)
    secret: SecretRollout | None = None
    relocation: Relocation | None = None
    replaced_secrets: Mapping[ModuleId, tuple[ReleasedSecret, ...]] = field(default_factory=dict)
    evidence: SoakEvidence | None = None
    scaled_at_source: tuple[ModuleId, ...] = ()
    opened_at: Instant | None = None
    wait_name: str = ""
    paused_at: Instant | None = None
    unit: ReleaseUnit | None = None
    absent: tuple[Reason, ...] = ()
    previous: tuple[ReleasedComponent, ...] = ()
    previous_deployment_id: DeploymentId | None = None
    rolled_back_deployment_id: DeploymentId | None = None
    rolled_back_ref: str | None = None
    """The release of that deployment; None of a rollback from before this was recorded."""
    replaces: Mapping[ModuleId, int] = field(default_factory=dict)
    repaired_replicas: int | None = None
    restores: Mapping[ModuleId, DeploymentId] = field(default_factory=dict)
    terms: Mapping[ModuleId, RolloutTerms] = field(default_factory=dict)
    recorded: Mapping[ModuleId, PolicyAndBinding] = field(default_factory=dict)
    live_replicas: Mapping[ModuleId, int] = field(default_factory=dict)
    jobs_left_out: tuple[ModuleId, ...] = ()
    earlier: tuple[ReleasedComponent, ...] = ()
    earlier_releases: Mapping[ModuleId, ReleaseName] = field(default_factory=dict)
    steps: tuple[RolloutStep, ...] = ()
    reason: EndReason | None = None
    restored: ReleaseUnit | None = None
    proof: Proof | None = None
    holds: tuple[Hold, ...] = ()
    remaining: tuple[str, ...] = ()
    ended_at: Instant | None = None

    @property
    def modules(self) -> tuple[ModuleId, ...]:
        """All modules whose queues it enters."""
        modules = (*(component.module_id for component in self.components), *self.remove)
        subject = self.secret or self.relocation
        return modules or ((subject.module_id,) if subject else ())

    @property
    def released_components(self) -> tuple[ReleasedComponent, ...]:
        """The components of its unit, once that is fixed."""
        return self.unit.components if self.unit else ()

    @property
    def weight(self) -> int:
        """Percent of the requests that go to the new version."""
        if self.status in {DeploymentStatus.ROLLED_BACK, DeploymentStatus.ROLLING_BACK}:
            return 0
        return max((step.share for step in self.steps if step.started_at), default=0)

    @property
    def fence_token(self) -> int:
        return self.token

    @property
    def is_paused(self) -> bool:
        """Its step waits for a decision of a person."""
        return self.paused_at is not None

    def candidate(self, module: str) -> ReleasedComponent | None:
        """Return the component of *module* that this deployment releases."""
        return next(
            (component for component in self.released_components if component.module_id == module),
            None,
        )

    @property
    def renewed_revisions(self) -> Mapping[ModuleId, int]:
        """The revisions of what its rollback brings back with other versions of secrets."""
        return {
            component.module_id: component.release_revision
            for component in self.previous
            if component.module_id in self.replaced_secrets
        }

    def wanted_secrets(self, component: ReleasedComponent) -> tuple[ReleasedSecret, ...]:
        """Return the secrets that *component* is to have as a release before had them."""
        secrets = self.secrets if self.releases(component) else self.replaced_secrets
        return secrets.get(component.module_id, ())

    def recorded_of(self, component: ReleasedComponent) -> PolicyAndBinding:
        """Return what was recorded of the release that *component* is, or that it brings back."""
        recorded = self.recorded if self.releases(component) else {}
        return recorded.get(component.module_id, PolicyAndBinding.of(component))

    def terms_of(self, module: ModuleId) -> RolloutTerms:
        """Return how what it released, or brought back, of *module* is rolled out again."""
        return self.terms.get(module, RolloutTerms(self.strategy, self.gate))

    def brings_back(self, component: ReleasedComponent) -> bool:
        """Return whether *component* is of a release from before this deployment."""
        return self.kind is DeploymentKind.ROLLBACK or not self.releases(component)

    def releases(self, component: ReleasedComponent) -> bool:
        """Return whether *component* is its own, and not what was in force before."""
        own = self.candidate(component.module_id)
        return own is not None and own.release_revision == component.release_revision

    def before(self, module: str) -> ReleasedComponent | None:
        """Return what was in force of *module* when the unit was fixed."""
        return next(
            (component for component in self.previous if component.module_id == module), None
        )


def evolve(deployment: Deployment, event: DeploymentEvent, now: datetime) -> Deployment:
    """Return *deployment* after *event*, one revision later.

    Raises:
        TransitionRefused: the table has no row for its state and *event*.
    """
    moved = replace(
        deployment,
        status=TRANSITIONS.after(deployment.status, type(event)),
        revision=deployment.revision + 1,
        updated_at=now,
        ended_at=now if isinstance(event, _ENDS) else deployment.ended_at,
    )
    match event:
        case StepEvent() | Paused() | AnalysisRestarted() | PromotionBegan():
            return _after_step(moved, event, now)
        case ReleaseProved() | Rejected() | Cancelled() | RollbackEnded() | HoldReleased():
            return _after_end(moved, event)
        case _:
            return _after_preparation(moved, event)


_ENDS: Final = (ReleaseProved, Rejected, Cancelled, RollbackEnded)


def _after_preparation(moved: Deployment, event: DeploymentEvent) -> Deployment:
    match event:
        case EnvironmentReady(project, stage):
            return replace(moved, project_id=project, stage=stage)
        case UnitPinned():
            return replace(
                moved, unit=event.unit, absent=event.missing, previous=event.previous,
                previous_deployment_id=event.previous_deployment_id, earlier=event.earlier,
                earlier_releases=event.earlier_releases, live_replicas=event.live_replicas,
                terms=event.terms,
                steps=event.steps,
            )  # fmt: skip
        case RollbackBegan(reason, operation_id, token, previous, recorded):
            return replace(
                moved, reason=reason, operation_id=operation_id, token=token, wait_name="",
                paused_at=None, previous=previous, replaced_secrets=recorded,
            )  # fmt: skip
        case Retried(operation_id):
            return replace(
                moved, operation_id=operation_id, attempt=moved.attempt + 1, opened_at=None,
                unit=None, absent=(), previous=(), previous_deployment_id=None, earlier=(),
                replaced_secrets={}, live_replicas={},
                earlier_releases={}, steps=(), reason=None, restored=None, proof=None,
                remaining=(), ended_at=None, wait_name="",
            )  # fmt: skip
        case _:
            return moved


def _after_step(moved: Deployment, event: DeploymentEvent, now: datetime) -> Deployment:
    if isinstance(event, StepEvent):
        moved = replace(moved, steps=_with_step(moved, event.step))
    match event:
        case AnalysisRequested(_, wait_name):
            moved = replace(moved, wait_name=wait_name)
        case StepJudged() | PromotionBegan():
            moved = replace(moved, wait_name="")
        case Paused(wait_name):
            moved = replace(moved, paused_at=now, wait_name=wait_name)
        case AnalysisRestarted():
            steps = tuple(without_analysis(step) for step in moved.steps)
            moved = replace(moved, attempt=moved.attempt + 1, paused_at=None, steps=steps)
        case _:
            pass
    return moved


def _after_end(moved: Deployment, event: DeploymentEvent) -> Deployment:
    match event:
        case ReleaseProved(unit, proof, holds):
            return replace(moved, unit=unit, proof=proof, holds=holds)
        case Rejected(reason) | Cancelled(reason):
            return replace(moved, reason=reason)
        case RestoreFailed(proof, restored, reason, holds, remaining):
            return replace(
                moved, proof=proof, restored=restored, reason=reason, holds=holds,
                remaining=remaining,
            )  # fmt: skip
        case RollbackEnded(proof, restored, reason, holds):
            return replace(moved, proof=proof, restored=restored, reason=reason, holds=holds)
        case HoldReleased():
            return replace(moved, holds=())
        case _:
            return moved


def _with_step(deployment: Deployment, step: RolloutStep) -> tuple[RolloutStep, ...]:
    return tuple(step if step.index == other.index else other for other in deployment.steps)


def admitted(deployment: Deployment, token: int, now: datetime) -> Deployment:
    """Return *deployment* at the head of its queues, with its fencing token. No state changes."""
    opened_at = deployment.opened_at or now
    return replace(deployment, opened_at=opened_at, token=max(token, deployment.token))


def with_wait(
    deployment: Deployment, wait_name: str, step: RolloutStep | None = None
) -> Deployment:  # fmt: skip
    """Return *deployment* waiting for the external event *wait_name*. No state changes.

    *step* replaces the one that was polled.
    """
    steps = deployment.steps if step is None else _with_step(deployment, step)
    return replace(deployment, wait_name=wait_name, steps=steps)


def deploy_command(deployment: Deployment) -> Deploy:
    """Return the command that asks for *deployment*."""
    return Deploy(
        environment_id=deployment.environment_id,
        release_ref=deployment.release_ref,
        components=deployment.components,
        remove=deployment.remove,
        configuration=deployment.configuration,
        strategy=deployment.strategy,
        gate=deployment.gate,
        on_conflict=deployment.on_conflict,
        restart=deployment.restart,
    )


def new_deployment(
    command: Deploy,
    ids: NewIds,
    ctx: Context,
    *,
    kind: DeploymentKind,
    key: str,
    order: tuple[ModuleId, ...],
    project_id: ProjectId | None = None,
    stage: Stage | None = None,
    evidence: SoakEvidence | None = None,
    pins: Mapping[ModuleId, ConfigurationPin] | None = None,
) -> Deployment:
    """Return the deployment that *command* asks for, before it enters its queues."""
    cause, environment = ctx.cause, parse_id(command.environment_id).environment
    return Deployment(
        deployment_id=deployment_id(environment, ids.now, ctx.entropy),
        tenant_id=ctx.tenant,
        environment_id=command.environment_id,
        kind=kind,
        release_ref=command.release_ref,
        strategy=command.strategy,
        gate=command.gate,
        components=command.components,
        remove=command.remove,
        order=order,
        on_conflict=command.on_conflict,
        key=key,
        origin=Origin(cause.actor, cause.trace_id, cause.correlation_id, cause.causation_id),
        operation_id=ids.operation_id,
        created_at=ids.now,
        updated_at=ids.now,
        restart=command.restart,
        project_id=project_id,
        stage=stage,
        configuration=command.configuration,
        pins=pins or {},
        evidence=evidence,
    )
