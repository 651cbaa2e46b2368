"""Commands, events and resources of environments: the infrastructure of an environment."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from shared.contracts.operations import OperationSummary
from shared.contracts.patterns import pattern
from shared.contracts.shape import Command, Event, Resource, Value
from shared.contracts.values import (
    ComputeTargetKind,
    Count,
    Digest,
    Duration,
    EnvironmentId,
    EnvironmentName,
    Instant,
    IsolationModel,
    Json,
    Label,
    OperationId,
    ProjectId,
    Reason,
    Region,
    Resources,
    Revision,
    Settings,
    Slug,
    Stage,
    Tags,
    TenantBindingId,
    TenantId,
    Text,
    Url,
)


class EnvironmentStatus(StrEnum):
    REQUESTED = "Requested"
    PLANNING = "Planning"
    AWAITING_APPROVAL = "AwaitingApproval"
    PROVISIONING = "Provisioning"
    PROVISIONED = "Provisioned"
    UPDATING = "Updating"
    FAILED = "Failed"
    DECOMMISSIONING = "Decommissioning"
    DECOMMISSIONED = "Decommissioned"
    DECOMMISSION_FAILED = "DecommissionFailed"


class UpdateOutcome(StrEnum):
    """How the last update ended; a failed one leaves the environment Provisioned."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class DataResourceKind(StrEnum):
    POSTGRESQL = "PostgreSql"
    SQL_DATABASE = "SqlDatabase"
    COSMOS_DB = "CosmosDb"
    BLOB_STORAGE = "BlobStorage"
    SERVICE_BUS = "ServiceBus"
    REDIS = "Redis"
    LOCAL_FOLDER = "LocalFolder"
    LOCAL_POSTGRES = "LocalPostgres"
    LOCAL_VALKEY = "LocalValkey"


class ComputeTargetSpec(Value):
    """A surface that the environment offers; at most one of each kind."""

    kind: ComputeTargetKind
    capacity: Resources | None = None
    """The total of all workloads on it."""
    settings: Settings = Field(default_factory=dict)


class DataResourceSpec(Value):
    kind: DataResourceKind
    name: Slug
    settings: Settings = Field(default_factory=dict)


ComputeTargets = Annotated[tuple[ComputeTargetSpec, ...], Field(min_length=1, max_length=5)]
DataResources = Annotated[tuple[DataResourceSpec, ...], Field(max_length=20)]
Tenants = Annotated[tuple[TenantId, ...], Field(max_length=200)]
Names = Annotated[tuple[Slug, ...], Field(max_length=20)]


class EnvironmentChange(Command):
    """The fields that may change after creation; PUT replaces all. Stage and region are fixed."""

    isolation_model: IsolationModel = IsolationModel.SHARED
    compute_targets: ComputeTargets
    data_resources: DataResources = ()
    delete_data: Names = ()
    """Data resources that may be deleted, with their content; no other one is."""
    protected: bool = False
    """Decommissioning then needs the name as confirmation."""
    ttl: Duration | None = None
    """From creation or the last extension; then the environment is decommissioned."""
    tags: Tags = Field(default_factory=dict)
    admits: Tenants = ()
    """Other tenants that may be bound to it."""
    plan_id: Label | None = None
    """What was approved; 412 if the state moved since."""
    dry_run: bool = False
    """Plan only; nothing is changed."""

    # Of the fields, not of the whole: they are said with all else that is wrong.
    @field_validator("compute_targets")
    @classmethod
    def _kinds_differ(cls, targets: ComputeTargets) -> ComputeTargets:
        if len({each.kind for each in targets}) != len(targets):
            raise ValueError("each kind stands there at most once")
        return targets

    @field_validator("data_resources")
    @classmethod
    def _names_differ(cls, resources: DataResources) -> DataResources:
        if len({each.name for each in resources}) != len(resources):
            raise ValueError("each name stands there at most once")
        return resources


class ProvisionEnvironment(EnvironmentChange):
    """POST /environments. The natural key is tenant, project and name."""

    name: EnvironmentName
    project_id: ProjectId
    stage: Stage
    region: Region


class UpdateEnvironment(EnvironmentChange):
    """PUT /environments/{environmentId}."""

    environment_id: EnvironmentId


class Decommissioning(Command):
    """The query of DELETE /environments/{environmentId}."""

    confirm: EnvironmentName | None = None
    """The environment's name; required when it is protected, prod, or loses data."""
    retain: Names = ()
    """Data resources that stay."""


class DecommissionEnvironment(Decommissioning):
    environment_id: EnvironmentId


class RepairEnvironment(Command):
    """Bring live resources back to the recorded stack: the URNs in `targets`, or all."""

    environment_id: EnvironmentId
    finding_ids: Annotated[tuple[Label, ...], Field(max_length=25)] = ()
    targets: Annotated[tuple[Text, ...], Field(max_length=100)] = ()
    reason: Text = ""


class Approval(Command):
    """POST …/approve, for an environment's plan."""

    plan_id: Label
    comment: Text = ""


class Extension(Command):
    """POST /environments/{environmentId}/extend."""

    ttl: Duration


class ComputeTarget(Value):
    """A surface that exists."""

    kind: ComputeTargetKind
    resource_ids: Annotated[tuple[Text, ...], Field(max_length=50)] = ()
    endpoint: Url | None = None
    capabilities: Annotated[tuple[Label, ...], Field(max_length=50)] = ()


