"""Whatever user code throws ends the invocation that it was thrown in, and nothing else."""

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import azure.functions as func
import pytest

from local_host.host import Host, HostSettings
from shared.kernel.clock import SystemClock
from tests.kit.hosting import ask, embedded, hosting, new_app
from tests.kit.patience import PATIENCE_S
from tests.kit.virtual_time import run_virtual


class _Unprintable(Exception):
    def __str__(self) -> str:
        raise SystemExit(4)


THROWN: list[Callable[[], BaseException]] = [
    lambda: ValueError("no"),
    lambda: SystemExit(3),
    KeyboardInterrupt,
    lambda: StopIteration("value"),
    StopAsyncIteration,
    GeneratorExit,
    asyncio.CancelledError,
    _Unprintable,
    lambda: BaseException("bare"),
    lambda: BaseExceptionGroup("two", [SystemExit(1), ValueError("\ud83d")]),
]
each_thrown = pytest.mark.parametrize("thrown", THROWN, ids=lambda make: repr(type(make())))
IN_THREADS = HostSettings(environ={})


@each_thrown
@pytest.mark.parametrize("settings", [IN_THREADS, HostSettings(threads=0, environ={})])
async def test_a_plain_function_that_throws_is_a_500_at_once(
    thrown: Callable[[], BaseException], settings: HostSettings
) -> None:
    app = new_app()

    @app.route("x")
    def f(req: func.HttpRequest) -> str:
        raise thrown()

    async with hosting(embedded(app), settings=settings) as host:
        assert (await asyncio.wait_for(ask(host, "GET", "/x"), PATIENCE_S)).status == 500
        assert (await ask(host, "GET", "/")).status == 200


async def test_a_generator_that_ends_is_a_500_at_once() -> None:
    app = new_app()

    @app.route("x")
    def f(req: func.HttpRequest) -> str:
        nothing: Iterator[str] = iter([])
        return next(nothing)

    async with hosting(embedded(app), settings=IN_THREADS) as host:
        assert (await asyncio.wait_for(ask(host, "GET", "/x"), PATIENCE_S)).status == 500


@each_thrown
def test_an_async_function_that_throws_is_a_500(thrown: Callable[[], BaseException]) -> None:
    app = new_app()

    @app.route("x")
    async def f(req: func.HttpRequest) -> str:
        raise thrown()

    async def main() -> list[int]:
        async with hosting(embedded(app)) as host:
            return [(await ask(host, "GET", path)).status for path in ("/x", "/")]

    assert run_virtual(main()) == [500, 200]


@each_thrown
def test_a_timer_that_throws_fires_again(thrown: Callable[[], BaseException]) -> None:
    app = new_app()
    ran: list[bool] = []

    @app.timer_trigger(arg_name="t", schedule="0 * * * * *", run_on_startup=True)
    async def f(t: func.TimerRequest) -> None:
        ran.append(True)
        raise thrown()

    async def main() -> None:
        async with hosting(embedded(app)):
            await asyncio.wait_for(asyncio.Event().wait(), 200)

    with pytest.raises(TimeoutError):
        run_virtual(main())

    assert len(ran) >= 3


async def _cancel_own_task(*, waits: bool) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    if waits:
        await asyncio.Event().wait()


@pytest.mark.parametrize("waits", [True, False], ids=["and waits", "and returns"])
def test_a_timer_that_cancels_its_task_fires_again(*, waits: bool) -> None:
    app = new_app()
    ran: list[bool] = []

    @app.timer_trigger(arg_name="t", schedule="0 * * * * *", run_on_startup=True)
    async def f(t: func.TimerRequest) -> None:
        ran.append(True)
        await _cancel_own_task(waits=waits)

    async def main() -> None:
        async with hosting(embedded(app)):
            await asyncio.wait_for(asyncio.Event().wait(), 200)

    with pytest.raises(TimeoutError):
        run_virtual(main())

    assert 3 <= len(ran) <= 5


