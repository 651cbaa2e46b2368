"""Orchestrations under `supervise`, as the embedded engine and the library's replay run them."""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from local_host.host import Host
from shared.kernel.clock import isoformat
from shared.kernel.errors import Conflict, Unavailable
from shared.kernel.fence import Fence
from shared.kernel.operation import Operation, OperationStatus
from tests.durable.stories import HOME, INPUT, OPERATION_ID, THING_ID, App, Thing, app_of, held
from tests.kit.hosting import ask, embedded, hosting
from tests.kit.service import TENANT
from tests.kit.virtual_time import EPOCH, run_virtual

BASE = "/runtime/webhooks/durabletask"
DEFECT = (
    f"durable_make failed: something went wrong on our side; quote the operation id {OPERATION_ID}"
)
"""The text of a defect may hold anything, and an operation's error reaches its tenant."""
ENDED = {"Completed", "Failed", "Terminated"}


class Engine:
    def __init__(self, host: Host, app: App) -> None:
        self.host, self.app = host, app

    async def start(self, name: str) -> None:
        url = f"{BASE}/orchestrators/durable_{name}/{OPERATION_ID}"
        headers = {"content-type": "application/json"}
        # Twice, as the library's own client encodes the input.
        body = json.dumps(json.dumps(INPUT)).encode()
        answer = await ask(self.host, "POST", url, headers=headers, body=body)
        assert answer.status == 202

    async def result(self, name: str) -> Any:
        """Run *name* to its end; return its outcome."""
        return (await self.ending(name))["outcome"]

    async def ending(self, name: str) -> Any:
        await self.start(name)
        return await self.output()

    async def output(self) -> Any:
        body = await self.ended()
        assert body["runtimeStatus"] == "Completed", body
        assert body["output"].pop("version") == 3
        return body["output"]

    async def ended(self) -> Any:
        while True:
            url = f"{BASE}/instances/{OPERATION_ID}"
            body = json.loads((await ask(self.host, "GET", url)).body)
            if body["runtimeStatus"] in ENDED:
                return body
            await asyncio.sleep(0.5)  # noqa: TID251  the virtual loop's own time


def run(
    act: Callable[[Engine], Awaitable[Any]],
    ends: Mapping[str, list[Exception | None]] | None = None,
    change: Callable[[Operation], Operation] = lambda it: it,
) -> tuple[Any, App]:
    """Run *act* on a host over an operation after *change*; return its result and the app."""

    async def main() -> tuple[Any, App]:
        app = App(ends=dict(ends or {}))
        await app.keep(change)
        async with hosting(embedded(app_of(app))) as host:
            return await act(Engine(host, app)), app

    return run_virtual(main())


def away(count: int) -> list[Exception | None]:
    return [Unavailable("away") for _ in range(count)]


def test_an_outage_is_tried_again_after_2_4_8_and_16_seconds() -> None:
    outcome, app = run(lambda engine: engine.result("one"), {"a": away(4)})

    waits = [after - before for before, after in itertools.pairwise(app.times("a"))]
    assert outcome == "made a at 5"
    assert waits == pytest.approx([2, 4, 8, 16], abs=0.5)
    assert [ctx.attempt for ctx in app.contexts("a")] == [1, 2, 3, 4, 5]


def test_an_outage_of_all_five_attempts_is_told_to_the_orchestration() -> None:
    outcome, app = run(lambda engine: engine.result("one"), {"a": away(9)})

    assert (outcome, len(app.tries)) == ("unavailable", 5)


def test_a_refusal_is_told_at_once_with_its_code() -> None:
    outcome, app = run(lambda engine: engine.result("one"), {"a": [held()]})

    assert (outcome, len(app.tries)) == ("refused Held", 1)


def test_a_defect_is_a_failed_activity_and_is_not_tried_again() -> None:
    outcome, app = run(lambda engine: engine.result("one"), {"a": [KeyError("gone")]})

    assert outcome == f"failed durable_make: {DEFECT}"
    assert len(app.tries) == 1


def test_every_attempt_of_a_call_writes_outside_under_the_same_fence() -> None:
    _, app = run(lambda engine: engine.result("one"), {"a": away(2)})

    fences = {ctx.fence(Thing(OPERATION_ID, fence_token=7)) for ctx in app.contexts("a")}
    assert fences == {Fence(7, OPERATION_ID, "0001-make")}


def test_an_activity_acts_as_the_owner_of_its_operation_on_its_aggregate() -> None:
    _, app = run(lambda engine: engine.result("one"))

    (ctx,) = app.contexts("a")
    assert (ctx.tenant, ctx.aggregate_id, ctx.partition) == (TENANT, THING_ID, HOME)
    assert (ctx.cause.actor, ctx.cause.reference) == ("user:ann", OPERATION_ID)


def test_ordinals_follow_the_order_of_calls_also_at_replay() -> None:
    _, app = run(lambda engine: engine.result("several"))

    ordinals = {item: [ctx.ordinal for ctx in app.contexts(item)] for item, _, _ in app.tries}
    assert ordinals == {"first": [1], "a": [2], "b": [3], "c": [4], "last": [5]}


def test_results_stand_in_the_order_of_the_arguments_and_have_their_type() -> None:
    outcome, _ = run(lambda engine: engine.result("several"), {"b": away(1)})

    assert outcome == [
        {"item": "a", "attempt": 1},
        {"item": "b", "attempt": 2},
        {"item": "c", "attempt": 1},
    ]


