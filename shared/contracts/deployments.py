"""What deployments takes, tells and answers: every change of a running workload."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from shared.contracts.gates import Gate, GateEvidence, Verdict, Wait
from shared.contracts.operations import OperationSummary
from shared.contracts.releases import (
    Argv,
    ConfigurationPin,
    Environ,
    Hold,
    ModuleIds,
    PathPrefix,
    Proof,
    ReleasedComponent,
    ReleaseQuestion,
    ReleaseRef,
    ReleaseUnit,
)
from shared.contracts.shape import Command, Event, Resource, Value
from shared.contracts.values import (
    COMPONENTS_MAX,
    ComponentType,
    ComputeTargetKind,
    ConfigurationId,
    ConfigurationMode,
    Count,
    DeploymentId,
    Digest,
    DriftFindingId,
    EnvironmentId,
    GateId,
    Image,
    Instant,
    IsolationModel,
    Label,
    ModuleId,
    OperationId,
    Percent,
    Port,
    Probes,
    ProjectId,
    Reason,
    Replicas,
    Resources,
    Revision,
    SecretBindingId,
    Slug,
    Stage,
    TenantBindingId,
    TenantId,
    Text,
    Version,
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
    """What started it; all share one line, one gate, one rollback, one history."""

    RELEASE = "release"
    CONFIGURATION = "configuration"
    SECRET = "secret"  # noqa: S105  a kind of deployment
    REPAIR = "repair"
    ROLLBACK = "rollback"
    RELOCATION = "relocation"


class StrategyKind(StrEnum):
    CANARY = "canary"
    BLUE_GREEN = "blueGreen"
    ROLLING = "rolling"
    RECREATE = "recreate"


class OnConflict(StrEnum):
    """What to do when a module's line is taken."""

    QUEUE = "queue"
    SUPERSEDE = "supersede"
    """Cancels the queued, rolls the running one back first."""
    REJECT = "reject"
    """409 with the holder."""


class HookPoint(StrEnum):
    PRE_DEPLOY = "preDeploy"
    PRE_TRAFFIC = "preTraffic"
    POST_TRAFFIC = "postTraffic"
    ON_ROLLBACK = "onRollback"


class TrafficStep(Value):
    """Weight of the new version for all components, dependencies first, then the gate."""

    weight: Annotated[int, Field(ge=1, le=100)]
    """Percent of requests."""
    pause: Wait | None = None
    """At least this long at this weight."""


class Strategy(Value):
    """How traffic moves to the new version. Canary without steps has the default ones."""

    kind: StrategyKind = StrategyKind.CANARY
    steps: Annotated[tuple[TrafficStep, ...], Field(max_length=20)] = ()

    @model_validator(mode="after")
    def _weights_rise_to_all(self) -> Self:
        weights = [step.weight for step in self.steps]
        if weights and self.kind is StrategyKind.RECREATE:
            raise ValueError("a recreate has no steps: it stops the old version first")
        if any(later <= earlier for earlier, later in pairwise(weights)):
            raise ValueError("weights rise from step to step")
        if weights and weights[-1] != 100:  # noqa: PLR2004  percent
            raise ValueError("the last step has weight 100")
        return self


class Hook(Value):
    """A program that runs once per attempt, fenced."""

    point: HookPoint
    name: Slug
    module_id: ModuleId
    command: Annotated[tuple[Text, ...], Field(min_length=1, max_length=64)]
    timeout: Wait = timedelta(minutes=5)
    irreversible: bool = False
    """After it succeeded, rollback only to a unit that declares itself compatible."""


class Component(Value):
    """One module of a release, by image or by artifact, never both."""

    module_id: ModuleId
    component_type: ComponentType
    version: Version
    image: Image | None = None
    artifact_digest: Digest | None = None
    compute_target: ComputeTargetKind | None = None
    """Where it runs; the placement default when not given."""
    replicas: Replicas | None = None
    command: Argv = ()
    """How it starts; what the artifact or image says when empty."""
    port: Port | None = None
    """What it listens on; none for a worker."""
    path_prefix: PathPrefix | None = None
    """Where the environment's public port sends to it; reachable by its name only when absent."""
    environ: Environ = Field(default_factory=dict)
    release: ReleaseQuestion | None = None
    """For the proof, beside the digest that the surface checks."""
    probes: Probes = Field(default_factory=Probes)
    resources: Resources = Field(default_factory=Resources)
    depends_on: ModuleIds = ()
    configuration_mode: ConfigurationMode = ConfigurationMode.PINNED
    scheduled: bool = False
    """A scheduled or bursty job, for the placement default."""
    owner: Label | None = None
    compatible_with: Annotated[tuple[Version, ...], Field(max_length=20)] = ()
    """Versions whose irreversible changes it can live with."""

    @model_validator(mode="after")
    def _exactly_one_source(self) -> Self:
        if (self.image is None) == (self.artifact_digest is None):
            raise ValueError("exactly one of image and artifactDigest is given")
        return self


