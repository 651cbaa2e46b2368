"""Functions that are gone, commits that fail, handlers the library did not make."""

import json
import socket
import sqlite3
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import azure.functions as func
import pytest
from aiohttp import web

from local_cloud.sqlite.database import Database
from local_host.durable import records
from local_host.durable.engine import Engine
from local_host.durable.functions import DurableFunctions
from local_host.durable.history import EventType
from local_host.durable.library_replay import TextReplay, replay_of
from shared.kernel.errors import Unavailable
from tests.kit.task_hub import TaskHub, durable_app, indexed, memory, task_hub
from tests.kit.virtual_time import run_virtual

T = TypeVar("T")
Steps = Generator[Any, Any, Any]
app = durable_app()


@app.activity_trigger(input_name="x")
def echo(x: Any) -> Any:
    return x


@app.activity_trigger(input_name="x")
def gives_a_set(x: Any) -> Any:
    return {x}


@app.orchestration_trigger(context_name="context")
def steps(context: Any) -> Steps:
    first = yield context.call_activity("echo", 1)
    second = yield context.wait_for_external_event("Go")
    third = yield context.call_activity("echo", 3)
    return [first, second, third]


@app.orchestration_trigger(context_name="context")
def asks_for_a_set(context: Any) -> Steps:
    yield context.call_activity("gives_a_set", 1)


@app.orchestration_trigger(context_name="context")
def takes_a_used_id(context: Any) -> Steps:
    yield context.call_sub_orchestrator("steps", None, "used")


@app.orchestration_trigger(context_name="context")
def asks_http(context: Any) -> Steps:
    answer = yield context.call_http("GET", context.get_input())
    return json.loads(answer) if isinstance(answer, str) else answer


class FailingDatabase:
    """Refuses the transactions whose numbers are given, as a full disk would."""

    def __init__(self, database: Database, refused: set[int]) -> None:
        self._database = database
        self._refused = refused
        self._count = 0

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return self._database.read(work)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._count += 1
        if self._count in self._refused:
            raise Unavailable("the disk is full")
        return await self._database.write(work)


@pytest.mark.parametrize("refused", [{2}, {3}, {5}, {2, 3, 4, 6}])
def test_an_episode_that_could_not_be_stored_is_run_again(refused: set[int]) -> None:
    async def main() -> Any:
        async with task_hub(app, database=FailingDatabase(memory(), refused)) as hub:
            await hub.start("steps")
            await hub.pass_time(10)
            while True:
                try:
                    await hub.client.raise_event("i", "Go", "2")
                    break
                except Unavailable:
                    continue
            return await hub.output(), hub.events("i", EventType.TASK_SCHEDULED)

    output, scheduled = run_virtual(main())
    assert output == [1, 2, 3]
    assert len(scheduled) == 2


def without(*names: str) -> DurableFunctions:
    return DurableFunctions(f for f in indexed(app).functions if f.name not in names)


def after_an_upgrade(*gone: str) -> TaskHub:
    async def main() -> TaskHub:
        database = memory()
        async with task_hub(app, database=database) as hub:
            await hub.start("steps")
            await hub.pass_time(1)
        async with task_hub(app, database=database) as hub:
            await hub.engine.stop(0)
            hub.engine = Engine(
                database, [without(*gone)], hub.worker, hub.engine.settings,
                clock=hub.clock, entropy=hub.entropy,
            )  # fmt: skip
            await hub.engine.start()
            hub.client = type(hub.client)(hub.engine)
            await hub.client.raise_event("i", "Go", "2")
            await hub.output()
            return hub

    return run_virtual(main())


def test_an_instance_whose_orchestrator_is_gone_fails_and_says_so() -> None:
    hub = after_an_upgrade("steps")

    assert hub.instance().status == records.FAILED
    assert "The function 'steps' doesn't exist" in (hub.instance().output or "")


def test_an_instance_whose_activity_is_gone_fails_and_says_so() -> None:
    hub = after_an_upgrade("echo")

    assert "The function 'echo' doesn't exist" in (hub.instance().output or "")


def test_a_result_that_is_no_json_fails_the_activity() -> None:
    async def main() -> Any:
        async with task_hub(app) as hub:
            return await hub.result("asks_for_a_set")

    assert "must be json serializable" in run_virtual(main())


def test_a_sub_orchestration_whose_id_is_in_use_fails_its_call() -> None:
    async def main() -> Any:
        async with task_hub(app) as hub:
            await hub.start("steps", None, "used")
            return await hub.result("takes_a_used_id")

    assert "already exists" in run_virtual(main())


def test_a_handler_that_the_library_did_not_make_is_given_the_whole_history_as_text() -> None:
    bodies: list[Any] = []

    def handler(context: func.OrchestrationContext) -> str:
        bodies.append(json.loads(context.body))
        return json.dumps({"isDone": True, "schemaVersion": 2, "actions": [[]], "output": 5})

    replay = replay_of(handler)
    outcome = replay.feed(lambda: {"instanceId": "i"}, [{"EventType": 12}, {"EventType": 0}])

    assert isinstance(replay, TextReplay)
    assert bodies == [{"instanceId": "i", "history": [{"EventType": 12}, {"EventType": 0}]}]
    assert (outcome.is_done, outcome.output) == (True, "5")


@pytest.mark.real
async def test_a_durable_http_call_gives_status_and_content() -> None:
    async def hello(_: web.Request) -> web.Response:
        return web.Response(status=201, text="hello")

    site_app = web.Application()
    site_app.router.add_get("/", hello)
    runner = web.AppRunner(site_app)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    try:
        async with task_hub(app) as hub:
            answer = await hub.result("asks_http", url)
            await runner.cleanup()
            failure = await hub.result("asks_http", url, "again")
    finally:
        await runner.cleanup()

    assert (answer["statusCode"], answer["content"]) == (201, "hello")
    assert "BuiltIn::HttpActivity" in failure
