"""Commands, events and resources of tenants: who may use an environment, and how isolated."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from shared.contracts.environments import ComputeTarget
from shared.contracts.isolation import IsolationLayer, Quota
from shared.contracts.shape import Command, Event, ForeignEvent, Resource, Value
from shared.contracts.values import (
    ComputeTargetKind,
    Count,
    Digest,
    EnvironmentId,
    Instant,
    IsolationModel,
    Label,
    ModuleId,
    OperationId,
    Reason,
    Revision,
    Slug,
    Stage,
    TenantBindingId,
    TenantId,
    Text,
)
from shared.kernel import ids
from shared.kernel.errors import Invalid


class TenantBindingStatus(StrEnum):
    BOUND = "Bound"
    ENFORCED = "Enforced"
    SUSPENDED = "Suspended"
    MOVING = "Moving"
    UNBINDING = "Unbinding"
    UNBOUND = "Unbound"


class MovePhase(StrEnum):
    """Of Moving; back from any before Cleaning."""

    PREPARING = "Preparing"
    COPYING = "Copying"
    CATCHING_UP = "CatchingUp"
    CUT_OVER = "CutOver"
    VERIFYING = "Verifying"
    CLEANING = "Cleaning"


class ProofVerdict(StrEnum):
    PASS = "Pass"  # noqa: S105  a verdict
    BREACH = "Breach"
    INDETERMINATE = "Indeterminate"
    """The surface did not answer, or what is open was open in one reading only."""


Layers = Annotated[tuple[IsolationLayer, ...], Field(max_length=6)]


class BindTenant(Command):
    """POST /tenant-bindings. The natural key: tenant and environment."""

    tenant_id: TenantId | None = None
    """The caller's own when not given; only `runtime.admin` names another."""
    environment_id: EnvironmentId
    owner_tenant_id: TenantId | None = None
    """Whose environment it is, when it is not the bound tenant's own."""
    isolation_model: IsolationModel | None = None
    """That of an active binding when not given, else that which the tenant was provisioned with;
    without either it is shared."""
    requires: Layers = ()
    quota: Quota = Field(default_factory=Quota)
    dry_run: bool = False


class BindingMove(Command):
    """POST /tenant-bindings/{tenantBindingId}/move: another model inside one environment.

    The model that a move on its way comes from takes it back.
    """

    isolation_model: IsolationModel
    reason: Text = ""
    allow_downtime: bool = False
    """Also where a module that takes requests is stopped before it is started again."""
    tenant_id: TenantId | None = None
    """The caller's own when not given; `runtime.admin` of the environment's owner names another."""
    dry_run: bool = False


class MoveTenant(BindingMove):
    binding_id: TenantBindingId


class AdvanceMove(Command):
    """Tenants to itself: go on with the move of this binding, where it is on its way.

    Of deployments it is the answer to `ConfirmCutOver`: all that is on its way began by the binding
    at `confirmed_revision` or later.
    """

    binding_id: TenantBindingId
    confirmed_revision: Annotated[int, Field(ge=1)] | None = None


class Unbinding(Command):
    """The query of DELETE /tenant-bindings/{tenantBindingId}."""

    confirm: TenantId | None = None
    """The tenant; always required."""
    reason: Text = ""
    tenant_id: TenantId | None = None
    """The caller's own when not given; `runtime.admin` of the environment's owner names another."""


class UnbindTenant(Unbinding):
    binding_id: TenantBindingId


class Suspension(Command):
    """POST …/suspend and …/resume."""

    reason: Text
    tenant_id: TenantId | None = None
    """The caller's own when not given; `runtime.admin` of the environment's owner names another."""


class SuspendedBy(Value):
    """Who suspended a tenant; kept when it is unbound, as to bind it again is to resume it."""

    tenant_id: TenantId
    """The bound tenant, or the owner of the environment."""
    actor: Text


class RuntimeTenantBound(Event):
    """On every change of a binding; `status` says which, `aggregate_id` is its id."""

    binding_id: TenantBindingId
    environment_id: EnvironmentId
    owner_tenant_id: TenantId
    isolation_model: IsolationModel
    namespace: Slug | None = None
    identity: Label | None = None
    quota: Quota = Field(default_factory=Quota)
    status: TenantBindingStatus
    asked_revision: Revision
    """The last one at which its isolation was to be made or taken away: only a newer one begins."""
    phase: MovePhase | None = None
    suspended_by: SuspendedBy | None = None
    stage: Stage
    compute_targets: Annotated[tuple[ComputeTarget, ...], Field(max_length=5)] = ()


class TenantIsolationProofCompleted(Event):
    """A layer has another verdict; `aggregate_id` is the binding's proof of that layer.

    The live boundary of the tenant was read and compared with the binding, and where a surface can,
    it was tried from inside or in dry runs.
    """

    binding_id: TenantBindingId
    environment_id: EnvironmentId
    layer: IsolationLayer
    verdict: ProofVerdict
    positive_control: bool
    """What was read answered, so that it could have shown a breach: the surface, or where none
    isolates the layer any more, the targets of the environment."""
    evidence: Annotated[tuple[Text, ...], Field(max_length=20)] = ()
    evidence_blob: Digest | None = None
    checked_at: Instant


def require_own_binding(
    event: RuntimeTenantBound | TenantIsolationProofCompleted, tenant: ids.TenantId
) -> None:
    """Refuse what is said of a binding that is not the one of *tenant* and its environment.

    Raises:
        Invalid: recorded here, it would take the place of the tenant's own.
    """
    key = ids.parse_id(event.environment_id, "env").environment
    expected = ids.tenant_binding_id(key, tenant)
    if event.binding_id != expected:
        raise Invalid(
            f"{event.binding_id} is not the binding of {tenant} to {event.environment_id}:"
            f" expected {expected}",
            target="bindingId",
        )


