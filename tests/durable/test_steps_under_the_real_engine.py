"""`call`, `call_all` and `wait_for` as the embedded engine and the library's replay run them."""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from local_host.host import Host
from shared.kernel.errors import Unavailable
from tests.durable.stories import App, app_of, held
from tests.kit.hosting import ask, embedded, hosting
from tests.kit.virtual_time import run_virtual

BASE = "/runtime/webhooks/durabletask"
ENDED = {"Completed", "Failed", "Terminated"}


class Engine:
    def __init__(self, host: Host, app: App) -> None:
        self.host, self.app = host, app

    async def start(self, name: str, given: Any = None) -> None:
        url = f"{BASE}/orchestrators/durable_{name}/i"
        headers = {"content-type": "application/json"}
        # Twice, as the library's own client encodes what it starts with.
        body = json.dumps(json.dumps(given)).encode()
        answer = await ask(self.host, "POST", url, headers=headers, body=body)
        assert answer.status == 202

    async def result(self, name: str, given: Any = None) -> Any:
        await self.start(name, given)
        return await self.output()

    async def output(self) -> Any:
        while True:
            body = json.loads((await ask(self.host, "GET", f"{BASE}/instances/i")).body)
            if body["runtimeStatus"] in ENDED:
                assert body["runtimeStatus"] == "Completed", body
                assert body["output"]["version"] == 3
                return body["output"]["outcome"]
            await asyncio.sleep(0.5)  # noqa: TID251  the virtual loop's own time


def run(app: App, act: Callable[[Engine], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        app.now_s = asyncio.get_running_loop().time
        async with hosting(embedded(app_of(app))) as host:
            return await act(Engine(host, app))

    return run_virtual(main())


def away(count: int) -> list[Exception | None]:
    return [Unavailable("away") for _ in range(count)]


def test_an_outage_is_tried_again_after_2_4_8_and_16_seconds() -> None:
    app = App({"a": away(4)})

    outcome = run(app, lambda engine: engine.result("one", "a"))

    waits = [after - before for before, after in itertools.pairwise(app.times("a"))]
    assert outcome == "made a at 5"
    assert waits == pytest.approx([2, 4, 8, 16], abs=0.5)
    assert [step.attempt for step in app.steps("a")] == [1, 2, 3, 4, 5]


def test_an_outage_of_all_five_attempts_is_told_to_the_orchestration() -> None:
    app = App({"a": away(9)})

    outcome = run(app, lambda engine: engine.result("one", "a"))

    assert (outcome, len(app.tries)) == ("unavailable", 5)


def test_a_refusal_is_told_at_once_with_its_code() -> None:
    app = App({"a": [held()]})

    outcome = run(app, lambda engine: engine.result("one", "a"))

    assert (outcome, len(app.tries)) == ("refused Held", 1)


def test_a_defect_is_a_failed_step_and_is_not_tried_again() -> None:
    app = App({"a": [KeyError("gone")]})

    outcome = run(app, lambda engine: engine.result("one", "a"))

    assert outcome == "failed durable_make: KeyError: 'gone'"
    assert len(app.tries) == 1


def test_every_attempt_of_a_call_is_the_same_piece_of_work() -> None:
    app = App({"a": away(2)})

    run(app, lambda engine: engine.result("one", "a"))

    assert {step.key for step in app.steps("a")} == {"0001-durable_make"}
    assert {step.operation_id for step in app.steps("a")} == {"i"}


def test_ordinals_follow_the_order_of_calls_also_at_replay() -> None:
    app = App()

    run(app, lambda engine: engine.result("several", ["a", "b", "c"]))

    ordinals = {item: [step.ordinal for step in app.steps(item)] for item, _, _ in app.tries}
    assert ordinals == {"first": [1], "a": [2], "b": [3], "c": [4], "last": [5]}


def test_results_stand_in_the_order_of_what_was_asked_and_have_their_type() -> None:
    app = App({"b": away(1)})

    outcome = run(app, lambda engine: engine.result("several", ["a", "b", "c"]))

    assert outcome == [
        {"item": "a", "attempt": 1},
        {"item": "b", "attempt": 2},
        {"item": "c", "attempt": 1},
    ]


def test_only_what_was_away_is_tried_again() -> None:
    app = App({"b": away(2)})

    run(app, lambda engine: engine.result("several", ["a", "b", "c"]))

    assert [len(app.times(item)) for item in ("a", "b", "c")] == [1, 3, 1]


def test_nothing_to_call_is_no_call() -> None:
    app = App()

    assert run(app, lambda engine: engine.result("none_at_all")) == []
    assert app.tries == []


async def _nudge(engine: Engine, name: str, after_s: float) -> Any:
    await engine.start("patient")
    await asyncio.sleep(after_s)  # noqa: TID251  the virtual loop's own time
    url = f"{BASE}/instances/i/raiseEvent/{name}"
    headers = {"content-type": "application/json"}
    await ask(engine.host, "POST", url, headers=headers, body=b'"nudge"')
    outcome = await engine.output()
    return outcome, asyncio.get_running_loop().time()


def test_a_nudge_ends_a_wait_and_leaves_no_timer_to_wait_for() -> None:
    outcome, at_s = run(App(), lambda engine: _nudge(engine, "nudge", 10))

    assert outcome is True
    assert at_s < 15


def test_a_nudge_that_comes_before_the_wait_is_kept_for_it() -> None:
    outcome, at_s = run(App(), lambda engine: _nudge(engine, "nudge", 0))

    assert outcome is True
    assert at_s < 5


def test_without_its_nudge_a_wait_ends_on_time() -> None:
    outcome, at_s = run(App(), lambda engine: _nudge(engine, "another", 10))

    assert outcome is False
    assert 60 <= at_s <= 65
