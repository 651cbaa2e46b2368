"""The front end joins the processes of several apps under one address."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import pytest

from local_host.front_end.front_end import WAITS_S, FrontEnd, forwarding_session
from local_host.http_trigger.http_server import HttpServer
from local_host.model import HttpAnswer, HttpCall
from shared.kernel.clock import SystemClock
from tests.kit.real_system import free_port
from tests.kit.seeded_entropy import SeededEntropy

CATALOG: Final = "/v1/runtime/services"
PATHS: Final = {"catalog": CATALOG, "health": "/v1/runtime/services/{id}/health"}
Answer = Callable[[HttpCall], Awaitable[HttpAnswer]]


@dataclass
class Backend:
    """One process of an app: a server of this test, which keeps the calls that it got."""

    app: str
    answer: Answer
    number: int = 1
    is_ready: bool = True
    pid: int | None = 7
    port: int = 0
    calls: list[HttpCall] = field(default_factory=list)
    refuses: HttpAnswer | None = None
    """Its answer to heads of long bodies; None: it takes them."""

    async def check(self, _head: HttpCall) -> HttpAnswer | None:
        return self.refuses

    @property
    def name(self) -> str:
        return f"{self.app}-{self.number}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def handle(self, call: HttpCall) -> HttpAnswer:
        if call.path.endswith("/openapi.json"):
            return HttpAnswer(200, (), json.dumps({"paths": {PATHS[self.app]: {}}}).encode())
        self.calls.append(call)
        return await self.answer(call)


async def done(call: HttpCall) -> HttpAnswer:
    return HttpAnswer(200, (("x-seen", call.path),))


class Impatient(SystemClock):
    """A clock on which waiting takes no time."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def monotonic_s(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@asynccontextmanager
async def front_end(
    *backends: Backend, clock: SystemClock | None = None
) -> AsyncIterator[FrontEnd]:
    async with AsyncExitStack() as opened:
        for backend in backends:
            server = HttpServer("127.0.0.1", 0, grace_s=0.1)
            server.open()
            await server.start(backend.handle, SystemClock(), check=backend.check)
            opened.push_async_callback(server.stop)
            backend.port = server.port
        session = await opened.enter_async_context(forwarding_session())
        apps = {backend.app: [b for b in backends if b.app == backend.app] for backend in backends}
        yield FrontEnd(apps, session, clock or SystemClock(), SeededEntropy(1))


async def test_a_call_goes_to_the_app_whose_document_has_its_path() -> None:
    catalog, health = Backend("catalog", done), Backend("health", done)
    async with front_end(catalog, health) as front:
        await front.handle(HttpCall("GET", CATALOG, "top=1"))
        await front.handle(HttpCall("GET", "/runtime/services/svc-1/health"))

    assert [(c.path, c.query) for c in catalog.calls] == [(CATALOG, "top=1")]
    assert [c.path for c in health.calls] == ["/runtime/services/svc-1/health"]


async def test_the_apps_own_paths_go_to_it_by_name() -> None:
    health = Backend("health", done)
    async with front_end(Backend("catalog", done), health) as front:
        await front.handle(HttpCall("GET", "/v1/platform/health/alive"))

    assert [call.path for call in health.calls] == ["/v1/platform/health/alive"]


async def test_an_operation_goes_to_the_app_that_its_id_names() -> None:
    health = Backend("health", done)
    operation = f"op-health-{'a' * 12}-{'0' * 16}"
    async with front_end(Backend("catalog", done), health) as front:
        await front.handle(HttpCall("GET", f"/v1/runtime/operations/{operation}"))

    assert len(health.calls) == 1


async def test_a_path_of_no_app_is_not_found_with_a_reason() -> None:
    async with front_end(Backend("catalog", done)) as front:
        answer = await front.handle(HttpCall("GET", "/v1/runtime/nothing"))

    assert answer.status == 404
    assert b"no route GET /v1/runtime/nothing" in answer.body


async def test_body_and_headers_arrive_without_those_of_the_connection() -> None:
    catalog = Backend("catalog", done)
    headers = (("host", "shop.example"), ("authorization", "Bearer t"), ("connection", "x-hop"))
    async with front_end(catalog) as front:
        answer = await front.handle(
            HttpCall("POST", CATALOG, "", (*headers, ("x-hop", "1")), b"{}")
        )

    (call,) = catalog.calls
    assert (call.body, call.header("host"), call.header("authorization")) == (
        b"{}", "shop.example", "Bearer t",
    )  # fmt: skip
    assert dict(answer.headers)["x-seen"] == CATALOG
    assert call.header("x-hop") is None


async def test_the_instances_of_an_app_take_turns() -> None:
    both = [Backend("catalog", done, number) for number in (1, 2)]
    async with front_end(*both) as front:
        for _ in range(4):
            await front.handle(HttpCall("GET", CATALOG))

    assert all(len(backend.calls) >= 2 for backend in both)


