"""Commands, events and resources of deployments: every change of a running workload."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from shared.contracts.components import Component, ConfigurationChoice, Hook
from shared.contracts.gates import Gate, GateEvidence, Verdict
from shared.contracts.operations import OperationSummary
from shared.contracts.promotions import SoakEvidence
from shared.contracts.releases import (
    ConfigurationPin,
    Hold,
    ModuleIds,
    Proof,
    ReleaseRef,
    ReleaseUnit,
)
from shared.contracts.roll_outs import Relocation, SecretRollout
from shared.contracts.shape import Command, Event, Resource, Value
from shared.contracts.strategies import OnConflict, Strategy, StrategyKind
from shared.contracts.values import (
    COMPONENTS_MAX,
    ConfigurationId,
    Count,
    DeploymentId,
    Digest,
    EnvironmentId,
    GateId,
    Instant,
    Label,
    ModuleId,
    OperationId,
    Percent,
    ProjectId,
    Reason,
    Revision,
    Stage,
    TenantId,
    Text,
)


class DeploymentStatus(StrEnum):
    """Paused, AwaitingApproval and Held are flags beside it."""

    REQUESTED = "Requested"
    PROVISIONING = "Provisioning"
    CONFIGURING = "Configuring"
    ROLLING_OUT = "RollingOut"
    HEALTH_GATING = "HealthGating"
    PROMOTING = "Promoting"
    COMPLETED = "Completed"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


class DeploymentKind(StrEnum):
    """What started it; all share one queue, one gate, one rollback, one history."""

    RELEASE = "release"
    CONFIGURATION = "configuration"
    SECRET = "secret"  # noqa: S105  a kind of deployment
    REPAIR = "repair"
    ROLLBACK = "rollback"
    RELOCATION = "relocation"


class Deploy(Command):
    """POST /deployments. The natural key: environment, modules with version and digest, pins."""

    environment_id: EnvironmentId
    """In a file: `environment`, its name; or `--env`."""
    release_ref: ReleaseRef
    """Your name of the release: a tag, a commit, a build. The command line makes one up."""
    components: Annotated[tuple[Component, ...], Field(max_length=COMPONENTS_MAX)] = ()
    """The modules that are deployed together; what is not named stays as it is."""
    configuration: ConfigurationChoice | None = None
    """Versions to pin instead of the newest that are recorded."""
    strategy: Strategy = Field(default_factory=Strategy)
    """How traffic moves to the new version."""
    gate: Gate = Field(default_factory=Gate)
    """What each step has to pass."""
    hooks: Annotated[tuple[Hook, ...], Field(max_length=20)] = ()
    """Programs around a rollout. Refused by the plan: not built yet."""
    remove: ModuleIds = ()
    """Modules to take away."""
    restart: bool = False
    """Also when nothing differs: new instances of the same release."""
    on_conflict: OnConflict = OnConflict.QUEUE
    """When another deployment changes a module. `supersede` is refused: not built yet."""
    dry_run: bool = False
    """Answer the plan, change nothing; `--dry-run`."""

    @model_validator(mode="after")
    def _modules_make_one_unit(self) -> Self:
        modules = [component.module_id for component in self.components]
        if not modules and not self.remove:
            raise ValueError("components or remove names at least one module")
        if len({*modules, *self.remove}) != len(modules) + len(self.remove):
            raise ValueError("each module stands once in components or remove")
        return self

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed and probably not meant."""
        modules = {component.module_id for component in self.components}
        elsewhere = (
            f"{component.module_id}: {needed} in dependsOn is not in this release: it orders"
            " nothing here"
            for component in self.components
            for needed in component.depends_on
            if needed not in {*modules, *self.remove}
        )
        own = (text for component in self.components for text in component.warnings)
        return (*own, *elsewhere)


class Rollback(Command):
    """POST …/rollback: to the last revision that was Completed and Healthy, or to one named."""

    to_deployment_id: DeploymentId | None = None
    reason: Text = ""
    dry_run: bool = False
    """Answer what it would take back, or refuse it as the request would be; change nothing."""


class RollbackDeployment(Rollback):
    deployment_id: DeploymentId


