"""Statuses, headers and bodies of the management endpoints (protocol, section 5)."""

import json
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import azure.durable_functions as df
import azure.functions as func
import pytest

from local_host.host import Host
from local_host.model import App, HttpAnswer
from tests.kit.hosting import ask, header, hosting
from tests.kit.task_hub import durable_app
from tests.kit.virtual_time import run_virtual

Steps = Generator[Any, Any, Any]
BASE = "/runtime/webhooks/durabletask"
JSON = {"content-type": "application/json"}


def make_app() -> df.DFApp:
    app = durable_app()

    @app.activity_trigger(input_name="x")
    def echo(x: Any) -> Any:
        return x

    @app.orchestration_trigger(context_name="context")
    def quick(context: Any) -> Steps:
        return (yield context.call_activity("echo", context.get_input()))

    @app.orchestration_trigger(context_name="context")
    def waits(context: Any) -> Steps:
        context.set_custom_status({"at": "wait"})
        return (yield context.wait_for_external_event("Go"))

    @app.orchestration_trigger(context_name="context")
    def sleeps(context: Any) -> Steps:
        yield context.create_timer(context.current_utc_datetime + timedelta(seconds=5))

    @app.orchestration_trigger(context_name="context")
    def fails(context: Any) -> Steps:
        yield context.call_activity("echo", 1)
        raise ValueError("broken")

    @app.entity_trigger(context_name="context")
    def counter(context: Any) -> None:
        context.set_state(context.get_state(lambda: 0) + context.get_input())

    @app.route(route="binding")
    @app.durable_client_input(client_name="client")
    async def binding(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> str:
        bindings = client._orchestration_bindings
        return json.dumps([bindings.rpc_base_url, bindings.task_hub_name])

    return app


@asynccontextmanager
async def running(**changes: Any) -> AsyncIterator[Host]:
    host_json = {"version": "2.0", "extensions": {"http": {"routePrefix": ""}}}
    async with hosting(App("app", register=make_app(), host_json=host_json), **changes) as host:
        yield host


async def post(host: Host, path: str, body: Any = None) -> HttpAnswer:
    text = b"" if body is None else json.dumps(body).encode()
    return await ask(host, "POST", f"{BASE}/{path}", headers=JSON, body=text)


async def get(host: Host, path: str) -> HttpAnswer:
    return await ask(host, "GET", f"{BASE}/{path}")


def content(answer: HttpAnswer) -> Any:
    return json.loads(answer.body)


def path_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


async def pause(host: Host, delay_s: float = 1) -> None:
    await host._clock.sleep(delay_s)


def test_a_start_answers_202_with_the_management_urls_but_rewind() -> None:
    async def main() -> HttpAnswer:
        async with running() as host:
            return await post(host, "orchestrators/waits/one")

    answer = run_virtual(main())
    urls = content(answer)
    assert answer.status == 202
    assert header(answer, "retry-after") == "10"
    assert header(answer, "location") == urls["statusQueryGetUri"]
    assert urls["id"] == "one"
    assert set(urls) == {
        "id", "statusQueryGetUri", "sendEventPostUri", "terminatePostUri",
        "purgeHistoryDeleteUri", "restartPostUri", "suspendPostUri", "resumePostUri",
    }  # fmt: skip


def test_a_start_without_an_id_gives_32_hex_digits() -> None:
    async def main() -> str:
        async with running() as host:
            return content(await post(host, "orchestrators/waits"))["id"]

    assert len(bytes.fromhex(run_virtual(main()))) == 16


def test_an_unknown_orchestrator_is_400_with_the_message_the_library_raises() -> None:
    async def main() -> HttpAnswer:
        async with running() as host:
            return await post(host, "orchestrators/nobody")

    answer = run_virtual(main())
    assert answer.status == 400
    assert "The function 'nobody' doesn't exist" in content(answer)["ExceptionMessage"]


def test_an_id_in_use_is_500_and_says_already_exists() -> None:
    async def main() -> HttpAnswer:
        async with running() as host:
            await post(host, "orchestrators/waits/one")
            return await post(host, "orchestrators/waits/one")

    answer = run_virtual(main())
    assert answer.status == 500
    assert "already exists" in content(answer)["ExceptionMessage"]


def test_a_running_instance_is_202_with_its_own_url_and_a_finished_one_200() -> None:
    async def main() -> tuple[HttpAnswer, HttpAnswer]:
        async with running() as host:
            await post(host, "orchestrators/waits/one", {"a": 1})
            await pause(host)
            before = await get(host, "instances/one?taskHub=TestHubName")
            await post(host, "instances/one/raiseEvent/Go", {"b": 2})
            await pause(host)
            return before, await get(host, "instances/one")

    before, after = run_virtual(main())
    assert before.status == 202
    assert header(before, "retry-after") == "5"
    assert (header(before, "location") or "").endswith(f"{BASE}/instances/one?taskHub=TestHubName")
    assert content(before)["customStatus"] == {"at": "wait"}
    assert content(before)["input"] == {"a": 1}
    assert after.status == 200
    assert content(after)["output"] == {"b": 2}
    assert content(after)["createdTime"] == "2026-01-01T00:00:00Z"


def test_an_unknown_instance_is_404_without_a_body() -> None:
    async def main() -> HttpAnswer:
        async with running() as host:
            return await get(host, "instances/nobody")

    answer = run_virtual(main())
    assert (answer.status, answer.body) == (404, b"")


def test_a_failed_instance_is_200_or_500_if_asked_for() -> None:
    async def main() -> tuple[int, int]:
        async with running() as host:
            await post(host, "orchestrators/fails/one")
            await pause(host)
            plain = await get(host, "instances/one")
            strict = await get(host, "instances/one?returnInternalServerErrorOnFailure=TRUE")
            return plain.status, strict.status

    assert run_virtual(main()) == (200, 500)


def test_history_folds_what_was_scheduled_into_its_completion() -> None:
    async def main() -> Any:
        async with running() as host:
            await post(host, "orchestrators/quick/one", {"a": 1})
            await pause(host)
            asked = "instances/one?showHistory=True&showHistoryOutput=True&showInput=false"
            return content(await get(host, asked))

    shown = run_virtual(main())
    kinds = [e["EventType"] for e in shown["historyEvents"]]
    done = shown["historyEvents"][1]
    assert kinds == ["ExecutionStarted", "TaskCompleted", "ExecutionCompleted"]
    assert (done["FunctionName"], done["Result"]) == ("echo", {"a": 1})
    assert "ScheduledTime" in done
    assert shown["input"] is None


@pytest.mark.parametrize(
    ("command", "running_status", "finished_status"),
    [
        ("terminate?reason=x", 202, 410),
        ("suspend?reason=x", 202, 410),
        ("resume?reason=x", 202, 410),
        ("raiseEvent/Other", 202, 410),
        ("rewind?reason=x", 400, 410),
        ("dance", 404, 404),
    ],
)
def test_commands(command: str, running_status: int, finished_status: int) -> None:
    async def main() -> tuple[int, int, int]:
        async with running() as host:
            await post(host, "orchestrators/waits/one")
            await post(host, "orchestrators/quick/two")
            await pause(host)
            unknown = (await post(host, f"instances/nobody/{command}", 1)).status
            live = (await post(host, f"instances/one/{command}", 1)).status
            return live, (await post(host, f"instances/two/{command}", 1)).status, unknown

    assert run_virtual(main()) == (running_status, finished_status, 404)


def test_an_event_that_is_not_json_is_400() -> None:
    async def main() -> tuple[int, int]:
        async with running() as host:
            await post(host, "orchestrators/waits/one")
            path = f"{BASE}/instances/one/raiseEvent/Go"
            plain = {"content-type": "text/plain"}
            wrong_type = await ask(host, "POST", path, headers=plain, body=b"1")
            broken = await ask(host, "POST", path, headers=JSON, body=b"{")
            return wrong_type.status, broken.status

    assert run_virtual(main()) == (400, 400)


def test_a_restart_answers_as_a_start() -> None:
    async def main() -> HttpAnswer:
        async with running() as host:
            await post(host, "orchestrators/quick/one")
            await pause(host)
            return await post(host, "instances/one/restart?restartWithNewInstanceId=false")

    answer = run_virtual(main())
    assert (answer.status, content(answer)["id"]) == (202, "one")


def test_a_list_comes_in_pages_and_by_filter() -> None:
    async def main() -> tuple[list[Any], list[Any], Any, int]:
        async with running() as host:
            for name in ("a1", "a2", "a3"):
                await post(host, f"orchestrators/waits/{name}")
            await post(host, "orchestrators/quick/b1")
            await pause(host)
            first = await get(host, "instances?top=3")
            token = header(first, "x-ms-continuation-token") or ""
            second = await ask(
                host, "GET", f"{BASE}/instances/?top=3", headers={"x-ms-continuation-token": token}
            )
            chosen = await get(
                host, "instances/?runtimeStatus=completed&createdTimeFrom=2020-01-01T00:00:00Z"
            )
            wrong = await get(host, "instances/?runtimeStatus=Odd")
            assert header(second, "x-ms-continuation-token") is None
            return content(first), content(second), content(chosen), wrong.status

    first, second, chosen, wrong = run_virtual(main())
    assert [i["instanceId"] for i in first] == ["a1", "a2", "a3"]
    assert [i["instanceId"] for i in second] == ["b1"]
    assert [i["instanceId"] for i in chosen] == ["b1"]
    assert wrong == 400


def test_purging_counts_what_it_removed() -> None:
    async def main() -> tuple[Any, int, int, int]:
        async with running() as host:
            await post(host, "orchestrators/quick/one")
            await post(host, "orchestrators/quick/two")
            await pause(host)
            single = await ask(host, "DELETE", f"{BASE}/instances/one")
            again = await ask(host, "DELETE", f"{BASE}/instances/one")
            without = await ask(host, "DELETE", f"{BASE}/instances/")
            since = await ask(
                host, "DELETE", f"{BASE}/instances/?createdTimeFrom=2020-01-01T00:00:00Z"
            )
            return content(single), again.status, without.status, content(since)["instancesDeleted"]

    assert run_virtual(main()) == ({"instancesDeleted": 1}, 404, 400, 1)


def test_a_start_with_a_timeout_waits_for_the_output() -> None:
    async def main() -> tuple[HttpAnswer, HttpAnswer]:
        async with running() as host:
            done = await post(host, "orchestrators/sleeps?timeout=10&pollingInterval=1")
            return done, await post(host, "orchestrators/waits?timeout=10&pollingInterval=1")

    done, late = run_virtual(main())
    assert (done.status, content(done)) == (200, None)
    assert late.status == 202


def test_entities_are_signaled_read_and_listed() -> None:
    async def main() -> tuple[int, HttpAnswer, Any, int]:
        async with running() as host:
            sent = await post(host, "entities/counter/a?op=add", json.dumps(3))
            await pause(host)
            state = await get(host, "entities/Counter/a")
            listed = content(await get(host, "entities?fetchState=true"))
            return sent.status, state, listed, (await get(host, "entities/counter/b")).status

    sent, state, listed, absent = run_virtual(main())
    assert (sent, state.status, state.body, absent) == (202, 200, b"3", 404)
    assert listed[0]["entityId"] == {"name": "counter", "key": "a"}
    assert listed[0]["state"] == 3


def test_the_webhook_asks_for_the_system_key_and_the_library_s_own_path_does_not() -> None:
    async def main() -> tuple[int, int, int, int]:
        async with running(checks_keys=True) as host:
            assert host.keys is not None
            key = host.keys.system("durabletask")
            without = await get(host, "instances/")
            with_key = await get(host, f"instances/?code={key}")
            rpc, _ = content(await ask(host, "GET", "/binding"))
            library = await ask(host, "GET", path_of(rpc + "instances/"))
            guessed = await ask(host, "GET", "/admin/durabletask/guess/TestHubName/instances/")
            assert rpc.endswith("/")
            return without.status, with_key.status, library.status, guessed.status

    assert run_virtual(main()) == (401, 200, 200, 404)
