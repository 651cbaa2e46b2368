"""Operations are followed by azure-core's own poller, over its unmodified pipeline and a socket.

https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations
https://github.com/microsoft/api-guidelines/blob/vNext/azure/Guidelines.md (long-running operations)
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import azure.durable_functions as df
import azure.functions as func
import pytest
from azure.core import PipelineClient
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.policies import HeadersPolicy
from azure.core.polling import LROPoller
from azure.core.polling.base_polling import LROBasePolling, OperationResourcePolling
from azure.core.rest import HttpRequest

import shared.kernel.operation as operations
from local_host.host import HostSettings
from shared.durable.operations import OPERATIONS
from shared.kernel.ids import OperationId
from shared.kernel.operation import Operation
from shared.messaging.dispatcher import Dispatcher
from shared.messaging.unit_of_work import Decision, Json, View
from shared.persistence.store import Partition
from shared.triggers.http_triggers import bind_routes
from shared.web.administration import Administration, OperationControl, cooperative_cancel
from shared.web.administration_routes import administration_routes
from shared.web.issuer import AUDIENCE, DEV_ISSUER, LocalIssuer
from shared.web.request import Answer, Request, accepted, ok
from shared.web.routes import get, post, put
from tests.kit.hosting import embedded, hosting
from tests.kit.service import Bench, bench

pytestmark = pytest.mark.real
KEY: Final = "abcdefghijkl"
HOME: Final = Partition("acme", KEY)
OPERATION_ID: Final = OperationId(f"op-environments-{KEY}-0000000000000001")
DOCUMENT: Final = OPERATIONS.document_id(OPERATION_ID)
THING: Final = "/v1/runtime/things/thing"
WRITE: Final = "runtime.environments.write"
Change = Callable[[Operation, datetime], Operation]


async def begin(request: Request[None], app: Bench) -> Answer:
    """Accept a thing that takes its time."""
    operation = operations.accept(
        OPERATION_ID, "MakeThing", THING, request.ctx.cause.actor, "things_make", {},
        request.ctx.now(),
    )  # fmt: skip
    decision: Decision[Json] = Decision({}, writes=[OPERATIONS.put(operation)])
    await app.service.work.commit(request.ctx, HOME, [DOCUMENT], lambda _: decision)
    return accepted({"name": "thing", "status": "Making"}, OPERATION_ID, THING)


async def get_thing(_request: Request[None], _app: Bench) -> Answer:
    """Answer the thing."""
    return ok({"name": "thing", "status": "Made"})


ROUTES: Final = (
    post("v1/runtime/things", begin, WRITE),
    put("v1/runtime/things/thing", begin, WRITE, name="put_thing"),
    get("v1/runtime/things/thing", get_thing, "runtime.environments.read"),
)


@dataclass(frozen=True)
class Served:
    """A host with one service on a socket, and a client of it."""

    at: Bench
    client: PipelineClient[Any, Any]

    async def change(self, change: Change) -> None:
        """Change the stored operation, as its orchestration would."""

        def decide(view: View) -> Decision[Json]:
            body = view.body(DOCUMENT)
            assert body is not None
            changed = change(OPERATIONS.decode(body), self.at.service.clock.now())
            return Decision({}, writes=[OPERATIONS.put(changed)])

        await self.at.service.work.commit(self.at.ctx(), HOME, [DOCUMENT], decide)

    async def follow(
        self, method: str, url: str, change: Change, algorithms: Sequence[Any] | None = None
    ) -> Any:
        """Send *method*, make *change* while the poller polls, and return its result."""
        request = HttpRequest(method, self.client.format_url(url))
        first = await asyncio.to_thread(
            lambda: self.client.send_request(request, _return_pipeline_response=True)
        )
        polling: Any = LROBasePolling(0.05, lro_algorithms=algorithms)
        poller: LROPoller[Any] = LROPoller(
            self.client, first, lambda final: final.http_response.json(), polling
        )
        assert poller.status() in {"InProgress", "Making"}
        await self.change(change)
        return await asyncio.to_thread(poller.result)


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Served]:
    at = bench("environments", settings={"RUNTIME_ISSUER_KEYS": f"{folder}/jwks.json"})
    service = at.service
    issuer = LocalIssuer(folder, DEV_ISSUER, AUDIENCE, service.clock, service.entropy)
    dispatcher = Dispatcher({}, at, service.work, service.clock, service.entropy)
    control = OperationControl(cooperative_cancel, cooperative_cancel)
    administration = Administration(service, at, dispatcher, dict, {"MakeThing": control})
    app, blueprint = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS), df.Blueprint()
    bind_routes(blueprint, ROUTES, at, service)
    bind_routes(blueprint, administration_routes("environments"), administration, service)
    app.register_functions(blueprint)
    headers = HeadersPolicy(
        {"Authorization": f"Bearer {issuer.token('acme', 'ann', ['Runtime.Admin'])}"}
    )
    settings = HostSettings(port=0, environ={})
    async with hosting(embedded(app), settings=settings) as host:
        with PipelineClient[Any, Any](host.base_url, per_call_policies=[headers]) as client:
            yield Served(at, client)


def succeed(operation: Operation, now: datetime) -> Operation:
    return operation.succeed({"thing": "thing"}, now)


REQUESTS = {"put": ("PUT", THING), "post": ("POST", "/v1/runtime/things")}


@pytest.mark.parametrize(("method", "url"), REQUESTS.values(), ids=REQUESTS.keys())
async def test_an_operation_that_succeeds_ends_with_its_resource(
    method: str, url: str, tmp_path: Path
) -> None:
    async with served(tmp_path) as at:
        assert await at.follow(method, url, succeed) == {"name": "thing", "status": "Made"}


async def test_the_header_of_azure_resource_manager_leads_to_the_same_end(tmp_path: Path) -> None:
    algorithms = [OperationResourcePolling("azure-asyncoperation")]
    async with served(tmp_path) as at:
        found = await at.follow("PUT", THING, succeed, algorithms)

    assert found == {"name": "thing", "status": "Made"}


ENDS: dict[str, tuple[Change, str]] = {
    "failed": (lambda it, now: it.fail("QuotaExceeded", "no room", now), "Failed"),
    "canceled": (Operation.cancel, "Canceled"),
    "superseded": (lambda it, now: it.supersede("op-2", now), "Canceled"),
}
CODES: Final = {
    "failed": "QuotaExceeded",
    "canceled": "OperationCanceled",
    "superseded": "OperationSuperseded",
}


@pytest.mark.parametrize("end", ENDS)
async def test_an_operation_that_ends_otherwise_is_an_error_with_its_code(
    end: str, tmp_path: Path
) -> None:
    change, status = ENDS[end]
    async with served(tmp_path) as at:
        with pytest.raises(HttpResponseError) as raised:
            await at.follow("PUT", THING, change)

    assert raised.value.error is not None
    assert raised.value.error.code == CODES[end]
    assert raised.value.response is not None
    assert raised.value.response.json()["status"] == status


async def test_an_operation_under_way_says_when_to_ask_again(tmp_path: Path) -> None:
    async with served(tmp_path) as at:
        first = await asyncio.to_thread(
            lambda: at.client.send_request(HttpRequest("PUT", at.client.format_url(THING)))
        )
        location = first.headers["Operation-Location"]
        shown = await asyncio.to_thread(
            lambda: at.client.send_request(HttpRequest("GET", location))
        )

    assert (first.status_code, first.headers["Retry-After"]) == (202, "1")
    assert (shown.status_code, shown.headers["Retry-After"]) == (200, "1")
    assert shown.json()["status"] == "NotStarted"
