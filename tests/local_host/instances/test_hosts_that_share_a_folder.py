"""Hosts of one state folder, in one process: what each does, asks for and refuses."""

import asyncio
import json
import stat
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import azure.durable_functions as df
import azure.functions as func
import pytest

from local_host.durable import primary_endpoint
from local_host.durable.extension import ASK_AGAIN_S
from local_host.durable.primary_endpoint import NobodyAnswers, PrimaryClient, PrimaryEndpoint
from local_host.host import Host, HostSettings
from local_host.http_trigger.http_server import HttpServer
from local_host.model import App, HttpAnswer, HttpCall
from shared.kernel.clock import SystemClock
from shared.kernel.errors import Unavailable
from tests.kit.hosting import ask, embedded, header, new_app, refusals
from tests.kit.patience import PATIENCE_S
from tests.kit.task_hub import durable_app

pytestmark = pytest.mark.real
BASE = "/runtime/webhooks/durabletask"
JSON = {"content-type": "application/json"}
Steps = Generator[Any, Any, Any]


def an_instance(folder: Path, *apps: App, joins: bool = True, **changes: Any) -> Host:
    settings = HostSettings(port=0, joins=joins, environ={}, grace_s=0.1, **changes)
    return Host(apps or [embedded(durable())], settings, folder=folder)


def durable() -> df.DFApp:
    app = durable_app()

    @app.activity_trigger(input_name="x")
    def double(x: int) -> int:
        return 2 * x

    @app.orchestration_trigger(context_name="context")
    def work(context: Any) -> Steps:
        given = yield context.wait_for_external_event("Go")
        return (yield context.call_activity("double", int(given)))

    @app.route(route="start")
    @app.durable_client_input(client_name="client")
    async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> str:
        return await client.start_new("work", "i")

    return app


@asynccontextmanager
async def running(*hosts: Host) -> AsyncIterator[None]:
    """Start *hosts* in order; the first is the primary of those on one folder."""
    started = []
    try:
        for host in hosts:
            await host.start()
            started.append(host)
        yield
    finally:
        for host in reversed(started):
            await host.stop()


async def shown(host: Host, path: str = f"{BASE}/instances/i") -> Any:
    answer = await ask(host, "GET", path)
    assert answer.body, answer
    return json.loads(answer.body)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await SystemClock().sleep(0.02)


async def until_finished(host: Host) -> Any:
    async with asyncio.timeout(PATIENCE_S):
        while (status := await shown(host))["runtimeStatus"] != "Completed":
            await SystemClock().sleep(0.02)
    return status


async def test_what_is_started_at_one_instance_runs_at_the_primary_and_is_known_to_both(
    tmp_path: Path,
) -> None:
    first, second = an_instance(tmp_path), an_instance(tmp_path)
    async with running(first, second):
        assert (first.is_primary, second.is_primary) == (True, False)
        assert (await ask(second, "GET", "/start")).body == b"i"
        assert (await shown(first))["runtimeStatus"] in {"Pending", "Running"}

        raised = await ask(
            second, "POST", f"{BASE}/instances/i/raiseEvent/Go", headers=JSON, body=b"21"
        )

        assert raised.status == 202
        assert (await until_finished(second))["output"] == 42
        assert await shown(first) == await shown(second)


async def test_links_name_the_instance_that_was_asked_and_no_secret(tmp_path: Path) -> None:
    first, second = an_instance(tmp_path), an_instance(tmp_path)
    async with running(first, second):
        call = HttpCall("POST", f"{BASE}/orchestrators/work/i", origin=second.base_url)
        started = await second.handle(call)
        links = json.loads(started.body)
        url = urlsplit(links["statusQueryGetUri"])
        status = await second.handle(HttpCall("GET", url.path, url.query, origin=second.base_url))

        assert f"{url.scheme}://{url.netloc}" == second.base_url
        assert header(started, "location") == links["statusQueryGetUri"]
        assert header(status, "location") == links["statusQueryGetUri"]
        assert stat.S_IMODE((tmp_path / primary_endpoint.FILE).stat().st_mode) == 0o600


