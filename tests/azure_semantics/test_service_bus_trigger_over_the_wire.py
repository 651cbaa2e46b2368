"""Triggers on a Service Bus namespace, which the official SDK reaches over AMQP 1.0."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, List  # noqa: UP035  the spelling that the worker knows

import azure.functions as func
import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.amqp import AmqpAnnotatedMessage

from local_cloud.broker.broker import Broker
from local_cloud.broker.topology import (
    DEAD_LETTER_SUFFIX,
    Queue,
    QueueSettings,
    Subscription,
    Topic,
    Topology,
)
from local_cloud.token_endpoint.server import TokenEndpoint
from shared.messaging.broker import OutgoingMessage
from tests.kit.hosting import embedded, hosting, new_app, refusals
from tests.kit.patience import PATIENCE_S
from tests.kit.secured_service_bus import secured
from tests.kit.service_bus_wire import served
from tests.kit.virtual_time import LoopClock

pytestmark = pytest.mark.real
TOPOLOGY = Topology(
    queues=[Queue("orders", QueueSettings(max_delivery_count=2))],
    topics=[Topic("events", [Subscription("all")])],
)
FOREIGN = [
    AmqpAnnotatedMessage(value_body="text"),
    AmqpAnnotatedMessage(value_body=b"bytes", properties={"message_id": uuid.UUID(int=1)}),
    AmqpAnnotatedMessage(value_body={"a": [1, None, 2.5], "b": uuid.UUID(int=2)}),
    AmqpAnnotatedMessage(sequence_body=[[1, "x"], [True]]),
]
FOREIGN_BODIES = [
    b"text",
    b"bytes",
    b'{"a": [1, null, 2.5], "b": "00000000-0000-0000-0000-000000000002"}',
    b'[1, "x", true]',
]


@asynccontextmanager
async def a_namespace() -> AsyncIterator[tuple[Broker, str]]:
    """Serve `orders` and `events`; give the broker and the connection string."""
    async with served(TOPOLOGY) as namespace:
        yield namespace.broker, namespace.endpoint.connection_string


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await LoopClock().sleep(0.02)


def message(text: str) -> OutgoingMessage:
    return OutgoingMessage(
        text.encode(),
        f"id-{text}",
        subject="OrderPlaced",
        correlation_id="corr-1",
        application_properties={"cs-tenant-id": "acme"},
    )


def run(
    connection: str | Mapping[str, str],
    handler: Callable[[Any], None],
    *,
    is_batch: bool = False,
    **trigger: Any,
) -> Any:
    app = new_app()
    options = {"cardinality": func.Cardinality.MANY} if is_batch else {}

    if "topic_name" in trigger:

        @app.service_bus_topic_trigger(arg_name="message", connection="SB", **trigger, **options)
        async def on_event(message: func.ServiceBusMessage) -> None:
            handler(message)

    elif is_batch:

        @app.service_bus_queue_trigger(
            arg_name="messages", connection="SB", queue_name="orders", **options
        )
        async def on_orders(messages: List[func.ServiceBusMessage]) -> None:  # noqa: UP006
            handler(messages)

    else:

        @app.service_bus_queue_trigger(arg_name="message", connection="SB", queue_name="orders")
        async def on_order(message: func.ServiceBusMessage) -> None:
            handler(message)

    settings = {"SB": connection} if isinstance(connection, str) else connection
    return hosting(embedded(app, values=settings))


async def test_a_trigger_listens_as_its_identity_by_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[func.ServiceBusMessage] = []
    async with secured(tmp_path) as secure:
        tokens = TokenEndpoint(secure.identities, ["receiver"], 0)
        await tokens.start()
        for name, value in tokens.environ_of("receiver").items():
            monkeypatch.setenv(name, value)
        # A developer's sign-in that lies about is not taken in the profile for production.
        for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
            monkeypatch.setenv(name, "a-developer-s")
        settings = {
            "SB__fullyQualifiedNamespace": secure.bus.endpoint.fully_qualified_namespace,
            "RUNTIME_CA_FILE": str(secure.certificates.ca_file),
        }
        async with run(settings, given.append):
            await secure.bus.broker.send("orders", [message("one")])
            await until(lambda: secure.bus.broker.counts()["orders"] == (0, 0))
        await tokens.stop()

    assert [each.get_body() for each in given] == [b"one"]


async def test_a_message_is_shown_as_it_was_sent_and_completed() -> None:
    given: list[func.ServiceBusMessage] = []
    async with a_namespace() as (broker, connection), run(connection, given.append):
        await broker.send("orders", [message("one")])
        await until(lambda: bool(given))
        await until(lambda: broker.counts()["orders"] == (0, 0))

    (shown,) = given
    assert shown.get_body() == b"one"
    assert (shown.message_id, shown.subject, shown.correlation_id) == (
        "id-one", "OrderPlaced", "corr-1",
    )  # fmt: skip
    assert shown.content_type == "application/json"
    assert shown.application_properties == {"cs-tenant-id": "acme"}
    assert shown.delivery_count == 1


async def test_a_failure_is_delivered_again_and_then_a_dead_letter() -> None:
    counts: list[int | None] = []

    def fail(message: func.ServiceBusMessage) -> None:
        counts.append(message.delivery_count)
        raise RuntimeError("no")

    async with a_namespace() as (broker, connection):
        async with run(connection, fail):
            await broker.send("orders", [message("one")])
            await until(lambda: broker.counts()["orders"] == (0, 1))
        (dead,) = broker.peek(f"orders{DEAD_LETTER_SUFFIX}")

    assert counts == [1, 2]
    assert dead.dead_letter_reason == "MaxDeliveryCountExceeded"


async def test_a_subscription_is_followed() -> None:
    given: list[bytes] = []
    async with a_namespace() as (broker, connection):
        trigger = {"topic_name": "events", "subscription_name": "all"}
        async with run(connection, lambda m: given.append(m.get_body()), **trigger):
            await broker.send("events", [message(str(number)) for number in range(40)])
            await until(lambda: len(given) == 40)

    assert sorted(given) == sorted(str(number).encode() for number in range(40))


async def test_a_batch_is_completed_whole() -> None:
    batches: list[int] = []
    async with a_namespace() as (broker, connection):
        await broker.send("orders", [message(str(number)) for number in range(5)])
        async with run(connection, lambda many: batches.append(len(many)), is_batch=True):
            await until(lambda: sum(batches) == 5)
            await until(lambda: broker.counts()["orders"] == (0, 0))


async def test_a_body_that_is_no_data_goes_to_its_function_and_stops_no_other() -> None:
    bodies: list[bytes] = []
    async with served(TOPOLOGY) as namespace:
        async with namespace.client() as client, client.get_queue_sender("orders") as sender:
            await sender.send_messages([*FOREIGN, ServiceBusMessage(b"one")])
        seen = [each.body for each in namespace.broker.peek("orders")]

        def take(many: list[func.ServiceBusMessage]) -> None:
            bodies.extend(each.get_body() for each in many)

        async with run(namespace.endpoint.connection_string, take, is_batch=True):
            await until(lambda: namespace.broker.counts()["orders"] == (0, 0))

    assert sorted(bodies) == sorted([*FOREIGN_BODIES, b"one"])
    assert sorted(seen) == sorted(bodies)


async def test_receiving_goes_on_after_the_connection_was_cut() -> None:
    given: list[bytes] = []
    async with served(TOPOLOGY) as namespace:
        broker, connection = namespace.broker, namespace.endpoint.connection_string
        async with run(connection, lambda m: given.append(m.get_body())):
            await broker.send("orders", [message("one")])
            await until(lambda: given == [b"one"])
            namespace.endpoint.cut_connections()
            await broker.send("orders", [message("two")])
            await until(lambda: b"two" in given)


async def test_a_connection_that_cannot_be_used_is_refused() -> None:
    app = new_app()

    @app.service_bus_queue_trigger(arg_name="message", connection="SB", queue_name="orders")
    async def on_order(message: func.ServiceBusMessage) -> None: ...

    async with hosting(embedded(app, values={"SB__clientId": "x"})) as host:
        assert "has no SB__fullyQualifiedNamespace" in refusals(host)["on_order"]


async def test_an_output_to_a_namespace_is_refused() -> None:
    app = new_app()

    @app.route("send")
    @app.service_bus_queue_output(arg_name="out", connection="SB", queue_name="orders")
    async def send(req: func.HttpRequest, out: func.Out[str]) -> str:
        return ""

    values = {"SB": "Endpoint=sb://127.0.0.1;SharedAccessKeyName=a;SharedAccessKey=b"}
    async with hosting(embedded(app, values=values)) as host:
        assert "call azure-servicebus in the function" in refusals(host)["send"]
