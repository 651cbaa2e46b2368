"""Whoever waits for the answer to a call goes before work that nobody waits for."""

import asyncio
import json
from contextlib import AbstractAsyncContextManager
from typing import Any

import azure.functions as func

from local_host.host import Host
from tests.kit.hosting import ask, embedded, hosting, new_app
from tests.kit.virtual_time import LoopClock, run_virtual

RUNS = 50
RUN_S = 0.1


class Runs:
    """Counts the runs of `on_work`, which take as long as asked, as calls of `/wait` do."""

    def __init__(self) -> None:
        self.ended = 0

    def hosted(self) -> AbstractAsyncContextManager[Host]:
        app = new_app()

        @app.route("wait")
        async def wait(req: func.HttpRequest) -> str:
            await LoopClock().sleep(float(req.params["s"]))
            return ""

        @app.service_bus_queue_trigger(arg_name="message", queue_name="work", connection="SB")
        async def on_work(message: func.ServiceBusMessage) -> None:
            await LoopClock().sleep(float(message.get_body()))
            self.ended += 1

        return hosting(embedded(app, values={"SB": "embedded"}))


async def call(host: Host, seconds: float) -> "asyncio.Task[Any]":
    """Begin a call that takes *seconds*."""
    begun = asyncio.create_task(ask(host, "GET", f"/wait?s={seconds}"))
    await LoopClock().sleep(0)
    return begun


async def send_work(host: Host, seconds: float, times: int = 1) -> None:
    for _ in range(times):
        body = json.dumps({"input": str(seconds)}).encode()
        await ask(host, "POST", "/admin/functions/on_work", body=body)


def test_runs_that_nobody_waits_for_go_one_at_a_time_beside_a_call() -> None:
    async def main() -> int:
        runs = Runs()
        async with runs.hosted() as host:
            waited = await call(host, 3.5 * RUN_S)
            await send_work(host, RUN_S, RUNS)
            await waited
            return runs.ended

    assert run_virtual(main()) == 3


def test_runs_go_on_together_when_the_call_has_its_answer() -> None:
    async def main() -> int:
        runs = Runs()
        async with runs.hosted() as host:
            waited = await call(host, 3.5 * RUN_S)
            await send_work(host, RUN_S, RUNS)
            await waited
            await LoopClock().sleep(2 * RUN_S)
            return runs.ended

    assert run_virtual(main()) == RUNS


def test_a_call_that_takes_long_holds_up_nobody() -> None:
    async def main() -> int:
        runs = Runs()
        async with runs.hosted() as host:
            waited = await call(host, 3600)
            await LoopClock().sleep(1)
            await send_work(host, RUN_S, RUNS)
            await LoopClock().sleep(1.5 * RUN_S)
            waited.cancel()
            return runs.ended

    assert run_virtual(main()) == RUNS


def test_calls_that_never_pause_hold_up_a_run_for_half_a_second() -> None:
    async def main() -> int:
        runs = Runs()
        async with runs.hosted() as host:
            calls = [await call(host, 0.4)]
            await send_work(host, 3600)
            await send_work(host, 0.01)
            for _ in range(3):
                await LoopClock().sleep(0.2)
                calls.append(await call(host, 0.4))
            await asyncio.gather(*calls)
            return runs.ended

    assert run_virtual(main()) == 1
