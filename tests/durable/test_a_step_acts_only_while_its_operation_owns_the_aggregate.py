"""`commit_step`: once for each activity, and nothing for an operation that lost its right."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from shared.contracts.values import Reason
from shared.durable.abandon import Freed, abandon, fail_operation_by
from shared.durable.activity import (
    REASON_MAX,
    ActivityContext,
    Step,
    commit_step,
    perform,
)
from shared.durable.operations import OPERATIONS
from shared.durable.orchestration import FAIL_OPERATION, Activity, durable_name
from shared.kernel.context import Context
from shared.kernel.operation import Operation, OperationStatus
from shared.messaging.unit_of_work import Decision, Outcome, View
from shared.persistence.store import AnswerLost, Query
from tests.durable.stories import (
    HOME,
    OPERATION_ID,
    THING_ID,
    THINGS,
    App,
    Thing,
    count,
    finish,
    look,
    make,
)
from tests.kit.service import TENANT
from tests.kit.virtual_time import EPOCH, run_virtual

OTHER = "op-environments-abcdefghijkl-0000000000000002"


async def attempt(app: App, activity: Activity[Any], argument: Any = None) -> Mapping[str, Any]:
    request = {
        "input": argument, "operation": OPERATION_ID, "tenant": TENANT, "aggregate": THING_ID,
        "ordinal": 1, "attempt": 1,
    }  # fmt: skip
    return await perform(activity, request, app)


def stepping(act: Callable[[App], Awaitable[None]], **kept: Any) -> None:
    async def main() -> None:
        app = App()
        await app.keep(**kept)
        await act(app)

    run_virtual(main())


async def stored(app: App) -> list[tuple[str, str]]:
    page = await app.service.store.query(HOME, Query())
    return [(each.id, each.etag) for each in page.documents]


def test_aggregate_operation_outbox_and_audit_are_one_batch() -> None:
    async def act(app: App) -> None:
        assert await attempt(app, count) == {"result": 1}

        assert (await app.thing()).count == 1
        assert (await app.operation()).status is OperationStatus.RUNNING
        assert (await app.operation()).recorded == {"count": 1}
        assert app.at.starts.event("somebody", "counted").is_set()

    stepping(act)


def test_a_repeat_of_a_recorded_piece_returns_its_value_and_writes_nothing() -> None:
    async def act(app: App) -> None:
        first = await attempt(app, count)
        before = await stored(app)
        again = await attempt(app, count)

        assert again == first == {"result": 1}
        assert await stored(app) == before

    stepping(act)


def test_a_step_whose_answer_was_lost_finds_its_own_record() -> None:
    async def act(app: App) -> None:
        batch = app.service.store.batch

        async def lose(*given: Any) -> None:
            await batch(*given)
            raise AnswerLost("the connection broke")

        app.service.work.store.batch = lose  # type: ignore[method-assign]
        assert await attempt(app, count) == {"result": 1}
        assert (await app.thing()).count == 1

    stepping(act)


def test_a_step_that_is_not_recorded_may_change_state_each_time() -> None:
    async def act(app: App) -> None:
        results = [(await attempt(app, look))["result"] for _ in range(3)]

        assert results == [1, 2, 3]

    stepping(act)


async def mistyped(ctx: ActivityContext, app: App) -> int:
    """Record a value that is not the activity's result."""

    def decide(_thing: Thing, operation: Operation) -> Step[str]:
        return Step("one", operation)

    await commit_step(ctx, app, THINGS, decide)
    return 1


def test_a_step_whose_value_is_not_the_activity_s_result_is_our_own_defect() -> None:
    async def act(app: App) -> None:
        answer = await attempt(app, mistyped)

        assert "failed" in answer
        assert (await app.operation()).recorded == {}

    stepping(act)


@pytest.mark.parametrize("activity", [count, look, finish])
def test_an_operation_that_does_not_own_its_aggregate_writes_nothing(
    activity: Activity[Any],
) -> None:
    async def act(app: App) -> None:
        before = await stored(app)
        answer = await attempt(app, activity)

        assert answer["refused"]["code"] == "OperationSuperseded"
        assert OTHER in answer["refused"]["message"]
        assert await stored(app) == before

    stepping(act, owner=OTHER)


