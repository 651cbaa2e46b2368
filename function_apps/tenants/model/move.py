"""Moves of a tenant to another model of isolation, inside one environment. Pure.

Preparing has environments make the new model beside the old one. CutOver has deployments start each
module again, by the moved binding. Verifying looks whether all that runs was, and whether the
tenant is kept apart. Cleaning has environments let go of the old model. Until then a move goes
back, to the model that it came from. Copying and CatchingUp are of data: no model keeps it
elsewhere, so that no move comes to them.

Before Cleaning deployments confirms that no release is on its way that began by the binding of
before (`ConfirmCutOver`): its instances would come where nobody looks any more.

Each change that leaves a step to a look has `AdvanceMove` sent with it (`next_command`). Where that
message was lost, the timer of proofs goes on with the move.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from function_apps.tenants.errors import MoveUnderWay
from function_apps.tenants.model.binding import (
    Move,
    MoveAdvanced,
    MoveEnded,
    MoveRequested,
    MoveTakenBack,
    State,
    TenantBinding,
    evolve,
)
from shared.contracts.environments import BindingIsolation, IsolationState
from shared.contracts.roll_outs import ConfirmCutOver, RelocateWorkload
from shared.contracts.tenants import AdvanceMove, BindingMove, MovePhase
from shared.contracts.values import ModuleId, Reason

_MESSAGE_MAX: Final = 2000
ASKED_AT_ONCE: Final = 25
"""Modules that are cut over at one time."""
MOVE: Final = "MovedByCaller"
"""The code of the reason that a caller gave."""
TAKEN_BACK: Final = "MoveTakenBack"
"""The code of the reason why a binding has the model that it was to leave."""
TAKEN_BACK_BY_CALLER: Final = "MoveTakenBackByCaller"
"""That, where the model that it comes from was asked for: nothing is to be mended."""
TAKEN_BACKS: Final = frozenset({TAKEN_BACK, TAKEN_BACK_BY_CALLER})
_NOTHING: Final = "NothingToRollOut"
_CUTTING_OVER: Final = frozenset({MovePhase.CUT_OVER, MovePhase.VERIFYING})


def begin(known: TenantBinding, command: BindingMove, now: datetime) -> TenantBinding:
    """Return *known* being moved to another model; itself where it has that, or is on its way.

    While it is moved, the model that it comes from takes the move back.

    Raises:
        MoveUnderWay: it is moved to another model, or the old one is let go of already.
        TransitionRefused: it is not Enforced.
    """
    model, move = command.isolation_model, known.move
    reason = Reason(code=MOVE, message=command.reason or "no reason was given")
    if move is None:
        if known.status is State.ENFORCED and model is known.isolation_model:
            return known
        moving = evolve(known, MoveRequested, now, reason)
        begun = Move(known.isolation_model, allow_downtime=command.allow_downtime)
        return replace(moving, isolation_model=model, asked_revision=moving.revision, move=begun)
    if model is known.isolation_model:
        return known
    if model is not move.origin or move.phase is MovePhase.CLEANING:
        raise MoveUnderWay(known.binding_id, move.origin, known.isolation_model, move.phase)
    why = f"by its caller: {command.reason}" if command.reason else "by its caller"
    asked = Reason(code=TAKEN_BACK_BY_CALLER, message=why[:_MESSAGE_MAX])
    return replace(take_back(known, why, now), reason=asked)


def take_back(known: TenantBinding, why: str, now: datetime) -> TenantBinding:
    """Return *known* in the model that it came from, which is asked for again.

    What was started again by the moved binding goes on as it is; what is on its way for that is
    stopped by deployments, which hears that the move is over.
    """
    assert known.move is not None, known.binding_id
    reason = Reason(code=TAKEN_BACK, message=why[:_MESSAGE_MAX])
    back = evolve(known, MoveTakenBack, now, reason)
    return replace(back, isolation_model=known.move.origin, asked_revision=back.revision, move=None)


def end_early(known: TenantBinding, why: str, now: datetime) -> TenantBinding:
    """Return *known* without its move: in its old model, or in Cleaning in the new one.

    Nothing that a tenant begins keeps the owner of the environment from suspending or unbinding it.
    """
    if known.move is None:
        return known
    if known.move.phase is MovePhase.CLEANING:
        return replace(evolve(known, MoveEnded, now, None), move=None)
    return take_back(known, f"its move to {known.isolation_model} is dropped: {why}", now)


def with_dropped_move(words: str, known: TenantBinding) -> str:
    """Return the *words* of a caller, and that the move of *known* is dropped by `end_early`."""
    move = known.move
    if move is None or move.phase is MovePhase.CLEANING:
        return words
    dropped = f"its move to {known.isolation_model} is dropped"
    return f"{words[:_MESSAGE_MAX]}; {dropped}" if words else dropped


def why_taken_back(known: TenantBinding, after: TenantBinding) -> str:
    """Return why *after* has no move any more where *known* had one; empty where that was done.

    It was taken back, or its environment or its binding ended.
    """
    is_back = known.move is not None and after.reason is not None and after.move is None
    return after.reason.message if is_back and after.reason else ""


def on_isolation(known: TenantBinding, isolation: BindingIsolation, now: datetime) -> TenantBinding:
    """Return *known*, which is moved, after its isolation was made for what it asked last."""
    move = known.move
    assert move is not None, known.binding_id
    given = replace(known, namespace=isolation.namespace, identity=isolation.identity)
    match isolation.state, move.phase:
        case IsolationState.APPLIED, MovePhase.PREPARING:
            after = _in_phase(given, MovePhase.CUT_OVER, now)
            assert after.move is not None
            cut = replace(after.move, binding_revision=after.revision)
            return replace(after, move=cut)
        case IsolationState.APPLIED, MovePhase.CLEANING:
            return replace(evolve(given, MoveEnded, now, None), move=None)
        case IsolationState.FAILED, MovePhase.PREPARING:
            why = isolation.reason
            message = f"{why.code}: {why.message}" if why else "its isolation could not be made"
            return take_back(known, message, now)
        case IsolationState.FAILED, MovePhase.CLEANING if isolation.reason != known.reason:
            return evolve(known, MoveAdvanced, now, isolation.reason)
        case _:
            return known


def on_relocated(
    known: TenantBinding,
    module: ModuleId,
    binding_revision: int,
    failure: Reason | None,
    now: datetime,
) -> TenantBinding:
    """Return *known* after the relocation of *module*; itself where that is of no move of it now.

    One that failed takes the move back.
    """
    move = known.move
    is_own = move is not None and move.binding_revision == binding_revision
    if move is None or not is_own or module in move.moved or move.phase not in _CUTTING_OVER:
        return known
    if failure is not None and failure.code != _NOTHING:
        return take_back(known, f"{module}, {failure.code}: {failure.message}", now)
    asked = tuple(each for each in move.asked if each != module)
    phase = move.phase if asked else MovePhase.VERIFYING
    after = _in_phase(known, phase, now)
    return replace(after, move=replace(move, phase=phase, asked=asked, moved=(*move.moved, module)))


def advance(
    known: TenantBinding,
    running: Collection[ModuleId],
    problem: str,
    now: datetime,
    *,
    confirmed_revision: int | None = None,
) -> tuple[TenantBinding, Sequence[RelocateWorkload | ConfirmCutOver]]:
    """Return *known* one step on, with what is asked of deployments for that.

    *running* are the modules of the tenant that were seen; *problem* is why it is not kept apart.
    The last step is not taken before all that runs was started by the moved binding, and before
    deployments confirmed, ahead of the look, that nothing else is on its way.
    """
    move = known.move
    assert move is not None, known.binding_id
    rest = sorted({*running} - {*move.moved, *move.asked})[:ASKED_AT_ONCE]
    if rest:
        after = _in_phase(known, MovePhase.CUT_OVER, now)
        asked = replace(move, phase=MovePhase.CUT_OVER, asked=(*move.asked, *rest))
        return replace(after, move=asked), [_relocate(known, move, each) for each in rest]
    if move.asked:
        return known, ()
    if problem:
        reason = Reason(code="NotKeptApart", message=problem[:_MESSAGE_MAX])
        if reason == known.reason and move.phase is MovePhase.VERIFYING:
            return known, ()
        return _in_phase(known, MovePhase.VERIFYING, now, reason), ()
    if confirmed_revision != move.binding_revision:
        return known, [_confirm(known, move)]
    cleaning = _in_phase(known, MovePhase.CLEANING, now)
    return replace(cleaning, asked_revision=cleaning.revision), ()


def ask_again(known: TenantBinding, now: datetime) -> TenantBinding:
    """Return *known* with its last step asked for again, where that failed; itself otherwise."""
    move = known.move
    has_failed = known.reason is not None and known.reason.code != MOVE
    if move is None or move.phase is not MovePhase.CLEANING or not has_failed:
        return known
    again = evolve(known, MoveAdvanced, now, None)
    return replace(again, asked_revision=again.revision)


def is_to_advance(known: TenantBinding) -> bool:
    """Return whether the next step of *known* waits for a look, and for no relocation."""
    move = known.move
    return move is not None and move.phase in _CUTTING_OVER and not move.asked


def next_command(known: TenantBinding) -> AdvanceMove | None:
    """Return the command to this service that goes on with the move of *known*; None without."""
    return AdvanceMove(binding_id=known.binding_id) if is_to_advance(known) else None


def _in_phase(
    known: TenantBinding, phase: MovePhase, now: datetime, reason: Reason | None = None
) -> TenantBinding:
    """Return *known* in *phase*, with *reason*, else with that which its caller gave."""
    assert known.move is not None, known.binding_id
    given = known.reason if known.reason is not None and known.reason.code == MOVE else None
    after = evolve(known, MoveAdvanced, now, reason or given)
    return replace(after, move=replace(known.move, phase=phase))


def _confirm(known: TenantBinding, move: Move) -> ConfirmCutOver:
    return ConfirmCutOver.model_validate(
        {
            "environmentId": known.environment_id,
            "tenantBindingId": known.binding_id,
            "bindingRevision": move.binding_revision,
        }
    )


def _relocate(known: TenantBinding, move: Move, module: ModuleId) -> RelocateWorkload:
    return RelocateWorkload.model_validate(
        {
            "environmentId": known.environment_id,
            "moduleId": module,
            "tenantBindingId": known.binding_id,
            "bindingRevision": move.binding_revision,
            "isolationModel": known.isolation_model,
            "namespace": known.namespace,
            "allowDowntime": move.allow_downtime,
        }
    )
