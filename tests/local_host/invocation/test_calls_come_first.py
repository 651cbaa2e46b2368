"""Whoever waits for the answer to a call goes before work that nobody waits for."""

import asyncio
import json
from typing import Any

import azure.functions as func

from tests.kit.hosting import ask, embedded, hosting, new_app
from tests.kit.virtual_time import LoopClock, run_virtual

HOPS = 10
"""Turns of the loop that a call takes here."""
RUNS = 50


def app_of(ended: list[str]) -> func.FunctionApp:
    """Return an app that notes the end of each run; `/long` is answered after an hour."""
    app = new_app()

    @app.route("short")
    async def short(req: func.HttpRequest) -> str:
        for _ in range(HOPS):
            await LoopClock().sleep(0)
        ended.append("call")
        return ""

    @app.route("long")
    async def long(req: func.HttpRequest) -> str:
        await LoopClock().sleep(3600)
        return ""

    @app.service_bus_queue_trigger(arg_name="message", queue_name="work", connection="SB")
    async def on_work(message: func.ServiceBusMessage) -> None:
        ended.append("message")

    return app


async def send_work(host: Any) -> None:
    for _ in range(RUNS):
        await ask(host, "POST", "/admin/functions/on_work", body=json.dumps({"input": ""}).encode())


def test_runs_that_nobody_waits_for_let_a_call_pass() -> None:
    async def main() -> list[str]:
        ended: list[str] = []
        async with hosting(embedded(app_of(ended), values={"SB": "embedded"})) as host:
            call = asyncio.ensure_future(ask(host, "GET", "/short"))
            await LoopClock().sleep(0)
            await send_work(host)
            await call
            before = ended.index("call")
            await LoopClock().sleep(60)
            assert ended.count("message") == RUNS
            return ended[:before]

    assert run_virtual(main()) == []


def test_a_call_that_takes_long_holds_up_nobody() -> None:
    async def main() -> list[str]:
        ended: list[str] = []
        async with hosting(embedded(app_of(ended), values={"SB": "embedded"})) as host:
            call = asyncio.ensure_future(ask(host, "GET", "/long"))
            await LoopClock().sleep(1)
            await send_work(host)
            await LoopClock().sleep(1)
            found = list(ended)
            call.cancel()
            return found

    assert run_virtual(main()) == ["message"] * RUNS