@pytest.mark.parametrize("waits", [True, False], ids=["and waits", "and returns"])
def test_a_call_that_cancels_its_task_is_a_500_or_its_answer(*, waits: bool) -> None:
    app = new_app()

    @app.route("x")
    async def f(req: func.HttpRequest) -> str:
        await _cancel_own_task(waits=waits)
        return "answer"

    async def main() -> int:
        async with hosting(embedded(app), port=0) as host, aiohttp.ClientSession() as session:
            async with session.get(f"{host.base_url}/x") as answer:
                status = answer.status
            async with session.get(host.base_url) as answer:
                assert answer.status == 200
            return status

    assert asyncio.run(main()) == (500 if waits else 200)


@pytest.mark.parametrize("waits", [True, False], ids=["and waits", "and returns"])
def test_a_message_whose_function_cancels_its_task_is_settled(*, waits: bool) -> None:
    app = new_app()
    taken: list[int] = []

    @app.route("x")
    @app.service_bus_queue_output("out", connection="S", queue_name="q")
    async def sends(req: func.HttpRequest, out: func.Out[str]) -> str:
        out.set("text")
        return ""

    @app.service_bus_queue_trigger("m", connection="S", queue_name="q")
    async def takes(m: func.ServiceBusMessage) -> None:
        taken.append(int(m.delivery_count or 0))
        await _cancel_own_task(waits=waits)

    async def main() -> None:
        async with hosting(embedded(app)) as host:
            await ask(host, "GET", "/x")
            await asyncio.wait_for(asyncio.Event().wait(), 20)

    with pytest.raises(TimeoutError):
        run_virtual(main())

    assert taken == list(range(1, 11))


