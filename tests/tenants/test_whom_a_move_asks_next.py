"""A move of a tenant: what it asks next, what takes it back, and when its last step is taken."""

from dataclasses import replace

import pytest

from function_apps.tenants.errors import (
    MoveUnderWay,
)
from function_apps.tenants.model.binding import (
    Move,
    State,
)
from function_apps.tenants.model.move import (
    ASKED_AT_ONCE,
    MOVE,
    TAKEN_BACK,
    TAKEN_BACK_BY_CALLER,
    advance,
    ask_again,
    begin,
    end_early,
    is_to_advance,
    next_command,
    on_isolation,
    on_relocated,
)
from shared.contracts.environments import (
    IsolationState,
)
from shared.contracts.roll_outs import ConfirmCutOver
from shared.contracts.tenants import (
    AdvanceMove,
    BindingMove,
    MovePhase,
)
from shared.contracts.values import IsolationModel, ModuleId, Reason
from tests.kit.told import ENVIRONMENT
from tests.tenants.binding_states import (
    FAILED,
    LATER,
    A,
    B,
    C,
    enforced,
    isolation,
    moving,
)
from tests.tenants.bound import BINDING


def test_a_move_begins_with_the_model_that_it_leaves() -> None:
    command = BindingMove(isolation_model=IsolationModel.POOL, allow_downtime=True)

    moved = begin(enforced(), command, LATER)

    assert (moved.status, moved.isolation_model) == (State.MOVING, IsolationModel.POOL)
    assert moved.move == Move(IsolationModel.SHARED, allow_downtime=True)
    assert moved.asked_revision == moved.revision == 4
    assert moved.reason == Reason(code=MOVE, message="no reason was given")
    assert begin(moved, command, LATER) is moved
    known = enforced(isolation_model=IsolationModel.POOL)
    assert begin(known, command, LATER) is known


def test_the_model_that_it_leaves_takes_a_move_back_until_the_last_step() -> None:
    back_to = BindingMove(isolation_model=IsolationModel.SHARED, reason="slow")

    back = begin(moving(), back_to, LATER)

    assert (back.status, back.isolation_model, back.move) == (
        State.ENFORCED, IsolationModel.SHARED, None,
    )  # fmt: skip
    assert back.asked_revision == back.revision == 5
    assert back.reason == Reason(code=TAKEN_BACK_BY_CALLER, message="by its caller: slow")
    silent = begin(moving(), BindingMove(isolation_model=IsolationModel.SHARED), LATER)
    assert silent.reason == Reason(code=TAKEN_BACK_BY_CALLER, message="by its caller")
    with pytest.raises(MoveUnderWay):
        begin(moving(MovePhase.CLEANING), back_to, LATER)
    with pytest.raises(MoveUnderWay):
        begin(moving(), BindingMove(isolation_model=IsolationModel.SILO), LATER)


def test_a_move_that_is_ended_early_keeps_the_old_model_unless_that_is_let_go_of() -> None:
    known = enforced()

    assert end_early(known, "why", LATER) is known
    assert end_early(moving(), "why", LATER).isolation_model is IsolationModel.SHARED
    last = end_early(moving(MovePhase.CLEANING), "why", LATER)
    assert (last.status, last.isolation_model, last.move) == (
        State.ENFORCED, IsolationModel.POOL, None,
    )  # fmt: skip


def test_a_move_goes_on_with_the_isolation_that_it_asked_for() -> None:
    made = isolation(IsolationState.APPLIED, namespace="new", identity="id")

    cut = on_isolation(moving(MovePhase.PREPARING), made, LATER)

    assert cut.move is not None
    assert (cut.move.phase, cut.move.binding_revision) == (MovePhase.CUT_OVER, 5)
    assert (cut.namespace, cut.identity, cut.revision) == ("new", "id", 5)
    done = on_isolation(moving(MovePhase.CLEANING), made, LATER)
    assert (done.status, done.move, done.namespace) == (State.ENFORCED, None, "new")
    same = moving(MovePhase.VERIFYING)
    assert on_isolation(same, made, LATER) is same