class ConfigurationChoice(Value):
    """Versions to pin instead of the head; `modules` overrides per module."""

    configuration_id: ConfigurationId | None = None
    tenant: Revision | None = None
    environment: Revision | None = None
    module: Revision | None = None


class Deploy(Command):
    """POST /deployments. The natural key: environment, modules with version and digest, pins."""

    environment_id: EnvironmentId
    release_ref: ReleaseRef
    components: Annotated[tuple[Component, ...], Field(max_length=COMPONENTS_MAX)] = ()
    configuration: ConfigurationChoice | None = None
    strategy: Strategy = Field(default_factory=Strategy)
    gate: Gate = Field(default_factory=Gate)
    hooks: Annotated[tuple[Hook, ...], Field(max_length=20)] = ()
    remove: ModuleIds = ()
    restart: bool = False
    """Also when nothing differs: new instances of the same release."""
    on_conflict: OnConflict = OnConflict.QUEUE
    dry_run: bool = False

    @model_validator(mode="after")
    def _modules_make_one_unit(self) -> Self:
        modules = [component.module_id for component in self.components]
        if not modules and not self.remove:
            raise ValueError("components or remove names at least one module")
        if len({*modules, *self.remove}) != len(modules) + len(self.remove):
            raise ValueError("each module stands once in components or remove")
        return self


class Rollback(Command):
    """POST …/rollback: to the last revision that was Completed and Healthy, or to one named."""

    to_deployment_id: DeploymentId | None = None
    reason: Text = ""


class RollbackDeployment(Rollback):
    deployment_id: DeploymentId


class SoakEvidence(Value):
    """Health's word on the source of a promotion: Completed and Healthy for so long."""

    deployment_id: DeploymentId
    stage: Stage
    healthy_since: Instant
    checked_at: Instant
    required: Wait


class Promotion(Command):
    """POST …/promote: the same digests to the next environment."""

    to_environment_id: EnvironmentId
    strategy: Strategy | None = None
    gate: Gate | None = None
    on_conflict: OnConflict = OnConflict.QUEUE
    dry_run: bool = False


class PromoteDeployment(Promotion):
    deployment_id: DeploymentId
    evidence: SoakEvidence | None = None
    """Asked of health before the command is handled, so that it needs no call."""


class DeploymentReason(Command):
    """POST …/pause, /resume, /cancel, /retry and /release-hold."""

    reason: Text = ""


class DeploymentApproval(Command):
    """POST …/approve, for the step that waits."""

    step: Annotated[int, Field(ge=0, le=999)] | None = None
    comment: Text = ""


class RollOutConfiguration(Command):
    """Bring a configuration version to the modules that float (all of them when none named)."""

    environment_id: EnvironmentId
    configuration_id: ConfigurationId
    version: Annotated[int, Field(ge=1)]
    content_hash: Digest
    modules: ModuleIds = ()


class RollOutSecretVersion(Command):
    """Bring a secret's version to one consumer."""

    environment_id: EnvironmentId
    module_id: ModuleId
    binding_id: SecretBindingId
    secret_name: Label
    version: Label
    canary: bool = False


class RelocateWorkload(Command):
    """Cut one module over to what a moved tenant binding gives it."""

    environment_id: EnvironmentId
    module_id: ModuleId
    tenant_binding_id: TenantBindingId
    binding_revision: Annotated[int, Field(ge=1)]
    isolation_model: IsolationModel
    namespace: Slug | None = None


class RemediateDrift(Command):
    """Bring a workload back to its recorded release unit, because drift found it different."""

    environment_id: EnvironmentId
    module_id: ModuleId
    finding_id: DriftFindingId
    path: Text
    recorded_revision: Annotated[int, Field(ge=1)]
    """The release revision drift compared with; when it moved on, there is nothing to repair."""
    reason: Text = ""


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