class TenantProvisioned(ForeignEvent):
    """From the control plane: a tenant exists, to be isolated so where nobody asks otherwise."""

    tenant_id: TenantId
    name: Text = ""
    isolation_model: IsolationModel | None = None


class IsolationProof(Value):
    layer: IsolationLayer
    verdict: ProofVerdict
    positive_control: bool
    evidence: Annotated[tuple[Text, ...], Field(max_length=20)] = ()
    checked_at: Instant
    raised_at: Instant | None = None
    """Since when its alert `IsolationBreached` is raised."""


class IsolationProofs(Resource):
    """GET /tenant-bindings/{tenantBindingId}/proofs: the last proof of each layer."""

    binding_id: TenantBindingId
    value: Annotated[tuple[IsolationProof, ...], Field(max_length=6)]


class RuntimeTenantBinding(Resource):
    """GET /tenant-bindings/{tenantBindingId}."""

    binding_id: TenantBindingId
    tenant_id: TenantId
    environment_id: EnvironmentId
    owner_tenant_id: TenantId
    stage: Stage
    isolation_model: IsolationModel
    requires: Layers
    namespace: Slug | None
    identity: Label | None
    quota: Quota
    quota_full: Annotated[tuple[Label, ...], Field(max_length=4)]
    """The measures of it of which the last look at the surfaces found nothing left."""
    status: TenantBindingStatus
    suspended_by: SuspendedBy | None
    phase: MovePhase | None
    moved: Annotated[tuple[ModuleId, ...], Field(max_length=500)]
    proofs: Annotated[tuple[IsolationProof, ...], Field(max_length=6)]
    reason: Reason | None
    revision: Revision
    created_at: Instant
    updated_at: Instant
    last_operation_id: OperationId | None


class Ending(StrEnum):
    """How a binding ended, which says what of the tenant's goes with it."""

    GUEST_LEFT = "GuestLeft"
    """The environment is another tenant's: what was the guest's is taken away."""
    ENVIRONMENT_ENDED = "EnvironmentEnded"
    """The tenant's own environment was decommissioned, with all that was in it."""
    OWNER_UNBOUND = "OwnerUnbound"
    """The tenant's own environment goes on, with all that is in it: only the quota goes."""


class ErasedKind(StrEnum):
    """A kind of thing that a tenant may have in an environment."""

    INSTANCES = "instances"
    OUTPUT = "output"
    """What instances wrote to their standard output."""
    ROUTES = "routes"
    NAMESPACE = "namespace"
    IDENTITY = "identity"
    NETWORK_POLICY = "networkPolicy"
    QUOTA = "quota"
    DATA = "data"
    """Data folders, and databases with what is in them."""
    SECRETS = "secrets"
    """Secrets and logins."""
    CONFIGURATIONS = "configurations"


class ErasureOutcome(StrEnum):
    REMOVED = "Removed"
    """A look after the removal found none."""
    NOT_LOOKED_AT = "NotLookedAt"
    """Nobody who makes the report has seen whether it is gone."""
    NEVER_GIVEN = "NeverGiven"
    """There it is nothing that a tenant is given."""
    KEPT = "Kept"


class Erased(Value):
    """One kind of thing, on one target where it is of a target."""

    kind: ErasedKind
    target: ComputeTargetKind | None = None
    outcome: ErasureOutcome
    evidence: Text
    """What the look showed; or why there was none, and where else it can be seen."""
    looked_at: Instant | None = None


class KeptRecord(Value):
    """What the platform keeps of the tenant in its own stores."""

    service: Label
    kinds: Annotated[tuple[Label, ...], Field(max_length=20)]
    days: Count | None
    """Counted from the end of each; absent: without an end."""
    reason: Text


class ErasureStatement(Resource):
    """What became of all that a tenant had in an environment: the signed part of the report."""

    binding_id: TenantBindingId
    revision: Revision
    """Of the binding, when it became Unbound."""
    tenant_id: TenantId
    environment_id: EnvironmentId
    owner_tenant_id: TenantId
    stage: Stage
    isolation_model: IsolationModel
    namespace: Slug | None
    identity: Label | None
    """As they were."""
    ending: Ending
    reason: Reason | None
    bound_at: Instant
    """The first time."""
    unbound_at: Instant
    reported_at: Instant
    erased: Annotated[tuple[Erased, ...], Field(max_length=200)]
    retained: Annotated[tuple[Text, ...], Field(max_length=200)]
    """URNs of resources that the decommissioning of the environment left, as they are protected."""
    kept: Annotated[tuple[KeptRecord, ...], Field(max_length=100)]


class ErasureReport(ErasureStatement):
    """GET /tenant-bindings/{tenantBindingId}/erasure-report."""

    signature: Annotated[str, Field(max_length=1024 * 1024)]
    """A JWS (RFC 7515, compact) whose payload is the statement, as JSON."""


class PublicKey(Value):
    """A public key on P-256, as a JWK."""

    kid: Label
    kty: Label
    crv: Label
    x: Label
    y: Label
    use: Label
    alg: Label


class SigningKeySet(Resource):
    """GET /erasure-keys: the public keys of reports, as a JWKS (RFC 7517)."""

    keys: Annotated[tuple[PublicKey, ...], Field(max_length=100)]