class DeploymentReason(Command):
    """POST …/pause, /resume, /retry and /release-hold."""

    reason: Text = ""


class Cancellation(DeploymentReason):
    """POST …/cancel."""

    dry_run: bool = False
    """Answer what stopping it would take back, or refuse it as the request would be."""


class DeploymentApproval(Command):
    """POST …/approve, for the step that waits."""

    step: Annotated[int, Field(ge=0, le=999)] | None = None
    comment: Text = ""


class DeploymentFacts(Event):
    """What every event of a deployment says; `aggregate_id` is the deployment's id.

    Each deployment is an aggregate of its own, so consumers order what they know of a module by
    the component's release revision, not by `revision`.
    """

    deployment_id: DeploymentId
    environment_id: EnvironmentId
    project_id: ProjectId | None
    stage: Stage | None
    """Both absent only while no event of the environment has come: it may be asked for later."""
    kind: DeploymentKind
    release_ref: ReleaseRef
    strategy: StrategyKind
    status: DeploymentStatus
    attempt: Annotated[int, Field(ge=1)] = 1
    modules: ModuleIds
    secret: SecretRollout | None = None
    """Of a deployment of kind secret."""
    relocation: Relocation | None = None
    """Of a deployment of kind relocation."""


class RuntimeDeploymentRequested(DeploymentFacts):
    waiting_for: Label | None = None


class ModuleRevision(Value):
    """The release revision that a deployment is bringing to a module."""

    module_id: ModuleId
    release_revision: Annotated[int, Field(ge=1)]


class RuntimeDeploymentStepChanged(DeploymentFacts):
    """Committed before the step acts, so that own work is never taken for drift."""

    project_id: ProjectId
    stage: Stage
    step: Annotated[int, Field(ge=0, le=999)]
    name: Label
    weight: Percent
    deadline_at: Instant | None = None
    release_revisions: Annotated[tuple[ModuleRevision, ...], Field(max_length=COMPONENTS_MAX)] = ()


class EndReason(Value):
    """Why a deployment ended otherwise than asked: a gate with its evidence, or a refusal."""

    code: Label
    message: Text
    gate_id: GateId | None = None
    evidence: Annotated[tuple[GateEvidence, ...], Field(max_length=COMPONENTS_MAX)] = ()


class DeploymentEnded(DeploymentFacts):
    """What is in force now that it ended; for a rolled back one that is the restored unit."""

    release_unit: ReleaseUnit | None
    """Absent when it ended before a unit was fixed."""
    previous_deployment_id: DeploymentId | None = None
    reason: EndReason | None = None
    proof: Proof | None = None
    ended_at: Instant


class DeploymentInForce(DeploymentEnded):
    """A deployment that ended with a release unit in force: its own, or the restored one."""

    project_id: ProjectId
    stage: Stage
    release_unit: ReleaseUnit

    @property
    def release_revisions(self) -> Mapping[str, int]:
        """The release revision of each module that is in force."""
        return {each.module_id: each.release_revision for each in self.release_unit.components}


class RuntimeDeploymentCompleted(DeploymentInForce):
    rolled_back_deployment_id: DeploymentId | None = None
    """Of a deployment of kind rollback: the one it undid."""
    configuration_id: ConfigurationId | None = None


class RuntimeDeploymentRolledBack(DeploymentInForce):
    holds: Annotated[tuple[Hold, ...], Field(max_length=COMPONENTS_MAX)] = ()
    rejected: ReleaseUnit | None = None
    """The unit that was rolled back."""


class RuntimeDeploymentFailed(DeploymentEnded):
    remaining: Annotated[tuple[Text, ...], Field(max_length=100)] = ()
    """What could not be removed; never silent."""


class RuntimeDeploymentCancelled(DeploymentEnded):
    """Canceled before anything was applied."""


class RuntimeEnvironmentDrained(Event):
    """Every workload of an environment that is being decommissioned is gone.

    `aggregate_id` is the environment's deployment target.
    """

    environment_id: EnvironmentId
    generation: Annotated[int, Field(ge=1)]
    removed: Count
    remaining: Annotated[tuple[Text, ...], Field(max_length=100)] = ()


