"""What azure-servicebus sends arrives in the broker, or is refused as in Azure."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusMessageState
from azure.servicebus.amqp import AmqpAnnotatedMessage, AmqpMessageHeader
from azure.servicebus.exceptions import (
    MessageSizeExceededError,
    MessagingEntityNotFoundError,
    ServiceBusError,
)

from local_cloud.broker.rules import CorrelationFilter
from local_cloud.broker.topology import Subscription, Topic, Topology
from tests.kit.service_bus import bodies, message, until
from tests.kit.service_bus_wire import served

pytestmark = pytest.mark.real


async def test_a_message_arrives_with_all_that_the_broker_knows_of_it() -> None:
    async with served() as bus, bus.client() as client:
        sent = ServiceBusMessage(
            b"content",
            message_id="m-1",
            subject="OrderPlaced",
            content_type="application/json",
            correlation_id="c-1",
            application_properties={"cs-event-type": "OrderPlaced"},
        )
        async with client.get_queue_sender("Orders") as sender:
            await sender.send_messages(sent)

        (received,) = await bus.broker.lock("orders", 10)

    assert (received.body, received.message_id) == (b"content", "m-1")
    assert (received.subject, received.correlation_id) == ("OrderPlaced", "c-1")
    assert received.content_type == "application/json"
    assert received.application_properties == {"cs-event-type": "OrderPlaced"}
    assert received.delivery_count == 1


async def test_a_receiver_gets_every_property_with_its_type() -> None:
    properties = {
        "text": "ä", "whole": 7, "part": 0.5, "flag": True, "none": None, "id": UUID(int=7),
    }  # fmt: skip
    async with served() as bus, bus.client() as client:
        async with client.get_queue_sender("orders") as sender:
            await sender.send_messages(
                ServiceBusMessage(
                    "text",
                    application_properties=properties,
                    reply_to="answers",
                    to="somebody",
                    time_to_live=timedelta(minutes=5),
                )
            )
        async with client.get_queue_receiver("orders") as receiver:
            (received,) = await receiver.receive_messages(max_wait_time=5)

    assert {key.decode(): value for key, value in received.application_properties.items()} == {
        **properties,
        "text": "ä".encode(),
    }
    assert (received.reply_to, received.to) == ("answers", "somebody")
    assert received.time_to_live == timedelta(minutes=5)
    assert received.message_id


async def test_what_the_host_sends_is_what_a_client_receives() -> None:
    async with served() as bus, bus.client() as client:
        await bus.broker.send(
            "orders",
            [message("one", subject="S", correlation_id="C", application_properties={"k": "v"})],
        )
        async with client.get_queue_receiver("orders") as receiver:
            (received,) = await receiver.receive_messages(max_wait_time=5)

    assert (str(received), received.message_id, received.subject) == ("one", "id-one", "S")
    assert (received.correlation_id, received.content_type) == ("C", "application/json")
    assert received.application_properties == {b"k": b"v"}
    assert (received.delivery_count, received.dead_letter_reason) == (0, None)


async def test_a_batch_arrives_whole_and_in_order() -> None:
    texts = [f"m-{number}" for number in range(300)]
    async with served() as bus, bus.client() as client:
        async with client.get_queue_sender("orders") as sender:
            batch = await sender.create_message_batch()
            for text in texts:
                batch.add_message(ServiceBusMessage(text))
            await sender.send_messages(batch)

        assert batch.max_size_in_bytes == 256 * 1024
        assert bodies(await bus.broker.lock("orders", 1000)) == texts


async def test_a_message_whose_body_looks_like_a_batch_stays_one_message() -> None:
    inner = b"\x00\x53\x75\xa0\x02hi"
    async with served() as bus, bus.client() as client:
        async with client.get_queue_sender("orders") as sender:
            await sender.send_messages(ServiceBusMessage(inner))

        (received,) = await bus.broker.lock("orders", 10)

    assert received.body == inner


@pytest.mark.parametrize("size", [256 * 1024 + 1, 2 * 1024 * 1024], ids=["a-byte", "two-mib"])
async def test_a_message_over_256_kib_is_refused_and_the_next_one_is_not(size: int) -> None:
    async with (
        served() as bus,
        bus.client() as client,
        client.get_queue_sender("orders") as sender,
    ):
        with pytest.raises(MessageSizeExceededError):
            await sender.send_messages(ServiceBusMessage(b"x" * size))
        await sender.send_messages(ServiceBusMessage(b"y" * 200_000))

        assert [len(each.body) for each in bus.broker.peek("orders")] == [200_000]


async def test_a_scheduled_message_is_hidden_until_it_is_due_and_can_be_cancelled() -> None:
    async with served() as bus, bus.client() as client:
        later = bus.clock.now() + timedelta(hours=1)
        async with client.get_queue_sender("orders") as sender:
            by_property = ServiceBusMessage("by property", scheduled_enqueue_time_utc=later)
            await sender.send_messages(by_property)
            kept, dropped = await sender.schedule_messages(
                [ServiceBusMessage("kept"), ServiceBusMessage("dropped")], later
            )
            await sender.cancel_scheduled_messages(dropped)
            with pytest.raises(ServiceBusError, match="message-not-found"):
                await sender.cancel_scheduled_messages(dropped)
            assert not await bus.broker.lock("orders", 10)

            bus.clock.ahead_s = 3700
            await until(lambda: len(bus.broker.peek("orders")) == 2)

        assert set(bodies(bus.broker.peek("orders"))) == {"by property", "kept"}
        assert kept != dropped


async def test_a_scheduled_message_is_peeked_with_its_state_and_time() -> None:
    async with served() as bus, bus.client() as client:
        later = bus.clock.now() + timedelta(hours=1)
        async with client.get_queue_sender("orders") as sender:
            await sender.send_messages(ServiceBusMessage("now"))
            (number,) = await sender.schedule_messages(ServiceBusMessage("later"), later)
            await sender.send_messages(ServiceBusMessage("behind"))
        async with client.get_queue_receiver("orders") as receiver:
            peeked = await receiver.peek_messages(10)
            again = await receiver.peek_messages(10, sequence_number=number)
            past_it = await receiver.peek_messages(10, sequence_number=number + 1)

    states = [(str(each), each.state) for each in peeked]
    assert states == [
        ("now", ServiceBusMessageState.ACTIVE), ("later", ServiceBusMessageState.SCHEDULED),
        ("behind", ServiceBusMessageState.ACTIVE),
    ]  # fmt: skip
    assert peeked[1].sequence_number == number
    assert peeked[1].scheduled_enqueue_time_utc == later.replace(
        microsecond=later.microsecond // 1000 * 1000
    )
    assert [str(each) for each in again] == ["later", "behind"]
    assert [str(each) for each in past_it] == ["behind"]


async def test_a_priority_and_a_footer_come_back_as_they_were_sent() -> None:
    async with served() as bus, bus.client() as client:
        sent = AmqpAnnotatedMessage(
            data_body=b"content",
            header=AmqpMessageHeader(priority=7, durable=True),
            footer={"checksum": "abc"},
        )
        async with client.get_queue_sender("orders") as sender:
            await sender.send_messages(sent)
            await sender.send_messages(ServiceBusMessage("plain"))
        async with client.get_queue_receiver("orders", prefetch_count=2) as receiver:
            (first,) = await receiver.receive_messages(1, max_wait_time=5)
            (second,) = await receiver.receive_messages(1, max_wait_time=5)

    raw = first.raw_amqp_message
    assert raw.header is not None
    assert (raw.header.priority, raw.header.durable, raw.header.delivery_count) == (7, True, 0)
    assert raw.footer == {b"checksum": b"abc"}
    assert b"".join(first.body) == b"content"
    assert second.raw_amqp_message.header is not None
    assert second.raw_amqp_message.header.priority is None
    assert not second.raw_amqp_message.footer


@pytest.mark.parametrize("entity", ["nothing", "events/Subscriptions/all"])
async def test_sending_to_what_is_not_there_is_not_found(entity: str) -> None:
    async with (
        served(Topology(topics=[Topic("events", [Subscription("all")])])) as bus,
        bus.client() as client,
    ):
        with pytest.raises(
            MessagingEntityNotFoundError, match=r"The messaging entity .* could not be found"
        ):
            async with client.get_queue_sender(entity) as sender:
                await sender.send_messages(ServiceBusMessage("lost"))


async def test_subscriptions_filter_what_a_client_sends_to_the_topic() -> None:
    rule = CorrelationFilter(properties={"cs-event-type": "OrderPlaced"})
    topology = Topology(
        topics=[Topic("events", [Subscription("all"), Subscription("placed", [rule])])]
    )
    async with served(topology) as bus, bus.client() as client:
        async with client.get_topic_sender("events") as sender:
            for kind in ("OrderPlaced", "OrderPaid"):
                properties: dict[str | bytes, str] = {"cs-event-type": kind}
                await sender.send_messages(
                    ServiceBusMessage(kind, application_properties=properties)
                )
        async with client.get_subscription_receiver("events", "placed") as receiver:
            received = await receiver.receive_messages(10, max_wait_time=1)

        assert [str(each) for each in received] == ["OrderPlaced"]
        assert bodies(bus.broker.peek("events/subscriptions/all")) == ["OrderPlaced", "OrderPaid"]


async def test_a_message_over_its_time_to_live_is_gone() -> None:
    async with served() as bus, bus.client() as client:
        async with client.get_queue_sender("orders") as sender:
            await sender.send_messages(
                ServiceBusMessage("old", time_to_live=timedelta(milliseconds=1))
            )
        async with client.get_queue_receiver("orders") as receiver:
            assert not await receiver.receive_messages(max_wait_time=1)


async def test_the_synchronous_client_works_alike() -> None:
    def work(connection_string: str) -> list[str]:
        with ServiceBusClient.from_connection_string(connection_string, retry_total=0) as client:
            with client.get_queue_sender("orders") as sender:
                sender.send_messages([ServiceBusMessage("one"), ServiceBusMessage("two")])
            with client.get_queue_receiver("orders") as receiver:
                received = receiver.receive_messages(2, max_wait_time=5)
                for each in received:
                    receiver.complete_message(each)
        return [str(each) for each in received]

    async with served() as bus:
        received = await asyncio.to_thread(work, bus.endpoint.connection_string)

        assert received == ["one", "two"]
        assert bus.broker.counts()["orders"] == (0, 0)