async def test_refusals_of_the_primary_reach_the_caller_as_they_are(tmp_path: Path) -> None:
    first, second = an_instance(tmp_path), an_instance(tmp_path)
    calls: list[tuple[str, str, bytes]] = [
        ("POST", f"{BASE}/orchestrators/unknown", b""),
        ("GET", f"{BASE}/instances/unknown", b""),
        ("POST", f"{BASE}/instances/unknown/raiseEvent/Go", b"1"),
        ("GET", f"{BASE}/instances?runtimeStatus=nonsense", b""),
        ("GET", f"{BASE}/instances?taskHub=another", b""),
        ("DELETE", f"{BASE}/instances/%C3%A4%20b", b""),
    ]
    async with running(first, second):
        for method, path, body in calls:
            answers = [
                await ask(host, method, path, headers=JSON, body=body) for host in (first, second)
            ]
            assert answers[0].status == answers[1].status >= 400, path
            assert answers[0].body == answers[1].body, path


async def test_a_secondary_takes_over_and_goes_on_with_what_was_begun(tmp_path: Path) -> None:
    first, second = an_instance(tmp_path), an_instance(tmp_path)
    async with running(first, second):
        await ask(second, "GET", "/start")
        await first.stop()

        # Sent while there is no primary: it waits for one.
        raised = await ask(
            second, "POST", f"{BASE}/instances/i/raiseEvent/Go", headers=JSON, body=b"4"
        )

        assert raised.status == 202
        assert second.is_primary
        assert (await until_finished(second))["output"] == 8
        assert (await shown(second, "/admin/host/status"))["isPrimary"] is True


async def test_a_timer_runs_at_the_primary_only_and_at_the_next_one_when_that_ends(
    tmp_path: Path,
) -> None:
    ran: list[str] = []

    def ticking(name: str) -> App:
        app = new_app()

        @app.timer_trigger(arg_name="timer", schedule="* * * * * *", use_monitor=False)
        async def tick(timer: func.TimerRequest) -> None:
            ran.append(name)

        return embedded(app)

    first = an_instance(tmp_path, ticking("first"))
    second = an_instance(tmp_path, ticking("second"))
    async with running(first, second):
        await until(lambda: len(ran) >= 2)
        assert set(ran) == {"first"}
        await first.stop()
        before = len(ran)

        await until(lambda: len(ran) > before)

        assert ran[before] == "second"


async def test_while_nobody_is_primary_the_answer_is_503_in_json(tmp_path: Path) -> None:
    class Still(SystemClock):
        """No time passes but what is slept."""

        now_s = 0.0

        def monotonic_s(self) -> float:
            return self.now_s

        async def sleep(self, delay_s: float) -> None:
            if delay_s == ASK_AGAIN_S:
                self.now_s += delay_s
                return
            await asyncio.Event().wait()

    first = an_instance(tmp_path)
    second = Host(
        [embedded(durable())],
        HostSettings(port=0, joins=True, environ={}, grace_s=0.1),
        folder=tmp_path,
        clock=Still(),
    )
    async with running(first, second):
        await first.stop()

        answer = await ask(second, "GET", f"{BASE}/instances/i")

    assert answer.status == 503
    assert json.loads(answer.body) == {"message": "no host of the folder is the primary now"}
    assert header(answer, "retry-after") == "1"


@pytest.mark.parametrize("proof", ["", "of another", "pr\u00f6\u00f6f"])
async def test_a_program_that_is_not_the_primary_is_not_believed(
    tmp_path: Path, proof: str
) -> None:
    async def accept(_: HttpCall) -> HttpAnswer:
        return HttpAnswer(202, [(primary_endpoint.PROOF, proof)])

    server = HttpServer("127.0.0.1", 0, grace_s=0.1)
    server.open()
    await server.start(accept, SystemClock())
    PrimaryEndpoint(f"http://127.0.0.1:{server.port}", "proof").write(tmp_path)
    client = PrimaryClient(tmp_path)
    try:
        with pytest.raises(NobodyAnswers):
            await client.forward(HttpCall("POST", BASE), "hub", "instances/i/raiseEvent/Go")
    finally:
        await client.close()
        await server.stop()


