"""What the Functions host refuses is refused here, for that function only, with what to write."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_cloud.broker.declaration import load_topology
from local_host.apps.indexing import index
from local_host.apps.validation import binding_refusal
from local_host.model import App, Binding
from shared.kernel.errors import Invalid
from tests.kit.hosting import ask, embedded, hosting, new_app, refusals
from tests.kit.task_hub import durable_app
from tests.kit.virtual_time import run_virtual


def refused(*apps: App) -> dict[str, str]:
    """Start a host of *apps*; return what it refuses. A function `fine` of theirs must run."""

    async def main() -> dict[str, str]:
        async with hosting(*apps) as host:
            assert (await ask(host, "GET", "/fine")).status == 200
            return refusals(host)

    return run_virtual(main())


def app_with_a_fine_function() -> func.FunctionApp:
    app = new_app()

    @app.route("fine")
    async def fine(req: func.HttpRequest) -> str:
        return ""

    return app


def takes_queue(app: Any, name: str, queue: str) -> None:
    @app.function_name(name)
    @app.service_bus_queue_trigger("m", connection="S", queue_name=queue)
    async def f(m: func.ServiceBusMessage) -> None: ...


def takes_topic(app: Any, name: str, topic: str, subscription: str = "s") -> None:
    @app.function_name(name)
    @app.service_bus_topic_trigger(
        "m", connection="S", topic_name=topic, subscription_name=subscription
    )
    async def f(m: func.ServiceBusMessage) -> None: ...


def sends_to(app: Any, name: str, queue: str) -> None:
    @app.function_name(name)
    @app.route(name)
    @app.service_bus_queue_output("out", connection="S", queue_name=queue)
    async def f(req: func.HttpRequest, out: func.Out[str]) -> str:
        out.set("text")
        return ""


@pytest.mark.parametrize("order", [(takes_queue, takes_topic), (takes_topic, takes_queue)])
def test_a_queue_and_a_topic_of_one_name_cost_the_second(
    order: tuple[Callable[..., None], Callable[..., None]],
) -> None:
    app = app_with_a_fine_function()
    order[0](app, "a", "Same")
    order[1](app, "b", "same")

    reasons = refused(embedded(app))

    assert list(reasons) == ["b"]
    assert "of a" in reasons["b"]
    assert "choose another name" in reasons["b"]


def test_an_output_to_a_topics_name_as_a_queue_is_refused() -> None:
    app = app_with_a_fine_function()
    takes_topic(app, "a", "same")
    sends_to(app, "b", "same")

    assert list(refused(embedded(app))) == ["b"]


@pytest.mark.parametrize("name", ["", " ", "a b", "a//b", "/a", "a/", "ä", "a?b", "x" * 261])
def test_a_queue_that_cannot_be_called_so_costs_its_functions(name: str) -> None:
    app = app_with_a_fine_function()
    takes_queue(app, "takes", name)
    sends_to(app, "sends", name)

    assert set(refused(embedded(app))) == {"takes", "sends"}


@pytest.mark.parametrize("name", ["", "a/b", "x" * 51])
def test_a_subscription_that_cannot_be_called_so_costs_its_function(name: str) -> None:
    app = app_with_a_fine_function()
    takes_topic(app, "takes", "topic", name)

    assert set(refused(embedded(app))) == {"takes"}


def test_a_topic_with_a_slash_in_its_name_is_served() -> None:
    app = app_with_a_fine_function()
    takes_topic(app, "takes", "orders/eu")

    assert refused(embedded(app)) == {}


def follows(app: Any, name: str, container: str, **more: Any) -> None:
    @app.function_name(name)
    @app.cosmos_db_trigger(
        "docs", container_name=container, database_name="d", connection="C", **more
    )
    async def f(docs: func.DocumentList) -> None: ...


@pytest.mark.parametrize("container", ["", "a/b", "a\\b", "a#", "a ", "x" * 256])
def test_a_container_that_cannot_be_called_so_costs_its_function(container: str) -> None:
    app = app_with_a_fine_function()
    follows(app, "follows", container)

    assert set(refused(embedded(app))) == {"follows"}


def test_a_poll_delay_that_is_no_number_costs_its_function() -> None:
    app = app_with_a_fine_function()
    follows(app, "follows", "c", feed_poll_delay="abc")

    assert set(refused(embedded(app))) == {"follows"}


@pytest.mark.parametrize("name", ["a.b", "a b", ".", "größe"])
def test_a_container_with_any_other_name_is_written_and_followed(name: str) -> None:
    app = app_with_a_fine_function()
    seen: list[str] = []

    @app.route("writes")
    @app.cosmos_db_output(
        "out", container_name=name, database_name=name, connection="C", create_if_not_exists=True
    )
    async def writes(req: func.HttpRequest, out: func.Out[func.Document]) -> str:
        out.set(func.Document.from_dict({"id": "1"}))
        return ""

    @app.cosmos_db_trigger("docs", container_name=name, database_name=name, connection="C")
    async def reads(docs: func.DocumentList) -> None:
        seen.extend(doc["id"] for doc in docs)

    async def main() -> int:
        async with hosting(embedded(app)) as host:
            status = (await ask(host, "GET", "/writes")).status
            await asyncio.wait({asyncio.ensure_future(asyncio.Event().wait())}, timeout=30)
            return status

    assert run_virtual(main()) == 200
    assert seen == ["1"]


@pytest.mark.parametrize("name", ["__req", "tim\u00ebr", "my_req", "req_"])
def test_a_binding_name_that_azure_refuses_costs_its_function(name: str) -> None:
    app = app_with_a_fine_function()

    def odd(**_: Any) -> str:
        return ""

    code = compile(f"async def odd({name}): return ''", __file__, "exec")
    names: dict[str, Any] = {}
    exec(code, names)
    app.route("odd", trigger_arg_name=name)(names["odd"])

    reasons = refused(embedded(app))

    assert list(reasons) == ["odd"]
    assert f"the binding name {name} is invalid" in reasons["odd"]


@given(st.text())
@settings(max_examples=300)
def test_a_binding_name_is_ascii_letters_and_digits(name: str) -> None:
    is_valid = name == "$return" or (
        0 < len(name) <= 128 and name.isascii() and name.isalnum() and name[0].isalpha()
    )

    assert (binding_refusal([Binding("queue", name, "in", {})]) is None) == is_valid


def test_an_async_orchestrator_is_told_to_yield() -> None:
    app = durable_app()

    @app.orchestration_trigger(context_name="context")
    async def waits(context: Any) -> None: ...

    @app.entity_trigger(context_name="context")
    async def keeps(context: Any) -> None: ...

    reasons = {r.function: r.reason for r in index(embedded(app), {}).refusals}

    assert "write def waits, yield where it awaits," in reasons["waits"]
    assert "write def keeps and call services" in reasons["keeps"]


def test_a_name_in_the_list_of_functions_that_there_is_not_is_reported() -> None:
    app = app_with_a_fine_function()
    host_json = {
        "version": "2.0",
        "functions": ["zz", "fine"],
        "extensions": {"http": {"routePrefix": ""}},
    }

    reasons = refused(embedded(app, host_json=host_json))

    assert "it has fine: correct the list" in reasons["zz"]


def test_a_trigger_that_nobody_serves_is_told_what_does_the_same_here() -> None:
    app = app_with_a_fine_function()

    @app.queue_trigger("m", queue_name="q", connection="S")
    async def f(m: func.QueueMessage) -> None: ...

    reason = refused(embedded(app))["f"]

    assert "@app.service_bus_queue_trigger" in reason
    assert "AzureWebJobs.f.Disabled=true" in reason


def test_a_queue_that_nobody_declared_is_named_with_where_to_declare_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = app_with_a_fine_function()
    sends_to(app, "sends", "nowhere")

    async def main() -> int:
        async with hosting(embedded(app)) as host:
            return (await ask(host, "GET", "/sends")).status

    assert run_virtual(main()) == 500
    assert "declare it in the file that --broker names" in caplog.text


def test_a_broker_file_that_is_no_json_is_named_once(tmp_path: Path) -> None:
    path = tmp_path / "Config.json"
    path.write_text("{")

    with pytest.raises(Invalid) as refusal:
        load_topology(path)

    assert str(path) not in refusal.value.message


def test_two_hosts_that_disagree_about_a_name_lose_one_function_only() -> None:
    first, second = app_with_a_fine_function(), app_with_a_fine_function()
    takes_topic(first, "a", "same")
    takes_queue(second, "b", "same")

    from local_cloud.sqlite.database import MEMORY, Database

    database = Database(MEMORY)

    async def main() -> dict[str, str]:
        async with hosting(embedded(first), database=database):
            pass
        async with hosting(embedded(second), database=database) as host:
            return refusals(host)

    assert "same is a topic (of the namespace)" in run_virtual(main())["b"]
