"""An operation: what happens to it, and that its end is final."""

from collections.abc import Callable
from datetime import timedelta

import pytest

import shared.kernel.operation as operations
from shared.kernel.clock import isoformat
from shared.kernel.errors import Conflict
from shared.kernel.operation import Operation, OperationStatus
from tests.kit.virtual_time import EPOCH

LATER = EPOCH + timedelta(seconds=30)


def accepted() -> Operation:
    return operations.accept("op-1", "Do", "/v1/things/1", "user:ann", "things_do", {"a": 1}, EPOCH)


def running() -> Operation:
    return accepted().begin_step("first", EPOCH, percent=10)


ENDS: dict[str, Callable[[Operation], Operation]] = {
    "succeeded": lambda it: it.succeed({"n": 1}, LATER),
    "superseded": lambda it: it.supersede("op-2", LATER),
    "failed": lambda it: it.fail("Broken", "it broke", LATER),
    "canceled": lambda it: it.cancel(LATER),
}
CHANGES: dict[str, Callable[[Operation], Operation]] = {
    **ENDS,
    "step": lambda it: it.begin_step("more", LATER, percent=50),
    "wait": lambda it: it.wait("approval", "w", LATER),
    "outage": lambda it: it.with_outage("the cluster is away"),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_nothing_changes_what_has_ended(
    end: Callable[[Operation], Operation], change: Callable[[Operation], Operation]
) -> None:
    ended = end(running())

    assert ended.is_terminal
    assert change(ended) == ended


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_what_is_away_is_no_progress_and_over_with_the_end(
    end: Callable[[Operation], Operation],
) -> None:
    away = running().with_outage("the cluster is away")

    assert away.heartbeat_at == running().heartbeat_at
    assert end(away) == end(running())


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_an_end_closes_the_running_step(end: Callable[[Operation], Operation]) -> None:
    assert all(step.ended_at == isoformat(LATER) for step in end(running()).steps)


def test_a_step_closes_the_one_before_and_a_repeat_begins_nothing() -> None:
    second = running().begin_step("second", LATER, percent=5)
    again = second.begin_step("second", LATER, percent=5, detail="more")

    assert [(step.name, step.state) for step in again.steps] == [
        ("first", "Succeeded"), ("second", "Running"),
    ]  # fmt: skip
    assert again.steps[-1].detail == "more"
    assert again.percent == 10, "never goes back"


def test_a_wait_is_named_until_the_next_step() -> None:
    waiting = running().wait("approval", "w-1", LATER)
    on = waiting.begin_step("second", LATER, percent=20)

    assert (waiting.waiting_for, waiting.wait_name) == ("approval", "w-1")
    assert (on.waiting_for, on.wait_name) == (None, None)


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_only_what_has_not_ended_can_be_canceled(end: Callable[[Operation], Operation]) -> None:
    assert running().request_cancel().cancel_requested
    with pytest.raises(Conflict):
        end(running()).request_cancel()


def test_a_superseded_operation_is_canceled_and_names_its_successor() -> None:
    ended = running().supersede("op-2", LATER)

    assert ended.status is OperationStatus.CANCELED
    assert ended.error == {
        "code": "OperationSuperseded",
        "message": "operation op-1 was superseded by op-2",
    }


def test_only_not_started_and_running_ones_go_on() -> None:
    assert set(OperationStatus) - operations.TERMINAL == {
        OperationStatus.NOT_STARTED,
        OperationStatus.RUNNING,
    }


def test_an_operation_of_more_steps_than_it_shows_keeps_the_last() -> None:
    operation = accepted()
    for number in range(operations.STEPS_MAX + 1):
        operation = operation.begin_step(f"step {number}", LATER, percent=10)

    assert len(operation.steps) == operations.STEPS_MAX
    assert operation.steps[-1].name == f"step {operations.STEPS_MAX}"
