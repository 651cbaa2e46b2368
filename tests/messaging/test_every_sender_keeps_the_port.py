"""The suite of `MessageSender`: the embedded broker itself, and the official SDK over a connection.

Both end in the same broker, so what arrives is looked at there.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from local_cloud.broker.rules import CorrelationFilter
from local_cloud.broker.topology import Queue, Subscription, Topic, Topology
from shared.kernel.errors import Invalid, NotFound, TooLarge
from shared.messaging.broker import MessageSender, OutgoingMessage
from shared.messaging.service_bus import ServiceBusMessages
from tests.kit.service_bus import bodies, message
from tests.kit.service_bus_wire import ServedBroker, served

pytestmark = pytest.mark.real
TOPOLOGY = Topology(
    queues=[Queue("orders")],
    topics=[
        Topic(
            "events",
            [Subscription("placed", [CorrelationFilter(properties={"cs-event-type": "Placed"})])],
        )
    ],
)
SENDERS = pytest.mark.parametrize("kind", ["embedded", "service-bus"])


@asynccontextmanager
async def sending(kind: str) -> AsyncIterator[tuple[ServedBroker, MessageSender]]:
    async with served(TOPOLOGY) as bus:
        if kind == "embedded":
            yield bus, bus.broker
            return
        sender = ServiceBusMessages(connection_string=bus.endpoint.connection_string)
        try:
            yield bus, sender
        finally:
            await sender.close()


@SENDERS
async def test_every_part_of_a_message_arrives(kind: str) -> None:
    sent = OutgoingMessage(
        b'{"a": 1}',
        "evt-1",
        "OrderPlaced",
        "application/cloudevents+json",
        "corr-1",
        {"cs-event-type": "OrderPlaced", "cs-tenant-id": "äcme"},
        60.0,
    )
    async with sending(kind) as (bus, sender):
        await sender.send("orders", [sent])
        (received,) = await bus.broker.lock("orders", 10)

    assert received.expires_at == pytest.approx(received.enqueued_at + 60)
    assert (received.body, received.message_id) == (sent.body, sent.message_id)
    assert (received.subject, received.content_type) == (sent.subject, sent.content_type)
    assert received.correlation_id == sent.correlation_id
    assert received.application_properties == sent.application_properties


@SENDERS
async def test_messages_keep_their_order_over_as_many_batches_as_they_need(kind: str) -> None:
    sent = [message(f"{number}-{'x' * 100_000}", message_id=str(number)) for number in range(6)]
    sent += [message(str(number)) for number in range(6, 1200)]
    async with sending(kind) as (bus, sender):
        await sender.send("orders", sent)
        received = await bus.broker.lock("orders", 2000)

    assert [each.body for each in received] == [each.body for each in sent]


@SENDERS
async def test_a_message_that_is_too_large_is_refused_and_nothing_is_sent(kind: str) -> None:
    sent = [message("small"), message("x" * 300_000, message_id="large"), message("last")]
    async with sending(kind) as (bus, sender):
        with pytest.raises(TooLarge, match="large"):
            await sender.send("orders", sent)

        assert not bus.broker.peek("orders")


@SENDERS
@pytest.mark.parametrize("message_id", ["", "x" * 129], ids=["none", "too-long"])
async def test_a_message_id_has_1_to_128_characters(kind: str, message_id: str) -> None:
    async with sending(kind) as (bus, sender):
        with pytest.raises(Invalid):
            await sender.send("orders", [message(message_id=message_id)])

        assert not bus.broker.peek("orders")


@SENDERS
async def test_an_entity_that_was_not_declared_is_not_found(kind: str) -> None:
    async with sending(kind) as (_, sender):
        with pytest.raises(NotFound, match="refunds"):
            await sender.send("refunds", [message()])


@SENDERS
async def test_nothing_to_send_is_no_error(kind: str) -> None:
    async with sending(kind) as (bus, sender):
        await sender.send("orders", [])

        assert not bus.broker.peek("orders")


@SENDERS
async def test_a_topic_hands_a_message_to_the_subscriptions_that_want_it(kind: str) -> None:
    async with sending(kind) as (bus, sender):
        await sender.send(
            "events",
            [
                message(name, application_properties={"cs-event-type": name})
                for name in ("Placed", "Paid")
            ],
        )

        assert bodies(bus.broker.peek("events/subscriptions/placed")) == ["Placed"]


@SENDERS
async def test_a_scheduled_message_is_not_received_before_it_is_due(kind: str) -> None:
    async with sending(kind) as (bus, sender):
        due_at = bus.clock.now() + timedelta(hours=1)
        await sender.send("orders", [message("later", scheduled_at=due_at), message("now")])

        assert bodies(await bus.broker.lock("orders", 10)) == ["now"]


@SENDERS
async def test_many_may_send_at_once(kind: str) -> None:
    async with sending(kind) as (bus, sender):
        await asyncio.gather(
            *(sender.send("orders", [message(str(number))]) for number in range(50))
        )

        assert len(bus.broker.peek("orders")) == 50
