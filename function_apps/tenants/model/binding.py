"""A tenant's binding to an environment: its states, and what each command makes of it. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from function_apps.tenants.errors import ConfirmationMissing, TenantBindingExists
from function_apps.tenants.model.environment import EnvironmentProjection
from function_apps.tenants.model.erasure import Erasure
from function_apps.tenants.model.proofs import FullQuota, LayerProof
from shared.contracts.environments import ComputeTarget, for_bound_tenants
from shared.contracts.isolation import IsolationLayer, Quota
from shared.contracts.tenants import BindTenant, MovePhase, SuspendedBy, TenantBindingStatus
from shared.contracts.validation import shown
from shared.contracts.values import IsolationModel, ModuleId, Reason, Stage
from shared.kernel.clock import isoformat
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Violation
from shared.kernel.ids import TenantId
from shared.kernel.transitions import Transitions

State = TenantBindingStatus


@dataclass(frozen=True)
class TenantBindingEvent:
    """Something that happened to a tenant's binding."""


@dataclass(frozen=True)
class IsolationApplied(TenantBindingEvent):
    """The tenant is isolated."""


@dataclass(frozen=True)
class IsolationFailed(TenantBindingEvent):
    """Its isolation could not be made, or not at all targets, or not be taken away."""


@dataclass(frozen=True)
class BindingRepeated(TenantBindingEvent):
    """It is asked for again, after its isolation failed or after it had ended."""


@dataclass(frozen=True)
class TenantSuspended(TenantBindingEvent):
    """The tenant deploys nothing and binds no secret there until it is resumed."""


@dataclass(frozen=True)
class TenantResumed(TenantBindingEvent):
    pass


@dataclass(frozen=True)
class UnbindingRequested(TenantBindingEvent):
    """The tenant's part of the environment is to be taken away."""


@dataclass(frozen=True)
class IsolationRemoved(TenantBindingEvent):
    """Nothing of the tenant is left in the environment of another one."""


@dataclass(frozen=True)
class EnvironmentEnded(TenantBindingEvent):
    """The environment was decommissioned, with all that was in it."""


@dataclass(frozen=True)
class MoveRequested(TenantBindingEvent):
    """The tenant is to be isolated by another model."""


@dataclass(frozen=True)
class MoveAdvanced(TenantBindingEvent):
    """A step of its move has begun, or could not be done."""


@dataclass(frozen=True)
class MoveTakenBack(TenantBindingEvent):
    """It keeps the model that it was to leave: a step failed, or a caller asked for that."""


@dataclass(frozen=True)
class MoveEnded(TenantBindingEvent):
    """Nothing of the model before is left."""


# What is not in this table cannot happen.
TRANSITIONS: Final[Transitions[State, TenantBindingEvent]] = Transitions(
    "a tenant binding",
    {
        State.BOUND: {
            IsolationApplied: State.ENFORCED,
            IsolationFailed: State.BOUND,
            BindingRepeated: State.BOUND,
            UnbindingRequested: State.UNBINDING,
            EnvironmentEnded: State.UNBOUND,
        },
        State.ENFORCED: {
            IsolationApplied: State.ENFORCED,
            IsolationFailed: State.ENFORCED,
            TenantSuspended: State.SUSPENDED,
            MoveRequested: State.MOVING,
            UnbindingRequested: State.UNBINDING,
            EnvironmentEnded: State.UNBOUND,
        },
        State.SUSPENDED: {
            TenantSuspended: State.SUSPENDED,
            TenantResumed: State.ENFORCED,
            UnbindingRequested: State.UNBINDING,
            EnvironmentEnded: State.UNBOUND,
        },
        State.MOVING: {
            MoveAdvanced: State.MOVING,
            MoveTakenBack: State.ENFORCED,
            MoveEnded: State.ENFORCED,
            EnvironmentEnded: State.UNBOUND,
        },
        State.UNBINDING: {
            IsolationRemoved: State.UNBOUND,
            IsolationFailed: State.UNBINDING,
            UnbindingRequested: State.UNBINDING,
            EnvironmentEnded: State.UNBOUND,
        },
        State.UNBOUND: {BindingRepeated: State.BOUND},
    },
)
ACTIVE: Final = frozenset(State) - {State.UNBOUND}
PROVED: Final = frozenset({State.ENFORCED, State.SUSPENDED, State.MOVING})
"""The states in which isolation is in force, and proved."""


@dataclass(frozen=True)
class Suspender:
    """A caller that suspended a tenant."""

    tenant_id: str
    actor: str

    @property
    def shown(self) -> SuspendedBy:
        """Return it as those see it who read the binding, or hear of it."""
        return SuspendedBy(tenant_id=TenantId(self.tenant_id), actor=self.actor)


@dataclass(frozen=True)
class Move:
    """A move of a tenant that is on its way; the binding has the model that it is moved to.

    `binding_revision` is the one by which modules are started again: those `asked` for are on their
    way, those `moved` have proved it.
    """

    origin: IsolationModel
    phase: MovePhase = MovePhase.PREPARING
    allow_downtime: bool = False
    binding_revision: int = 0
    asked: tuple[ModuleId, ...] = ()
    moved: tuple[ModuleId, ...] = ()