async def test_an_instance_that_is_gone_is_not_noticed_while_another_one_answers() -> None:
    gone, there = Backend("catalog", done, 1), Backend("catalog", done, 2)
    async with front_end(gone, there) as front:
        gone.port = free_port()
        statuses = [(await front.handle(HttpCall("POST", CATALOG))).status for _ in range(4)]

    assert statuses == [200] * 4


async def test_a_call_waits_until_an_instance_is_ready() -> None:
    backend = Backend("catalog", done, is_ready=False)
    async with front_end(backend) as front:
        waiting = asyncio.ensure_future(front.handle(HttpCall("GET", CATALOG)))
        await SystemClock().sleep(0)
        assert not waiting.done()
        backend.is_ready = True
        answer = await waiting

    assert answer.status == 200


async def test_an_app_that_does_not_start_delays_no_call_of_the_others() -> None:
    clock = Impatient()
    away = Backend("health", done, is_ready=False)
    async with front_end(Backend("catalog", done), away, clock=clock) as front:
        await front.handle(HttpCall("GET", CATALOG))
        waited_s = clock.now_s
        answer = await front.handle(HttpCall("GET", CATALOG))

    assert answer.status == 200
    assert clock.now_s == waited_s


async def test_an_app_with_an_odd_document_is_not_found_and_stops_nobody() -> None:
    class Odd(Backend):
        async def handle(self, call: HttpCall) -> HttpAnswer:
            return HttpAnswer(200, (), b"[]")

    async with front_end(Backend("catalog", done), Odd("health", done)) as front:
        found = await front.handle(HttpCall("GET", CATALOG))
        odd = await front.handle(HttpCall("GET", "/v1/runtime/services/1/health"))

    assert (found.status, odd.status) == (200, 503)


async def test_without_an_instance_a_call_is_unavailable_in_the_end() -> None:
    clock = Impatient()
    async with front_end(Backend("catalog", done, is_ready=False), clock=clock) as front:
        answer = await front.handle(HttpCall("GET", "/v1/platform/catalog/alive"))

    assert answer.status == 503
    assert dict(answer.headers)["retry-after"] == "1"
    assert b"no instance of catalog answers" in answer.body
    assert clock.now_s >= WAITS_S


@pytest.mark.parametrize(
    ("method", "headers", "statuses"),
    [
        ("GET", (), [200, 200]),
        ("POST", (("idempotency-key", "k1"),), [200, 200]),
        ("POST", (), [200, 503]),
        ("PUT", (), [200, 503]),
        ("DELETE", (), [200, 503]),
    ],
)
async def test_a_call_that_breaks_off_is_repeated_where_that_is_safe(
    method: str, headers: tuple[tuple[str, str], ...], statuses: list[int]
) -> None:
    async with breaking_port() as port:
        broken, there = Backend("catalog", done, 1), Backend("catalog", done, 2)
        async with front_end(broken, there) as front:
            await front.handle(HttpCall("GET", CATALOG))  # the document is read
            broken.port = port
            answers = [await front.handle(HttpCall(method, CATALOG, "", headers)) for _ in range(2)]

    assert sorted(answer.status for answer in answers) == statuses


async def test_a_long_body_is_not_read_where_the_instance_refuses_its_head() -> None:
    backend = Backend("catalog", done, refuses=HttpAnswer(401, (("x-why", "no token"),), b"no"))
    async with front_end(backend) as front:
        await front.handle(HttpCall("GET", CATALOG))
        head = HttpCall("POST", CATALOG, "", (("content-length", str(50 * 2**20)),))
        answer = await front.check(head)

    assert answer is not None
    assert (answer.status, answer.body) == (401, b"no")
    assert dict(answer.headers)["x-why"] == "no token"
    assert [call.method for call in backend.calls] == ["GET"]


async def test_a_long_body_is_read_where_the_instance_invites_it() -> None:
    backend = Backend("catalog", done)
    async with front_end(backend) as front:
        await front.handle(HttpCall("GET", CATALOG))
        head = HttpCall("POST", CATALOG, "", (("content-length", str(50 * 2**20)),))
        answer = await front.check(head)

    assert answer is None


async def test_a_long_body_to_no_app_is_not_read() -> None:
    async with front_end(Backend("catalog", done)) as front:
        await front.handle(HttpCall("GET", CATALOG))
        answer = await front.check(HttpCall("POST", "/v1/runtime/nothing"))

    assert answer is not None
    assert answer.status == 404


async def test_the_instances_are_listed() -> None:
    async with front_end(Backend("catalog", done)) as front:
        answer = await front.handle(HttpCall("GET", "/admin/instances"))

    (listed,) = json.loads(answer.body)["value"]
    assert (listed["name"], listed["pid"], listed["isReady"]) == ("catalog-1", 7, True)


@asynccontextmanager
async def breaking_port() -> AsyncIterator[int]:
    """Yield a port whose server reads a request and closes the connection, as when it is killed."""

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        server.close()
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