def for_bound_tenants(targets: Sequence[ComputeTarget]) -> tuple[ComputeTarget, ...]:
    """Return *targets* with what another tenant than the owner of the environment may know."""
    return tuple(
        ComputeTarget(kind=each.kind, endpoint=each.endpoint, capabilities=each.capabilities)
        for each in targets
    )


class IsolationState(StrEnum):
    PENDING = "Pending"
    APPLIED = "Applied"
    FAILED = "Failed"
    REMOVED = "Removed"


class BindingIsolation(Value):
    """How far the isolation resources of one tenant binding are."""

    binding_id: TenantBindingId
    revision: Revision
    """Of the binding, for which its isolation was made or taken away."""
    state: IsolationState
    namespace: Slug | None = None
    """The tenant's own on the surface; absent where it has none to give."""
    identity: Label | None = None
    reason: Reason | None = None
    """Of Failed."""


class EnvironmentFacts(Event):
    """The fields of every event of an environment; `aggregate_id` is the environment's id."""

    environment_id: EnvironmentId
    owner_tenant_id: TenantId
    """Whose environment it is; differs from the envelope's tenant for a bound one."""
    name: EnvironmentName
    stage: Stage
    region: Region
    isolation_model: IsolationModel
    status: EnvironmentStatus
    generation: Annotated[int, Field(ge=1)]
    """Grows when a decommissioned environment is requested again."""


class RuntimeEnvironmentProvisioned(EnvironmentFacts):
    """On every change that leaves the environment usable."""

    compute_targets: Annotated[tuple[ComputeTarget, ...], Field(max_length=5)]
    data_resources: DataResources = ()
    capacities: Annotated[Mapping[ComputeTargetKind, Resources] | None, Field(max_length=5)] = None
    """The total of all workloads on each target that has one. Absent for another tenant than the
    owner, and from versions that did not tell it."""
    outputs: Annotated[Mapping[Label, Text], Field(max_length=50)] = Field(default_factory=dict)
    isolation: Annotated[tuple[BindingIsolation, ...], Field(max_length=200)] = ()
    """Of the binding of the tenant that the event is published to, and of no other."""
    admits: Tenants = ()
    """Told to the owner only."""
    pulumi_stack_ref: Label
    last_update: UpdateOutcome | None = None


class RuntimeEnvironmentStatusChanged(EnvironmentFacts):
    """Requested, Provisioning, AwaitingApproval, Updating or Decommissioning was entered."""

    reason: Reason | None = None


class RuntimeEnvironmentFailed(EnvironmentFacts):
    reason: Reason
    remaining: Annotated[tuple[Text, ...], Field(max_length=200)] = ()
    """URNs of the resources that are left."""


class RuntimeEnvironmentDecommissioned(EnvironmentFacts):
    reason: Reason | None = None
    remaining: Annotated[tuple[Text, ...], Field(max_length=200)] = ()
    """URNs of the resources that were retained."""


class PlannedAction(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    KEEP = "same"


class PlannedResource(Value):
    """One resource of the graph and what would happen to it."""

    urn: Text
    type: Label
    action: PlannedAction
    depends_on: Annotated[tuple[Text, ...], Field(max_length=50)] = ()
    changed: Annotated[tuple[Label, ...], Field(max_length=50)] = ()
    """Names of the properties that differ."""


class Refusal(Value):
    """A part of the request that cannot be honoured, and the alternative."""

    code: Label
    target: Text
    """JSON pointer into the request."""
    message: Text


class EnvironmentPlan(Resource):
    """What would happen; nothing was changed."""

    plan_id: Label
    plan_hash: Digest
    environment_id: EnvironmentId
    base_revision: Revision
    """The revision it was made against."""
    resources: Annotated[tuple[PlannedResource, ...], Field(max_length=1000)]
    refusals: Annotated[tuple[Refusal, ...], Field(max_length=100)] = ()
    monthly_cost: Annotated[float | None, Field(ge=0)] = None
    """In `currency`; absent when a price is not known, never guessed."""
    currency: Annotated[
        str,
        StringConstraints(
            pattern=pattern(r"^[A-Z]{3}$", "a currency of three capital letters, such as EUR")
        ),
    ] = "EUR"
    needs_approval: bool = False
    expires_at: Instant | None = None


class Environment(Resource):
    """GET /environments/{environmentId}."""

    environment_id: EnvironmentId
    tenant_id: TenantId
    project_id: ProjectId
    name: EnvironmentName
    stage: Stage
    region: Region
    status: EnvironmentStatus
    isolation_model: IsolationModel
    generation: Count
    revision: Revision
    compute_targets: ComputeTargets
    data_resources: DataResources
    retained: Annotated[tuple[DataResourceSpec, ...], Field(max_length=1000)]
    """Data of an earlier generation that stays until `deleteData` or `dataResources` names it."""
    protected: bool
    paused: bool
    ttl: Duration | None
    expires_at: Instant | None
    tags: Tags
    admits: Tenants
    provisioned: Annotated[tuple[ComputeTarget, ...], Field(max_length=5)]
    """The targets that exist."""
    outputs: Annotated[Mapping[Label, Json], Field(max_length=50)]
    isolation: Annotated[tuple[BindingIsolation, ...], Field(max_length=200)]
    pulumi_stack_ref: Label | None
    last_update: UpdateOutcome | None
    reason: Reason | None
    remaining: Annotated[tuple[Text, ...], Field(max_length=1000)]
    created_at: Instant
    updated_at: Instant
    decommissioned_at: Instant | None
    last_operation_id: OperationId | None
    last_operation: OperationSummary | None