def test_only_the_calls_that_were_away_are_tried_again() -> None:
    _, app = run(lambda engine: engine.result("several"), {"b": away(2)})

    assert [len(app.times(item)) for item in ("a", "b", "c")] == [1, 3, 1]


def test_nothing_to_call_is_no_call() -> None:
    outcome, app = run(lambda engine: engine.result("none_at_all"))

    assert outcome == []
    assert app.tries == []


async def _raise_event(engine: Engine, name: str, after_s: float) -> Any:
    await engine.start("patient")
    await asyncio.sleep(after_s)  # noqa: TID251  the virtual loop's own time
    url = f"{BASE}/instances/{OPERATION_ID}/raiseEvent/{name}"
    headers = {"content-type": "application/json"}
    await ask(engine.host, "POST", url, headers=headers, body=b'"nudge"')
    ending = await engine.output()
    return ending["outcome"], asyncio.get_running_loop().time()


def test_an_event_ends_a_wait_and_leaves_no_timer_to_wait_for() -> None:
    (outcome, at_s), _ = run(lambda engine: _raise_event(engine, "nudge", 10))

    assert outcome is True
    assert at_s < 15


def test_an_event_that_comes_before_the_wait_is_kept_for_it() -> None:
    (outcome, at_s), _ = run(lambda engine: _raise_event(engine, "nudge", 0))

    assert outcome is True
    assert at_s < 5


def test_without_its_event_a_wait_ends_on_time() -> None:
    (outcome, at_s), _ = run(lambda engine: _raise_event(engine, "another", 10))

    assert outcome is False
    assert 60 <= at_s <= 65


PROBLEMS = {
    "a-refusal": ([held()], {"code": "Held", "message": "it is held"}),
    "a-defect": (
        [KeyError("gone")],
        {"code": "ActivityFailed", "message": DEFECT},
    ),
}


@pytest.mark.parametrize(("ends", "error"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_an_orchestration_that_cannot_go_on_ends_its_operation_with_the_reason(
    ends: list[Exception | None], error: Mapping[str, str]
) -> None:
    async def act(engine: Engine) -> tuple[Any, Operation]:
        return await engine.ending("plain"), await engine.app.operation()

    (ending, operation), _ = run(act, {"a": ends})

    assert ending == {"ended": error["code"]}
    assert (operation.status, operation.error) == (OperationStatus.FAILED, error)


def test_a_defect_of_an_orchestration_ends_its_operation_and_shows_in_the_instance() -> None:
    async def act(engine: Engine) -> tuple[str, Operation]:
        await engine.start("faulty")
        return (await engine.ended())["runtimeStatus"], await engine.app.operation()

    (instance, operation), _ = run(act)

    assert instance == "Failed"
    assert (operation.status, (operation.error or {})["code"]) == ("Failed", "ActivityFailed")


def test_an_orchestration_that_cannot_even_record_its_failure_still_ends_its_operation() -> None:
    async def act(engine: Engine) -> tuple[Any, Operation]:
        return await engine.ending("recording"), await engine.app.operation()

    refused = Conflict("the aggregate is gone", code="TransitionRefused")
    (ending, operation), _ = run(act, {"a": [held()], "failure": [refused]})

    assert ending == {"ended": "TransitionRefused"}
    assert operation.error == {"code": "TransitionRefused", "message": "the aggregate is gone"}


def test_after_an_outage_the_operation_stays_for_recovery_to_start_it_again() -> None:
    async def act(engine: Engine) -> tuple[Any, Operation]:
        return await engine.ending("plain"), await engine.app.operation()

    (ending, operation), _ = run(act, {"a": away(5)})

    assert ending == {"ended": "Unavailable"}
    assert not operation.is_terminal


ENDS: Mapping[str, tuple[Callable[[Operation], Operation], str]] = {
    "superseded": (lambda it: it.supersede("op-2", EPOCH), "OperationSuperseded"),
    "canceled": (lambda it: it.cancel(EPOCH), "OperationAlreadyEnded"),
    "abandoned": (
        lambda it: it.fail("OperationAbandoned", "by hand", EPOCH),
        "OperationAlreadyEnded",
    ),
}


@pytest.mark.parametrize(("end", "code"), ENDS.values(), ids=ENDS.keys())
def test_an_operation_that_ended_from_outside_ends_its_instance_without_a_write(
    end: Callable[[Operation], Operation], code: str
) -> None:
    async def act(engine: Engine) -> tuple[Any, Operation, Thing]:
        ending = await engine.ending("plain")
        return ending, await engine.app.operation(), await engine.app.thing()

    (ending, operation, thing), app = run(act, change=end)

    assert ending == {"ended": code}
    assert operation.heartbeat_at == isoformat(EPOCH)
    assert (thing.count, app.tries) == (0, [])


def test_an_orchestration_that_is_started_again_after_its_end_answers_the_same() -> None:
    async def act(engine: Engine) -> list[Any]:
        endings = [await engine.ending("plain")]
        await ask(engine.host, "DELETE", f"{BASE}/instances/{OPERATION_ID}")
        return [*endings, await engine.ending("plain"), (await engine.app.thing()).count]

    (first, again, count), _ = run(act)

    assert first == {"outcome": 2}
    assert again == {"ended": "OperationAlreadyEnded"}
    assert count == 2
