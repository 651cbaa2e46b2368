"""What the worker does around a function (protocol page, section 1, "Execution")."""

import asyncio
import contextvars
import logging
import threading
from typing import Any

import azure.functions as func
import pytest

from local_host.host import Host, HostSettings
from tests.kit.hosting import ask, embedded, hosting, new_app, refusals
from tests.kit.patience import PATIENCE_S
from tests.kit.virtual_time import run_virtual

WHO: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


async def body_of(host: Host, path: str = "/x", **fields: Any) -> str:
    return (await ask(host, "GET", path, **fields)).body.decode()


def test_context_tells_function_invocation_and_trace() -> None:
    app = new_app()
    seen: list[Any] = []

    @app.route("x")
    async def f(req: func.HttpRequest, context: func.Context) -> str:
        seen.append(context)
        return ""

    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    async def main() -> None:
        async with hosting(embedded(app)) as host:
            await body_of(host, headers={"traceparent": trace, "tracestate": "a=b"})
            await body_of(host)

    run_virtual(main())

    first, second = seen
    assert first.function_name == "f"
    assert first.invocation_id != second.invocation_id
    assert first.thread_local_storage.invocation_id == first.invocation_id
    assert (first.trace_context.Traceparent, first.trace_context.trace_state) == (trace, "a=b")
    assert second.trace_context.trace_parent.startswith("00-")
    assert first.retry_context.retry_count == 0
    assert first.retry_context.max_retry_count == 0


async def test_a_plain_function_runs_in_a_thread_with_the_callers_context_variables() -> None:
    app = new_app()

    @app.route("x")
    def f(req: func.HttpRequest) -> str:
        return f"{threading.current_thread() is threading.main_thread()} {WHO.get()}"

    async with hosting(embedded(app), settings=HostSettings(environ={})) as host:
        WHO.set("caller")

        assert await body_of(host) == "False caller"


async def test_plain_functions_run_side_by_side() -> None:
    app = new_app()
    both = threading.Barrier(2, timeout=PATIENCE_S)

    @app.route("x")
    def f(req: func.HttpRequest) -> str:
        both.wait()
        return "met"

    async with hosting(embedded(app), settings=HostSettings(environ={})) as host:
        assert await asyncio.gather(body_of(host), body_of(host)) == ["met", "met"]


def test_a_result_without_a_place_for_it_fails_the_invocation(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = new_app()

    @app.timer_trigger(arg_name="t", schedule="0 0 0 * * *", run_on_startup=True)
    async def f(t: func.TimerRequest):  # type: ignore[no-untyped-def]  # noqa: ANN202
        return "something"

    async def main() -> None:
        async with hosting(embedded(app)):
            await asyncio.wait_for(asyncio.Event().wait(), 1)

    with caplog.at_level(logging.ERROR), pytest.raises(TimeoutError):
        run_virtual(main())

    assert "without a $return binding returned a non-None value" in caplog.text


def test_a_function_that_runs_too_long_is_stopped() -> None:
    app = new_app()
    ended: list[str] = []

    @app.route("x")
    async def f(req: func.HttpRequest) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("stopped")
        return ""

    limited = {
        "version": "2.0",
        "functionTimeout": "00:05:00",
        "extensions": {"http": {"routePrefix": ""}},
    }

    async def main() -> tuple[int, float]:
        async with hosting(embedded(app, host_json=limited)) as host:
            began = asyncio.get_running_loop().time()
            answer = await ask(host, "GET", "/x")
            return answer.status, asyncio.get_running_loop().time() - began

    assert run_virtual(main()) == (500, 300.0)
    assert ended == ["stopped"]


def test_a_timeout_that_the_function_raises_itself_is_its_own() -> None:
    app = new_app()

    @app.route("x")
    async def f(req: func.HttpRequest) -> str:
        raise TimeoutError("mine")

    async def main() -> int:
        async with hosting(embedded(app)) as host:
            return (await ask(host, "GET", "/x")).status

    assert run_virtual(main()) == 500


@pytest.mark.parametrize(
    ("build", "said"),
    [
        ("blob_trigger", "this host serves no blobTrigger"),
        ("blob_input", "input binding 'blob' is of type blob"),
        ("blob_output", "output binding 'blob' is of type blob"),
    ],
)
def test_a_binding_nobody_serves_costs_its_function_and_says_so(build: str, said: str) -> None:
    app = new_app()
    where: dict[str, Any] = {"arg_name": "blob", "path": "c/x", "connection": "S"}
    if build == "blob_trigger":

        @app.blob_trigger(**where)
        async def f(blob: func.InputStream) -> None: ...

    elif build == "blob_input":

        @app.route("x")
        @app.blob_input(**where)
        async def g(req: func.HttpRequest, blob: str) -> str:
            return ""

    else:

        @app.route("x")
        @app.blob_output(**where)
        async def h(req: func.HttpRequest, blob: func.Out[str]) -> str:
            return ""

    @app.route("other")
    async def other(req: func.HttpRequest) -> str:
        return "runs"

    async def main() -> None:
        async with hosting(embedded(app)) as host:
            assert said in " ".join(refusals(host).values())
            assert await body_of(host, "/other") == "runs"

    run_virtual(main())


def test_warmup_runs_once_at_start_and_when_asked() -> None:
    app = new_app()
    warmed: list[str] = []

    @app.warm_up_trigger("warm")
    async def f(warm) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        warmed.append(type(warm).__name__)

    async def main() -> None:
        async with hosting(embedded(app)) as host:
            assert warmed == ["WarmUpContext"]
            assert (await ask(host, "GET", "/admin/warmup")).status == 200

    run_virtual(main())

    assert len(warmed) == 2
