"""The port over the library's own client and the hub's real endpoints, on a socket."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import azure.durable_functions as df
import pytest

from local_host.host import HostSettings
from shared.durable.task_hub import TaskHub
from shared.kernel.errors import Unavailable
from tests.durable.stories import OPERATION_ID, App, app_of
from tests.kit.cut_proxy import Answer, CutProxy
from tests.kit.durable_extension import DurableExtension
from tests.kit.hosting import embedded, hosting

pytestmark = pytest.mark.real
Tell = Callable[[str], Awaitable[str]]


@asynccontextmanager
async def told() -> AsyncIterator[tuple[Tell, App]]:
    """Run a host on a socket; give a function that tells the hub `verb/instance/name`."""
    app = App()
    settings = HostSettings(port=0, environ={})
    async with (
        hosting(embedded(app_of(app)), settings=settings) as host,
        aiohttp.ClientSession(host.base_url) as session,
    ):

        async def tell(path: str) -> str:
            async with session.post(f"/tell/{path}") as answer:
                return await answer.text()

        yield tell, app


async def test_a_start_runs_and_a_running_one_counts_as_started() -> None:
    async with told() as (tell, _):
        answers = [await tell(f"start/{OPERATION_ID}/durable_patient") for _ in range(2)]

    assert answers == ["done", "done"]


async def test_an_event_for_an_instance_that_is_not_there_or_has_ended_needs_no_raising() -> None:
    async with told() as (tell, app):
        unknown = await tell("raise/nobody/nudge")
        await tell(f"start/{OPERATION_ID}/durable_none_at_all")
        ended = [await tell(f"raise/{OPERATION_ID}/nudge") for _ in range(20)]

    assert unknown == "done"
    assert set(ended) == {"done"}
    assert app.tries == []


async def test_an_orchestrator_that_the_hub_does_not_know_is_not_started() -> None:
    async with told() as (tell, _):
        answer = await tell(f"start/{OPERATION_ID}/durable_unknown")

    assert answer.startswith(f"unavailable: {OPERATION_ID} was not started")


async def test_a_hub_whose_host_has_gone_is_away() -> None:
    hub = TaskHub()
    async with told() as (tell, app):
        await tell(f"start/{OPERATION_ID}/durable_none_at_all")
        assert app.client is not None
        hub.attach(app.client)

    with pytest.raises(Unavailable):
        await hub.start("durable_one", "i", {})
    with pytest.raises(Unavailable):
        await hub.raise_event("i", "nudge")


async def test_without_a_client_the_hub_is_away() -> None:
    with pytest.raises(Unavailable):
        await TaskHub().start("durable_one", "i", {})
    with pytest.raises(Unavailable):
        await TaskHub().raise_event("i", "nudge")


async def test_an_input_that_is_no_json_is_our_own_defect_and_no_outage() -> None:
    hub = TaskHub()
    async with told() as (tell, app):
        await tell(f"start/{OPERATION_ID}/durable_none_at_all")
        assert app.client is not None
        hub.attach(app.client)

        with pytest.raises(TypeError):
            await hub.start("durable_one", "i", {"clock": object()})


async def test_a_host_that_is_starting_answers_no_json_and_is_away() -> None:
    async with DurableExtension() as extension, CutProxy(extension.port) as proxy:
        hub = TaskHub()
        hub.attach(df.DurableOrchestrationClient(DurableExtension.binding_value(proxy.port)))
        text = b"Function host is not running."
        proxy.will(Answer(b"POST", 503, body=text), Answer(b"GET", 503, body=text))

        with pytest.raises(Unavailable):
            await hub.start("durable_one", "i", {})
        await hub.start("durable_one", "i", {})

        assert extension.started == {"i": ("durable_one", "{}")}