@dataclass(frozen=True)
class TenantBinding:
    """`asked_revision` is the last one at which isolation was to be made or taken away.

    `stage`, `compute_targets`, `namespace` and `identity` are the environment's: what it said last.
    `reason` has the words of who suspended or unbound it, or why its isolation failed.
    """

    binding_id: str
    tenant_id: str
    environment_id: str
    owner_tenant_id: str
    stage: Stage
    isolation_model: IsolationModel
    requires: tuple[IsolationLayer, ...]
    quota: Quota
    created_at: str
    updated_at: str
    compute_targets: tuple[ComputeTarget, ...] = ()
    status: State = State.BOUND
    revision: int = 1
    asked_revision: int = 1
    namespace: str | None = None
    identity: str | None = None
    reason: Reason | None = None
    proofs: tuple[LayerProof, ...] = ()
    full_quotas: tuple[FullQuota, ...] = ()
    """The surfaces on which the last look found nothing left of a measure of the quota."""
    suspended_by: Suspender | None = None
    """Kept when it is unbound, until its environment ends: to bind it again is to resume it."""
    generation: int = 0
    """Of the environment that it was bound to; 0 where that was not heard of yet."""
    due_at: str | None = None
    """The next look: at its isolation while that is in force, or at what is left of it."""
    erasure: Erasure | None = None
    """Of the last time that it was unbound; kept when it is bound again, once it is reported."""
    move: Move | None = None
    """While it is Moving."""
    taken_back: Reason | None = None
    """While it is Suspended: why it has the model that it was to leave."""

    @property
    def is_owner(self) -> bool:
        return self.tenant_id == self.owner_tenant_id

    def has_outlived(self, environment: EnvironmentProjection) -> bool:
        """Return whether the environment that it was bound to ended, and *environment* is anew."""
        return 0 < self.generation < environment.generation

    def is_known_to(self, tenant: str) -> bool:
        """Return whether *tenant* is bound by it, or owns the environment."""
        return tenant in {self.tenant_id, self.owner_tenant_id}


def asked_model(command: BindTenant, known: TenantBinding | None) -> IsolationModel | None:
    """Return the model that *command* names, or that of an active binding; None without either."""
    if command.isolation_model is not None or known is None or known.status not in ACTIVE:
        return command.isolation_model
    return known.isolation_model


def new_binding(
    command: BindTenant,
    model: IsolationModel,
    binding_id: str,
    *,
    tenant_id: str,
    environment: EnvironmentProjection,
    now: datetime,
) -> TenantBinding:
    """Return the binding that *command* asks for, before there is one.

    *environment* is as its owner knows it: of its targets a bound tenant knows less (ADR 0585).
    """
    targets = environment.compute_targets
    return TenantBinding(
        binding_id,
        tenant_id,
        command.environment_id,
        environment.owner,
        environment.stage,
        model,
        command.requires,
        command.quota,
        isoformat(now),
        isoformat(now),
        targets if tenant_id == environment.owner else for_bound_tenants(targets),
        generation=environment.generation,
    )


def request(known: TenantBinding | None, fresh: TenantBinding) -> TenantBinding:
    """Return the binding to be enforced; *known* itself where it is what *fresh* asks for.

    One whose isolation failed is tried again, also with other content.

    Raises:
        TenantBindingExists: it is active, with other content.
        TransitionRefused: it is being unbound.
    """
    if known is None:
        return fresh
    is_to_be_tried = known.status is State.BOUND and known.reason is not None
    if known.status in ACTIVE - {State.UNBINDING} and not is_to_be_tried:
        if found := differences(known, fresh):
            raise TenantBindingExists(known.binding_id, found)
        return known
    revision = known.revision + 1
    return replace(
        fresh,
        status=TRANSITIONS.after(known.status, BindingRepeated),
        revision=revision,
        asked_revision=revision,
        created_at=known.created_at,
        # Whoever heard of a proof ignores a later one whose revision is not higher.
        proofs=known.proofs,
        erasure=known.erasure if known.erasure and known.erasure.signed else None,
    )


def differences(known: TenantBinding, fresh: TenantBinding) -> Sequence[Violation]:
    """Return one violation for each field in which *fresh* differs from what is active."""
    now_of, asked_of = (each.quota.model_dump(by_alias=True) for each in (known, fresh))
    pairs = {
        "/isolationModel": (known.isolation_model, fresh.isolation_model),
        "/requires": (set(known.requires), set(fresh.requires)),
        **{f"/quota/{name}": (now_of[name], asked_of[name]) for name in now_of},
    }
    return [
        Violation("Differs", target, "differs from what is active", shown(now), shown(asked))
        for target, (now, asked) in pairs.items()
        if now != asked
    ]


def unbind(
    known: TenantBinding, confirm: str | None, reason: Reason, now: datetime
) -> TenantBinding:
    """Return *known* about to be unbound; itself where it is, or was.

    Where taking its isolation away failed before, that is asked for again.

    Raises:
        ConfirmationMissing: *confirm* is not the tenant.
    """
    if confirm != known.tenant_id:
        raise ConfirmationMissing(known.tenant_id, confirm, is_owner=known.is_owner)
    is_at_work = known.status is State.UNBINDING and not _has_failed(known)
    if known.status is State.UNBOUND or is_at_work:
        return known
    leaving = evolve(known, UnbindingRequested, now, reason)
    return replace(leaving, asked_revision=leaving.revision)


def _has_failed(known: TenantBinding) -> bool:
    return known.reason is not None and known.reason.code != UNBIND


UNBIND: Final = "UnboundByCaller"
"""The code of the reason that a caller gave."""


def evolve(
    known: TenantBinding, event: type[TenantBindingEvent], now: datetime, reason: Reason | None
) -> TenantBinding:
    """Return *known* after *event*, one revision later. Raises TransitionRefused."""
    status = TRANSITIONS.after(known.status, event)
    return replace(
        known,
        status=status,
        revision=known.revision + 1,
        updated_at=isoformat(now),
        reason=reason,
        due_at=(known.due_at or isoformat(now)) if status in PROVED else None,
    )
