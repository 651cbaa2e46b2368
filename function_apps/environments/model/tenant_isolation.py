"""The isolation of one tenant in one environment, as its binding asks for it. Pure."""

from dataclasses import field, replace
from datetime import datetime, timedelta
from typing import Final

from shared.contracts.environments import BindingIsolation, IsolationState
from shared.contracts.isolation import Quota
from shared.contracts.tenants import MovePhase, RuntimeTenantBound, TenantBindingStatus
from shared.contracts.values import ComputeTargetKind, IsolationModel, Reason
from shared.kernel.clock import isoformat
from shared.kernel.dataclass import dataclass

_BEGINS: Final = frozenset(TenantBindingStatus) - {TenantBindingStatus.UNBOUND}
"""The statuses of a binding with which a new request has its isolation made, or taken away.

Enforced and Suspended ask for it where a move was taken back."""
_IN_FORCE: Final = frozenset({TenantBindingStatus.ENFORCED, TenantBindingStatus.SUSPENDED})
_RETRY_MAX: Final = timedelta(hours=1)


@dataclass(frozen=True)
class TenantIsolation:
    """`isolation/{binding}`, in the partition of the bound tenant.

    `revision` is the last one of the binding that was heard of, `asked` the one that the work of
    `operation_id` is for. `targets` are those where it is in force. `told` numbers what the tenant
    of a binding to another one's environment is told of that environment, and `owner_revision` says
    of which of its revisions that was.
    """

    binding_id: str
    tenant_id: str
    environment_id: str
    owner_tenant_id: str
    quota: Quota
    status: TenantBindingStatus
    revision: int
    asked: int
    operation_id: str
    fence: int = 1
    generation: int = 1
    """Grows with each binding to another tenant's environment, which is gone for it between two."""
    state: IsolationState = IsolationState.PENDING
    namespace: str | None = None
    identity: str | None = None
    reason: Reason | None = None
    targets: tuple[ComputeTargetKind, ...] = field(default=())
    drained: bool = False
    """Nothing of the tenant runs there: also where that was heard before it is to leave."""
    told: int = 0
    owner_revision: int = 0
    failures: int = 0
    """In a row, since it was asked for or was in force."""
    model: IsolationModel = IsolationModel.SHARED
    due_at: str | None = None
    """From then on the environment is looked at, without a write: its targets, and the facts of
    another tenant's. After a failure that is the next try of what is in force elsewhere."""

    @property
    def fence_token(self) -> int:
        return self.fence

    @property
    def is_foreign(self) -> bool:
        """The environment is another tenant's."""
        return self.tenant_id != self.owner_tenant_id

    @property
    def keeps_alone(self) -> bool:
        """Its environment, once that is noted there, is a silo until nothing of it is left."""
        return self.model is IsolationModel.SILO and self.state is not IsolationState.REMOVED

    @property
    def is_leaving(self) -> bool:
        return self.status is TenantBindingStatus.UNBINDING

    @property
    def is_retried(self) -> bool:
        """It failed at targets that were added while it was in force at others."""
        return self.state is IsolationState.FAILED and self.status in _IN_FORCE

    @property
    def shown(self) -> BindingIsolation:
        """The part of it that an event of the environment has."""
        return BindingIsolation.model_validate(
            {
                "bindingId": self.binding_id,
                "revision": self.asked,
                "state": self.state,
                "namespace": self.namespace,
                "identity": self.identity,
                "reason": self.reason,
            }
        )


def on_binding(
    known: TenantIsolation | None, event: RuntimeTenantBound, tenant_id: str, operation_id: str
) -> TenantIsolation | None:
    """Return the isolation after news of its binding; None when news as new are known.

    Where it is asked for anew, to be made or taken away, *operation_id* has it from then on. A
    binding that tells of a failure, or of other targets, asks for nothing.
    """
    if known is not None and known.revision >= event.revision:
        return None
    is_asked = known is None or event.asked_revision > known.asked
    if known is not None and not (is_asked and event.status in _BEGINS):
        ended = event.status is TenantBindingStatus.UNBOUND
        due_at = None if ended else known.due_at
        return replace(known, status=event.status, revision=event.revision, due_at=due_at)
    is_alone = known is not None and known.keeps_alone and _is_leaving_later(event)
    fresh = TenantIsolation(
        event.binding_id,
        tenant_id,
        event.environment_id,
        event.owner_tenant_id,
        event.quota,
        event.status,
        event.revision,
        event.asked_revision,
        operation_id,
        model=IsolationModel.SILO if is_alone else event.isolation_model,
    )
    if known is None:
        return fresh
    return replace(
        fresh,
        fence=known.fence + 1,
        generation=known.generation + (known.state is IsolationState.REMOVED),
        namespace=known.namespace,
        identity=known.identity,
        targets=known.targets,
        drained=known.drained and fresh.is_leaving,
        told=known.told,
        owner_revision=known.owner_revision,
    )


def _is_leaving_later(event: RuntimeTenantBound) -> bool:
    """Return whether the tenant is moved, and may still go back to the model that it has."""
    is_moving = event.status is TenantBindingStatus.MOVING
    return is_moving and event.phase is not MovePhase.CLEANING


def failed(
    known: TenantIsolation, reason: Reason, now: datetime, follow_every: timedelta
) -> TenantIsolation:
    """Return *known*, Failed; its environment is looked at later with each failure in a row."""
    wait = min(follow_every * 2 ** min(known.failures, 20), _RETRY_MAX)
    return replace(
        known,
        state=IsolationState.FAILED,
        reason=reason,
        failures=known.failures + 1,
        due_at=isoformat(now + wait),
    )


def begun_again(known: TenantIsolation, operation_id: str) -> TenantIsolation:
    """Return *known*, which *operation_id* makes again: the environment has other targets."""
    return replace(
        known, operation_id=operation_id, fence=known.fence + 1, state=IsolationState.PENDING
    )


def to_be_made_again(known: TenantIsolation, now: datetime) -> TenantIsolation:
    """Return *known* as if it were on no surface; itself where it is not in force, or at work.

    The next look at its environment then has it made on each.
    """
    is_in_force = known.state is IsolationState.APPLIED or known.is_retried
    return replace(known, targets=(), due_at=isoformat(now)) if is_in_force else known


def with_next_told(known: TenantIsolation, owner_revision: int) -> TenantIsolation:
    """Return *known* with the next number for what its tenant is told of the environment."""
    return replace(known, told=known.told + 1, owner_revision=owner_revision)