def test_a_function_that_ignores_its_timeout_has_timed_out_when_it_returns(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = new_app()

    @app.route("x")
    async def f(req: func.HttpRequest) -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "late"

    limited = {
        "version": "2.0",
        "functionTimeout": "00:01:00",
        "extensions": {"http": {"routePrefix": ""}},
    }

    async def main() -> int:
        async with hosting(embedded(app, host_json=limited)) as host:
            return (await ask(host, "GET", "/x")).status

    with caplog.at_level(logging.ERROR):
        assert run_virtual(main()) == 500

    assert "Timeout value of 0:01:00 was exceeded by function: Functions.f" in caplog.text


def test_plain_functions_that_never_end_are_counted_and_leave_the_others_their_threads(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app, release = new_app(), threading.Event()

    @app.route("stuck")
    def stuck(req: func.HttpRequest) -> str:
        release.wait(60)
        return "late"

    @app.route("well")
    def well(req: func.HttpRequest) -> str:
        return "well"

    limited = {
        "version": "2.0",
        "functionTimeout": "00:00:01",
        "extensions": {"http": {"routePrefix": ""}},
    }

    async def status(host: Host) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads((await ask(host, "GET", "/admin/host/status")).body)
        return shown

    async def main() -> None:
        settings = HostSettings(threads=2, environ={})
        async with hosting(embedded(app, host_json=limited), settings=settings) as host:
            assert "errors" not in await status(host)
            stuck = [ask(host, "GET", "/stuck") for _ in range(2)]
            assert [answer.status for answer in await asyncio.gather(*stuck)] == [500, 500]

            answers = [await ask(host, "GET", "/well") for _ in range(4)]

            assert [answer.body for answer in answers] == [b"well"] * 4
            assert (await status(host))["errors"] == [
                "2 runs of stuck go on past their timeout, each in a thread of its own"
            ]
            release.set()
            while "errors" in await status(host):
                await SystemClock().sleep(0.01)

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())

    assert "stuck did not end at its timeout" in caplog.text
    assert "a run of stuck has ended, long after its timeout" in caplog.text


def test_an_output_that_throws_while_it_is_written_fails_its_function_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = new_app()

    class _Odd(func.Document):
        def to_json(self) -> str:
            raise SystemExit(5)

    @app.route("x")
    @app.cosmos_db_output("out", container_name="c", database_name="d", connection="C")
    async def f(req: func.HttpRequest, out: func.Out[func.Document]) -> str:
        out.set(_Odd())
        return ""

    async def main() -> list[int]:
        async with hosting(embedded(app)) as host:
            return [(await ask(host, "GET", path)).status for path in ("/x", "/")]

    with caplog.at_level(logging.ERROR):
        assert run_virtual(main()) == [500, 200]

    assert "f failed" in caplog.text


def test_the_log_of_a_failure_names_file_and_line(caplog: pytest.LogCaptureFixture) -> None:
    app = new_app()

    @app.route("x")
    def f(req: func.HttpRequest) -> str:
        raise ValueError("no")

    async def main() -> None:
        async with hosting(embedded(app)) as host:
            await ask(host, "GET", "/x")

    with caplog.at_level(logging.ERROR):
        run_virtual(main())

    assert 'test_what_is_thrown_ends_its_invocation.py", line ' in caplog.text
    assert "ValueError: no" in caplog.text


def test_a_text_without_end_is_cut_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    app = new_app()

    @app.route("x")
    async def f(req: func.HttpRequest) -> str:
        raise ValueError("x" * 10_000_000)

    async def main() -> None:
        async with hosting(embedded(app)) as host:
            await ask(host, "GET", "/x")

    with caplog.at_level(logging.ERROR):
        run_virtual(main())

    assert len(caplog.records[-1].getMessage()) < 40_000


def test_a_function_on_a_queue_that_throws_leaves_a_stack_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = new_app()

    @app.route("x")
    @app.service_bus_queue_output("out", connection="S", queue_name="q")
    async def sends(req: func.HttpRequest, out: func.Out[str]) -> str:
        out.set("text")
        return ""

    @app.service_bus_queue_trigger("m", connection="S", queue_name="q")
    async def takes(m: func.ServiceBusMessage) -> None:
        raise SystemExit(7)

    async def main() -> None:
        async with hosting(embedded(app)) as host:
            await ask(host, "GET", "/x")
            await asyncio.wait_for(asyncio.Event().wait(), 60)

    with caplog.at_level(logging.WARNING), pytest.raises(TimeoutError):
        run_virtual(main())

    failures = [r for r in caplog.records if "takes failed on message" in r.getMessage()]
    assert len(failures) == 10
    assert all(r.exc_info and r.exc_info[2] is not None for r in failures)


def test_a_function_on_a_change_feed_that_throws_is_shown_the_next_change(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = new_app()
    seen: list[Any] = []

    @app.route("x/{id}")
    @app.cosmos_db_output(
        "out", container_name="c", database_name="d", connection="C", create_if_not_exists=True
    )
    async def writes(req: func.HttpRequest, out: func.Out[func.Document]) -> str:
        out.set(func.Document.from_dict({"id": req.route_params["id"]}))
        return ""

    @app.cosmos_db_trigger(
        "docs", container_name="c", database_name="d", connection="C", lease_container_name="l"
    )
    async def follows(docs: func.DocumentList) -> None:
        seen.append([doc["id"] for doc in docs])
        raise KeyboardInterrupt

    async def main() -> None:
        async with hosting(embedded(app)) as host:
            await ask(host, "GET", "/x/0")
            await asyncio.wait({asyncio.ensure_future(asyncio.Event().wait())}, timeout=60)
            await ask(host, "GET", "/x/1")
            await asyncio.wait({asyncio.ensure_future(asyncio.Event().wait())}, timeout=60)

    with caplog.at_level(logging.ERROR):
        run_virtual(main())

    assert seen[-1] == ["1"]
    failed = [r for r in caplog.records if "follows failed" in r.getMessage()]
    assert failed
    assert failed[0].exc_info