@pytest.mark.parametrize(("method", "problem"), [("GET", NobodyAnswers), ("POST", Unavailable)])
async def test_a_command_whose_answer_is_lost_is_not_sent_again(
    method: str, problem: type[Exception], tmp_path: Path
) -> None:
    asked: list[bytes] = []

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    PrimaryEndpoint(f"http://127.0.0.1:{port}", "proof").write(tmp_path)
    client = PrimaryClient(tmp_path)
    try:
        with pytest.raises(problem):
            await client.forward(HttpCall(method, BASE), "hub", "instances/i/raiseEvent/Go")
    finally:
        await client.close()
        server.close()

    assert len(asked) == 1 or method == "GET"


async def test_both_ask_for_the_same_keys(tmp_path: Path) -> None:
    first = an_instance(tmp_path, checks_keys=True)
    second = an_instance(tmp_path, checks_keys=True)
    async with running(first, second):
        assert first.keys is not None
        assert second.keys is not None
        key = first.keys.system("durabletask")
        assert (second.keys.master, second.keys.system("durabletask")) == (first.keys.master, key)

        refused = await ask(second, "POST", f"{BASE}/orchestrators/work/i")
        taken = await ask(second, "POST", f"{BASE}/orchestrators/work/i?code={key}")

        assert (refused.status, taken.status) == (401, 202)


async def test_a_function_on_the_hosts_own_cloud_is_refused_with_what_to_set(
    tmp_path: Path,
) -> None:
    app = new_app()

    @app.service_bus_queue_trigger(arg_name="message", queue_name="orders", connection="SB")
    async def on_order(message: func.ServiceBusMessage) -> None: ...

    @app.cosmos_db_trigger(
        arg_name="documents", connection="", database_name="a", container_name="b"
    )
    async def on_change(documents: func.DocumentList) -> None: ...

    @app.route("send")
    @app.service_bus_queue_output(arg_name="out", queue_name="orders", connection="SB")
    async def send(req: func.HttpRequest, out: func.Out[str]) -> str:
        return ""

    @app.route("write")
    @app.cosmos_db_output(arg_name="out", connection="DB", database_name="a", container_name="b")
    async def write(req: func.HttpRequest, out: func.Out[func.Document]) -> str:
        return ""

    host = an_instance(tmp_path, embedded(app))
    async with running(host):
        reasons = refusals(host)

    assert "set SB to a connection string, or SB__fullyQualifiedNamespace" in reasons["on_order"]
    assert "CosmosDB to a connection string, or CosmosDB__accountEndpoint" in reasons["on_change"]
    assert "call azure-servicebus in the function" in reasons["send"]
    assert "call azure-cosmos in the function" in reasons["write"]


async def test_an_app_of_ours_is_not_given_the_parts_of_a_host_that_joins(tmp_path: Path) -> None:
    source = Path(__file__).parents[3] / "function_apps"
    assert source.is_dir()
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "function_app.py").write_text(
        "import os\n"
        "import azure.durable_functions as df\n"
        "from function_apps.catalog.function_app import bound\n"
        "app = df.DFApp()\n"
        "app.register_functions(bound({'RUNTIME_PROFILE': 'local'}))\n"
    )
    host = an_instance(tmp_path / "state", App("catalog", folder))
    async with running(host):
        reasons = " ".join(host.apps[0].problem.reasons if host.apps[0].problem else ())

    assert "CosmosDB__accountEndpoint" in reasons
    assert "ServiceBus__fullyQualifiedNamespace" in reasons