class RuntimeDeploymentCompleted(DeploymentEnded):
    project_id: ProjectId
    stage: Stage
    release_unit: ReleaseUnit
    rolled_back_deployment_id: DeploymentId | None = None
    """Of a deployment of kind rollback: the one it undid."""
    configuration_id: ConfigurationId | None = None


class RuntimeDeploymentRolledBack(DeploymentEnded):
    project_id: ProjectId
    stage: Stage
    release_unit: ReleaseUnit
    holds: Annotated[tuple[Hold, ...], Field(max_length=COMPONENTS_MAX)] = ()
    rejected: ReleaseUnit | None = None
    """The unit that was turned back."""


class RuntimeDeploymentFailed(DeploymentEnded):
    remaining: Annotated[tuple[Text, ...], Field(max_length=100)] = ()
    """What is left where it should not be; never silent."""


class RuntimeDeploymentCancelled(DeploymentEnded):
    """Cancelled before anything was applied."""


class RuntimeEnvironmentDrained(Event):
    """Every workload of an environment that is being decommissioned is gone.

    `aggregate_id` is the environment's deployment target.
    """

    environment_id: EnvironmentId
    generation: Annotated[int, Field(ge=1)]
    removed: Count
    remaining: Annotated[tuple[Text, ...], Field(max_length=100)] = ()


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
    """`environment`, `binding`, `line`, `approval`, `capacity`, or nothing."""
    holder: DeploymentId | None
    """Who is before it in a line."""
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
    """What is left where it should not be, of a Failed one."""
    absent: Annotated[tuple[Reason, ...], Field(max_length=10)] = ()
    """Parts of the release unit that nobody has provided, with the rule by which they will be."""
    soak: SoakEvidence | None = None
    """Health's word on the source, of a promoted one."""
    approvals: Annotated[tuple[DeploymentApprovalGiven, ...], Field(max_length=20)]
    requested_by: Label
    created_at: Instant
    updated_at: Instant
    ended_at: Instant | None
    operation_id: OperationId
    operation: OperationSummary | None


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


class DeploymentPlan(Resource):
    """What a deployment would do (`dryRun`); nothing was changed."""

    environment_id: EnvironmentId
    release_ref: ReleaseRef
    strategy: Strategy
    components: Annotated[tuple[ReleasedComponent, ...], Field(max_length=COMPONENTS_MAX)]
    order: ModuleIds
    """Dependencies first."""
    refusals: Annotated[tuple[Reason, ...], Field(max_length=100)]
    waiting_for: Label | None


class Artifact(Resource):
    """POST and GET /artifacts: content by digest."""

    digest: Digest
    size_bytes: Count
    media_type: Label
    created_at: Instant


@dataclass(frozen=True)
class RolloutDefaults:
    """Numbers of a rollout where nobody said otherwise; the local profile shortens the waits."""

    canary_weights: tuple[int, ...] = (10, 50, 100)
    drain: timedelta = timedelta(seconds=30)
    """Old instances stay this long after the last shift."""
    step_attempts: int = 5
    step_retry_first: timedelta = timedelta(seconds=2)
    step_retry_longest: timedelta = timedelta(minutes=2)
    """Exponential in between; after the last attempt the rollout rolls back."""
    environment_wait: timedelta = timedelta(hours=24)
    """For an environment that is on its way."""
    unknown_environment_wait: timedelta = timedelta(minutes=2)
    """Then Failed with `EnvironmentUnknown`."""
    releases_kept: int = 10
    """For rollback, at least."""

    def steps(self) -> tuple[TrafficStep, ...]:
        """Return the canary's default steps."""
        return tuple(TrafficStep(weight=weight) for weight in self.canary_weights)


@dataclass(frozen=True)
class SoakDefaults:
    """How long a release is Completed and Healthy before it is promoted from a stage."""

    dev: timedelta = timedelta(0)
    test: timedelta = timedelta(minutes=5)
    staging: timedelta = timedelta(minutes=30)

    def of(self, stage: Stage) -> timedelta:
        """Return the soak time at *stage*; nothing is promoted from prod, so its is staging's."""
        match stage:
            case Stage.DEV:
                return self.dev
            case Stage.TEST:
                return self.test
            case Stage.STAGING | Stage.PROD:
                return self.staging


LOCAL_ROLLOUT: Final = RolloutDefaults(
    drain=timedelta(seconds=3), step_retry_longest=timedelta(seconds=15)
)
LOCAL_SOAK: Final = SoakDefaults(test=timedelta(seconds=10), staging=timedelta(seconds=30))
"""On one machine people watch; both are printed where they are used."""
