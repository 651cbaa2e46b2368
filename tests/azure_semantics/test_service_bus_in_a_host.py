"""Triggers and outputs declared with the official library, run by the host. Protocol page, 2."""

from typing import List  # noqa: UP035  what a real app must write

import azure.functions as func
import pytest

from local_cloud.broker.topology import Queue, QueueSettings, Topology
from local_cloud.cloud import CloudSettings
from shared.composition.embedded import installed_host
from shared.messaging.broker import MessageSender
from shared.persistence.store import Partition, Upsert
from tests.kit.hosting import embedded, hosting, new_app, refusals
from tests.kit.service_bus import message, until
from tests.kit.virtual_time import LoopClock, run_virtual


def sender() -> MessageSender:
    offered = installed_host()
    assert offered is not None
    return offered.sender


def test_messages_flow_from_function_to_function_through_outputs() -> None:
    app, seen = new_app(), []

    @app.service_bus_queue_trigger(arg_name="message", queue_name="first", connection="SB")
    @app.service_bus_topic_output(arg_name="$return", topic_name="second", connection="SB")
    def shout(message: func.ServiceBusMessage) -> str:
        return message.get_body().decode().upper()

    @app.service_bus_topic_trigger(
        arg_name="message", topic_name="second", subscription_name="mine", connection="SB"
    )
    @app.service_bus_queue_output(arg_name="out", queue_name="third", connection="SB")
    async def pass_on(message: func.ServiceBusMessage, out: func.Out[str]) -> None:
        out.set(message.get_body().decode() + "!")

    @app.service_bus_queue_trigger(
        arg_name="messages", queue_name="third", connection="SB", cardinality="many"
    )
    async def collect(messages: List[func.ServiceBusMessage]) -> None:  # noqa: UP006
        seen.extend(each.get_body().decode() for each in messages)

    async def main() -> None:
        async with hosting(embedded(app)) as host:
            assert refusals(host) == {}
            await sender().send("first", [message("hello")])
            await until(lambda: bool(seen))

    run_virtual(main())
    assert seen == ["HELLO!"]


def test_a_function_that_runs_out_of_time_abandons_its_message() -> None:
    app, counts = new_app(), []

    @app.service_bus_queue_trigger(arg_name="message", queue_name="orders", connection="SB")
    async def handler(message: func.ServiceBusMessage) -> None:
        counts.append(message.delivery_count)
        await LoopClock().sleep(3600)

    async def main() -> None:
        host_json = {"version": "2.0", "functionTimeout": "00:00:10"}
        topology = Topology(queues=(Queue("orders", QueueSettings(max_delivery_count=2)),))
        async with hosting(embedded(app, host_json=host_json), cloud=CloudSettings(topology)):
            await sender().send("orders", [message()])
            await until(lambda: len(counts) == 2)
            assert LoopClock().monotonic_s() == pytest.approx(10, abs=1)

    run_virtual(main())
    assert counts == [1, 2]


def test_a_plain_function_runs_as_well() -> None:
    app, seen = new_app(), []

    @app.service_bus_queue_trigger(arg_name="message", queue_name="orders", connection="SB")
    def handler(message: func.ServiceBusMessage) -> None:
        seen.append(message.message_id)

    async def main() -> None:
        async with hosting(embedded(app)):
            await sender().send("orders", [message("x", message_id="evt-1")])
            await until(lambda: bool(seen))

    run_virtual(main())
    assert seen == ["evt-1"]


def test_a_write_to_a_container_reaches_the_function_that_follows_it() -> None:
    app, seen = new_app(), []

    @app.cosmos_db_trigger(
        arg_name="documents", connection="DB", database_name="runtime", container_name="things"
    )
    async def follow(documents: func.DocumentList) -> None:
        seen.extend(document["id"] for document in documents)

    async def main() -> None:
        async with hosting(embedded(app)) as host:
            assert refusals(host) == {}
            offered = installed_host()
            assert offered is not None
            store = offered.storage.store("runtime", "things")
            await store.batch(Partition("t", "e"), [Upsert("one", {"a": 1})])
            await until(lambda: bool(seen))

    run_virtual(main())
    assert seen == ["one"]


@pytest.mark.parametrize(
    ("section", "trigger", "reason"),
    [
        pytest.param(
            {}, {"is_sessions_enabled": True}, "leave is_sessions_enabled out", id="sessions"
        ),
        pytest.param({"maxConcurrentCalls": 0}, {}, "is 0; write 1 or more", id="no-calls"),
        pytest.param({"maxBatchWaitTime": "soon"}, {}, "write a time span", id="no-time-span"),
    ],
)
def test_a_trigger_that_cannot_be_served_is_refused_and_the_rest_runs(
    section: dict[str, object], trigger: dict[str, bool], reason: str
) -> None:
    app = new_app()

    @app.service_bus_queue_trigger(
        arg_name="message", queue_name="orders", connection="SB", **trigger
    )
    async def handler(message: func.ServiceBusMessage) -> None: ...

    @app.route("ping")
    async def ping(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse("pong")

    async def main() -> None:
        host_json = {"version": "2.0", "extensions": {"serviceBus": section}}
        async with hosting(embedded(app, host_json=host_json)) as host:
            assert reason in refusals(host)["handler"]
            assert [function.name for function in host.functions] == ["ping"]

    run_virtual(main())