def test_isolation_that_fails_takes_a_move_back_or_waits_in_its_last_step() -> None:
    failed = isolation(IsolationState.FAILED, reason=FAILED)

    back = on_isolation(moving(MovePhase.PREPARING), failed, LATER)
    assert back.reason == Reason(code=TAKEN_BACK, message="QuotaDenied: no room")
    silent = isolation(IsolationState.FAILED)
    said = on_isolation(moving(MovePhase.PREPARING), silent, LATER).reason
    assert said is not None
    assert said.message == "its isolation could not be made"
    waits = on_isolation(moving(MovePhase.CLEANING), failed, LATER)
    assert (waits.status, waits.reason) == (State.MOVING, FAILED)
    assert on_isolation(waits, failed, LATER) is waits
    again = ask_again(waits, LATER)
    assert (again.reason, again.asked_revision) == (None, waits.revision + 1)
    asked = moving(MovePhase.CLEANING)
    assert ask_again(asked, LATER) is asked
    assert ask_again(replace(moving(), reason=FAILED), LATER).reason == FAILED


def test_modules_are_asked_in_order_and_some_at_once() -> None:
    many = [ModuleId(f"module-{each:03}") for each in range(ASKED_AT_ONCE + 1)]

    after, commands = advance(moving(moved=(A,), allow_downtime=True), [A, C, B], "", LATER)

    assert after.move is not None
    assert (after.move.phase, after.move.asked) == (MovePhase.CUT_OVER, (B, C))
    assert [each.module_id for each in commands] == [B, C]
    assert {
        (each.environment_id, each.tenant_binding_id, each.binding_revision, each.isolation_model,
         each.namespace, each.allow_downtime) for each in commands
    } == {(ENVIRONMENT, BINDING, 4, IsolationModel.POOL, "ns", True)}  # fmt: skip
    assert [each.module_id for each in advance(moving(), many[::-1], "", LATER)[1]] == many[:-1]


def test_the_last_step_waits_for_all_that_runs_and_for_the_tenant_to_be_kept_apart() -> None:
    waits = moving(asked=(A,))
    assert advance(waits, [A], "", LATER) == (waits, ())

    opened, none = advance(moving(moved=(A,)), [A], "a policy is open", LATER)
    assert opened.move is not None
    assert (opened.move.phase, none) == (MovePhase.VERIFYING, ())
    assert opened.reason == Reason(code="NotKeptApart", message="a policy is open")
    assert advance(opened, [A], "a policy is open", LATER) == (opened, ())
    verifying = moving(MovePhase.VERIFYING, moved=(A,))
    cleaning, none = advance(verifying, [A], "", LATER, confirmed_revision=4)
    assert cleaning.move is not None
    assert (cleaning.move.phase, none) == (MovePhase.CLEANING, ())
    assert cleaning.asked_revision == cleaning.revision == 5
    assert cleaning.reason == Reason(code=MOVE, message="asked")


@pytest.mark.parametrize("revision", [None, 3], ids=["not-asked", "of-an-earlier-move"])
def test_before_the_last_step_it_is_confirmed_that_nothing_else_is_on_its_way(
    revision: int | None,
) -> None:
    verifying = moving(MovePhase.VERIFYING, moved=(A,))

    after, (asked,) = advance(verifying, [A], "", LATER, confirmed_revision=revision)

    assert after is verifying
    assert asked == ConfirmCutOver.model_validate(
        {"environmentId": ENVIRONMENT, "tenantBindingId": BINDING, "bindingRevision": 4}
    )


def test_a_relocation_counts_once_and_the_last_one_lets_it_verify() -> None:
    known = moving(asked=(A, B))

    half = on_relocated(known, A, 4, None, LATER)
    whole = on_relocated(half, B, 4, Reason(code="NothingToRollOut", message=""), LATER)

    assert half.move is not None
    assert (half.move.phase, half.move.asked, half.move.moved) == (MovePhase.CUT_OVER, (B,), (A,))
    assert whole.move is not None
    assert (whole.move.phase, whole.move.moved) == (MovePhase.VERIFYING, (A, B))
    assert on_relocated(half, A, 4, FAILED, LATER) is half
    assert on_relocated(known, A, 3, FAILED, LATER) is known
    prepares = moving(MovePhase.PREPARING)
    assert on_relocated(prepares, A, 4, FAILED, LATER) is prepares
    back = on_relocated(known, A, 4, FAILED, LATER).reason
    assert back == Reason(code=TAKEN_BACK, message="module-a, QuotaDenied: no room")


def test_a_step_is_due_while_no_relocation_is_under_way() -> None:
    assert is_to_advance(moving())
    assert is_to_advance(moving(MovePhase.VERIFYING))
    assert next_command(moving()) == AdvanceMove(binding_id=BINDING)
    for waits in (moving(asked=(A,)), moving(MovePhase.PREPARING), moving(MovePhase.CLEANING)):
        assert not is_to_advance(waits)
        assert next_command(waits) is None
    assert not is_to_advance(enforced())