FAIL = fail_operation_by({})
CLOSED: Mapping[str, tuple[Callable[[Operation], Operation], str]] = {
    "superseded": (lambda it: it.supersede(OTHER, EPOCH), "OperationSuperseded"),
    "canceled": (lambda it: it.cancel(EPOCH), "OperationAlreadyEnded"),
    "failed": (lambda it: it.fail("Broken", "", EPOCH), "OperationAlreadyEnded"),
    "succeeded": (lambda it: it.succeed({}, EPOCH), "OperationAlreadyEnded"),
}


@pytest.mark.parametrize(("close", "code"), CLOSED.values(), ids=CLOSED.keys())
@pytest.mark.parametrize("activity", [count, look, make, FAIL])
def test_a_closed_operation_writes_nothing(
    activity: Activity[Any], close: Callable[[Operation], Operation], code: str
) -> None:
    async def act(app: App) -> None:
        before = await stored(app)
        argument = "a" if activity is make else {"code": "Broken", "message": "it broke"}
        answer = await attempt(app, activity, argument)

        assert answer["refused"]["code"] == code
        assert await stored(app) == before
        assert app.tries == []

    stepping(act, change=close)


def test_an_operation_closed_during_an_activity_is_found_at_its_commit() -> None:
    async def closing(ctx: ActivityContext, app: App) -> int:
        """Count, after somebody closed the operation while this ran."""
        closed = (await app.operation()).supersede(OTHER, EPOCH)
        decision: Decision[None] = Decision(None, writes=[OPERATIONS.put(closed)])
        ids = [OPERATIONS.put(closed).id]
        await app.service.work.commit(app.at.ctx(), HOME, ids, lambda _: decision)
        return await count(ctx, app)

    async def act(app: App) -> None:
        answer = await attempt(app, closing)

        assert answer["refused"]["code"] == "OperationSuperseded"
        assert (await app.thing()).count == 0

    stepping(act)


def test_the_activity_that_ended_its_operation_answers_its_repeat_with_its_result() -> None:
    async def act(app: App) -> None:
        assert await attempt(app, finish) == await attempt(app, finish) == {"result": 1}

    stepping(act)


def test_a_failure_ends_the_operation_whoever_owns_the_aggregate_now() -> None:
    async def act(app: App) -> None:
        reason = {"code": "NotReadyInTime", "message": "web was not ready"}
        await attempt(app, FAIL, reason)

        operation = await app.operation()
        assert (operation.status, operation.error) == (OperationStatus.FAILED, reason)
        assert (await app.thing()).operation_id == OTHER

    stepping(act, owner=OTHER)


async def free(
    operation: Operation, ctx: Context, app: App, reason: Reason | None = None, /
) -> Outcome[Any]:
    """End the operation and free the thing, in one batch."""

    def freed(view: View, _why: Reason) -> Freed:
        return Freed([THINGS.put(replace(view.get(THINGS, THING_ID), operation_id=""))])

    return await abandon(operation, ctx, app, reason, reads=["thing"], free=freed)


def test_a_failure_that_cannot_be_recorded_frees_the_aggregate_as_its_kind_says() -> None:
    async def act(app: App) -> None:
        reason = {"code": "TransitionRefused", "message": "x" * 10_000}
        await attempt(app, fail_operation_by({"MakeThing": free}), reason)

        operation = await app.operation()
        assert operation.error == {"code": "TransitionRefused", "message": "x" * REASON_MAX}
        assert (await app.thing()).operation_id == ""

    stepping(act)


def test_a_failure_is_recorded_under_the_name_by_which_it_is_called() -> None:
    assert FAIL.__name__ == FAIL_OPERATION


def test_an_activity_has_the_durable_name_of_its_service_and_function() -> None:
    assert durable_name(count) == "durable_count"
