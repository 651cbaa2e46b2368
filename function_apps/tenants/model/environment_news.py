"""The effect of its environment's events on a tenant's binding. Pure."""

from dataclasses import replace
from datetime import datetime

from function_apps.tenants.model import move
from function_apps.tenants.model.binding import (
    EnvironmentEnded,
    IsolationApplied,
    IsolationFailed,
    IsolationRemoved,
    State,
    TenantBinding,
    evolve,
)
from function_apps.tenants.model.environment import EnvironmentProjection
from function_apps.tenants.model.erasure import Erasure
from function_apps.tenants.model.move import TAKEN_BACKS
from shared.contracts.environments import BindingIsolation, IsolationState
from shared.contracts.tenants import Ending
from shared.kernel.clock import isoformat


def on_environment(
    known: TenantBinding, environment: EnvironmentProjection, now: datetime
) -> TenantBinding:
    """Return *known* after news of its environment; itself where they change nothing of it."""
    if known.status is State.UNBOUND:
        return known
    if not environment.is_open:
        # Why it was suspended, or not isolated, says nothing of its end.
        why = known.reason if known.status is State.UNBINDING else None
        ended = evolve(known, EnvironmentEnded, now, why)
        # A guest whose isolation was removed hears the same, and its environment may be there.
        by = None if known.is_owner else known.suspended_by
        ended = replace(ended, suspended_by=by, move=None)
        ending = Ending.ENVIRONMENT_ENDED if known.is_owner else Ending.GUEST_LEFT
        return _to_be_looked_at(ended, ending, environment.retained)
    isolation = environment.isolation_of(known.binding_id)
    after = known
    if isolation is not None and isolation.revision >= known.asked_revision:
        match known.status:
            case State.MOVING:
                after = move.on_isolation(known, isolation, now)
            case State.SUSPENDED:
                after = _while_suspended(known, isolation, now)
            case _:
                after = _on_isolation(known, isolation, now)
    told = replace(after, compute_targets=environment.compute_targets)
    if told == after or after is not known:
        return told
    return replace(told, revision=known.revision + 1, updated_at=isoformat(now))


def _on_isolation(
    known: TenantBinding, isolation: BindingIsolation, now: datetime
) -> TenantBinding:
    match isolation.state, known.status:
        case IsolationState.APPLIED, State.BOUND | State.ENFORCED:
            given = replace(known, namespace=isolation.namespace, identity=isolation.identity)
            is_back = known.reason is not None and known.reason.code in TAKEN_BACKS
            kept = known.reason if is_back else None
            if known.status is State.ENFORCED and known.reason == kept and given == known:
                return known
            return evolve(given, IsolationApplied, now, kept)
        case IsolationState.REMOVED, State.UNBINDING:
            removed = evolve(known, IsolationRemoved, now, known.reason)
            ending = Ending.OWNER_UNBOUND if known.is_owner else Ending.GUEST_LEFT
            return replace(_to_be_looked_at(removed, ending), namespace=None, identity=None)
        case IsolationState.FAILED, State.BOUND | State.ENFORCED | State.UNBINDING:
            if isolation.reason == known.reason:
                return known
            return evolve(known, IsolationFailed, now, isolation.reason)
        case _:
            return known


def _while_suspended(
    known: TenantBinding, isolation: BindingIsolation, now: datetime
) -> TenantBinding:
    """Return *known*, which stays suspended, to be resumed with what it is isolated by now."""
    given = replace(known, namespace=isolation.namespace, identity=isolation.identity)
    if isolation.state is not IsolationState.APPLIED or given == known:
        return known
    return replace(given, revision=known.revision + 1, updated_at=isoformat(now))


def _to_be_looked_at(
    unbound: TenantBinding, ending: Ending, retained: tuple[str, ...] = ()
) -> TenantBinding:
    """Return *unbound* with a look at what is left of it due now."""
    at = unbound.updated_at
    erasure = Erasure(ending, unbound.revision, at, unbound.namespace, unbound.identity, retained)
    return replace(unbound, erasure=erasure, due_at=at)
