"""Beginning an operation: whose it is, and what happens to the one that it takes over from."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from shared.durable.activity import perform
from shared.durable.operations import (
    OPERATIONS,
    OperationInput,
    OperationKind,
    begin_operation,
    close_superseded,
)
from shared.kernel.context import Context, NewIds
from shared.kernel.operation import Operation, OperationStatus
from shared.messaging.unit_of_work import Decision, View
from tests.durable.stories import (
    HOME,
    KEY,
    OPERATION_ID,
    THING_ID,
    THINGS,
    App,
    Thing,
    count,
)
from tests.kit.service import TENANT
from tests.kit.virtual_time import EPOCH, run_virtual


async def take_over(app: App, ctx: Context) -> Operation:
    """Begin an operation that takes the thing over, as the use case of a command does."""
    ids = NewIds.draw(ctx, "environments", f"env-{KEY}")

    def decide(view: View) -> Decision[Operation]:
        thing = view.get(THINGS, THING_ID)
        operation, start = begin_operation(
            OperationKind("RemoveThing", "durable_plain"),
            THING_ID,
            f"/v1/things/{THING_ID}",
            ids,
            ctx,
        )
        taken = replace(
            thing, operation_id=operation.operation_id, fence_token=thing.fence_token + 1
        )
        writes = [
            THINGS.put(taken),
            OPERATIONS.put(operation),
            *close_superseded(view, thing.operation_id, ids.operation_id, ids.now),
        ]
        return Decision(operation, writes, outbox=[start])

    def owner(view: View) -> list[str]:
        return [OPERATIONS.document_id(view.get(THINGS, THING_ID).operation_id)]

    work = app.service.work
    return (await work.commit(ctx, HOME, ["thing"], decide, linked=owner)).value


def test_the_operation_before_it_is_canceled_in_the_same_batch_and_names_its_successor() -> None:
    async def main() -> None:
        app = App()
        await app.keep()
        newer = await take_over(app, app.at.ctx())

        older = await app.operation()
        assert older.status is OperationStatus.CANCELED
        assert older.error is not None
        assert older.error["code"] == "OperationSuperseded"
        assert newer.operation_id in older.error["message"]
        assert (await app.thing()).operation_id == newer.operation_id

    run_virtual(main())


def test_a_late_step_of_the_operation_before_it_changes_nothing() -> None:
    async def main() -> None:
        app = App()
        await app.keep()
        newer = await take_over(app, app.at.ctx())
        request = {
            "input": None, "operation": OPERATION_ID, "tenant": TENANT, "aggregate": THING_ID,
            "ordinal": 3, "attempt": 1,
        }  # fmt: skip
        answer = await perform(count, request, app)

        assert answer["refused"]["code"] == "OperationSuperseded"
        assert await app.thing() == Thing(newer.operation_id, fence_token=2, count=0)

    run_virtual(main())


ENDS: dict[str, Callable[[Operation], Operation]] = {
    "succeeded": lambda it: it.succeed({}, EPOCH),
    "failed": lambda it: it.fail("Broken", "it broke", EPOCH),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_an_operation_that_had_ended_keeps_its_end(end: Callable[[Operation], Operation]) -> None:
    async def main() -> None:
        app = App()
        await app.keep(end)
        before = await app.operation()
        await take_over(app, app.at.ctx())

        assert await app.operation() == before

    run_virtual(main())


def test_an_operation_that_is_no_longer_stored_is_taken_over_from_all_the_same() -> None:
    async def main() -> None:
        app = App()
        await app.keep(owner=f"op-environments-{KEY}-0000000000000009")

        newer = await take_over(app, app.at.ctx())

        assert (await app.thing()).operation_id == newer.operation_id

    run_virtual(main())


def test_an_operation_is_owned_by_who_caused_it_and_part_of_the_same_trace() -> None:
    async def main() -> None:
        app = App()
        await app.keep()
        ctx = app.at.ctx(actor="service:drift", trace_id="trace-9", correlation_id="corr-9")
        operation = await take_over(app, ctx)

        assert operation.owner == "service:drift"
        assert (operation.trace_id, operation.correlation_id) == ("trace-9", "corr-9")
        assert OperationInput.read(operation.input) == OperationInput(TENANT, THING_ID)
        document = await app.service.store.read(
            HOME, OPERATIONS.document_id(operation.operation_id)
        )
        assert document is not None
        assert OPERATIONS.decode(document.body) == operation

    run_virtual(main())


def test_its_orchestration_is_started_under_its_own_id() -> None:
    async def main() -> None:
        app = App()
        await app.keep()
        operation = await take_over(app, app.at.ctx())

        assert app.at.starts.started == [
            ("durable_plain", operation.operation_id, dict(operation.input))
        ]

    run_virtual(main())