class StepShare(Value):
    """Where ready capacity gave a module's new version another share than the step's weight."""

    module_id: ModuleId
    weight: Percent
    reason: Text


class DeploymentStep(Value):
    """One step as it went."""

    index: Annotated[int, Field(ge=0, le=999)]
    name: Label
    weight: Percent
    verdict: Verdict | None = None
    marked: bool = False
    """Passed although Inconclusive."""
    evidence: Annotated[tuple[GateEvidence, ...], Field(max_length=COMPONENTS_MAX)] = ()
    started_at: Instant | None = None
    ended_at: Instant | None = None
    shares: Annotated[tuple[StepShare, ...], Field(max_length=COMPONENTS_MAX)] = ()


class DeploymentApprovalGiven(Value):
    step: Annotated[int, Field(ge=0, le=999)]
    by: Label
    at: Instant
    comment: Text = ""


class Deployment(Resource):
    """GET /deployments/{deploymentId}."""

    deployment_id: DeploymentId
    tenant_id: TenantId
    environment_id: EnvironmentId
    project_id: ProjectId | None
    stage: Stage | None
    kind: DeploymentKind
    release_ref: ReleaseRef
    status: DeploymentStatus
    revision: Revision
    attempt: Annotated[int, Field(ge=1)]
    strategy: Strategy
    gate: Gate
    components: Annotated[tuple[Component, ...], Field(max_length=COMPONENTS_MAX)]
    remove: ModuleIds
    hooks: Annotated[tuple[Hook, ...], Field(max_length=20)]
    on_conflict: OnConflict
    paused: bool
    awaiting_approval: bool
    held: bool
    waiting_for: Label | None
    """`environment`, `binding`, `queue`, `gate`, `approval`, `capacity`, or nothing."""
    holder: DeploymentId | None
    """The deployment before it in the queue."""
    weight: Percent
    steps: Annotated[tuple[DeploymentStep, ...], Field(max_length=50)]
    configuration: ConfigurationPin | None
    configuration_id: ConfigurationId | None
    release_unit: ReleaseUnit | None
    previous_deployment_id: DeploymentId | None
    rolled_back_deployment_id: DeploymentId | None
    reason: EndReason | None
    proof: Proof | None
    holds: Annotated[tuple[Hold, ...], Field(max_length=COMPONENTS_MAX)]
    remaining: Annotated[tuple[Text, ...], Field(max_length=100)] = ()
    """Of a Failed deployment: what could not be removed."""
    absent: Annotated[tuple[Reason, ...], Field(max_length=10)] = ()
    """Parts of the release unit that no service provides yet, with the rule for when they do."""
    secret: SecretRollout | None = None
    """Of a deployment of kind secret: what it brings."""
    relocation: Relocation | None = None
    """Of a deployment of kind relocation: the move that it is part of."""
    soak: SoakEvidence | None = None
    """Of a promoted deployment: the verdict of health on its source."""
    approvals: Annotated[tuple[DeploymentApprovalGiven, ...], Field(max_length=20)]
    requested_by: Label
    created_at: Instant
    updated_at: Instant
    ended_at: Instant | None
    operation_id: OperationId
    operation: OperationSummary | None


class TakenBack(Value):
    """What a rollback takes back: a deployment that Completed, or one on its way."""

    deployment_id: DeploymentId
    kind: DeploymentKind
    release_ref: ReleaseRef
    modules: ModuleIds
    secret: SecretRollout | None = None
    """Of a deployment of kind secret."""


class DeploymentAccepted(Resource):
    """What a command that starts or finds a deployment answers at once; watch the operation."""

    deployment_id: DeploymentId
    environment_id: EnvironmentId
    kind: DeploymentKind
    release_ref: ReleaseRef
    status: DeploymentStatus
    waiting_for: Label | None
    holder: DeploymentId | None
    operation_id: OperationId
    taken_back: TakenBack | None = None
    """Of a rollback."""
    warnings: Annotated[tuple[Text, ...], Field(max_length=100)] = ()
    """What is allowed and probably not meant, as the dry run of the request says."""


class Artifact(Resource):
    """POST and GET /artifacts: content by digest."""

    digest: Digest
    size_bytes: Count
    media_type: Label
    created_at: Instant
