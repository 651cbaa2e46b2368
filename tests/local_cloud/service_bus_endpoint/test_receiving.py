"""What azure-servicebus receives is locked, and settled as it says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from azure.servicebus import (
    NEXT_AVAILABLE_SESSION,
    ServiceBusReceivedMessage,
    ServiceBusReceiveMode,
    ServiceBusSubQueue,
)
from azure.servicebus.aio import ServiceBusReceiver
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessageNotFoundError,
    MessagingEntityNotFoundError,
    ServiceBusError,
)

from local_cloud.broker.topology import Topology
from shared.kernel.entropy import SystemEntropy
from tests.kit.service_bus import ORDERS, message, queue, until
from tests.kit.service_bus_wire import ServedBroker, served

pytestmark = pytest.mark.real


@asynccontextmanager
async def receiving(
    *texts: str, topology: Topology = ORDERS
) -> AsyncIterator[tuple[ServedBroker, ServiceBusReceiver]]:
    """Serve a queue that holds *texts*, with a receiver."""
    async with served(topology) as bus, bus.client() as client:
        await bus.broker.send("orders", [message(text) for text in texts])
        async with client.get_queue_receiver("orders") as receiver:
            yield bus, receiver


async def one_of(receiver: ServiceBusReceiver) -> ServiceBusReceivedMessage:
    (received,) = await receiver.receive_messages(1, max_wait_time=5)
    return received


async def test_a_completed_message_is_gone() -> None:
    async with receiving("one", "two") as (bus, receiver):
        received = await receiver.receive_messages(5, max_wait_time=5)
        for each in received:
            await receiver.complete_message(each)

        await until(lambda: bus.broker.counts()["orders"] == (0, 0))
        assert [str(each) for each in received] == ["one", "two"]


async def test_an_abandoned_message_comes_again_and_its_deliveries_are_counted() -> None:
    async with receiving("one", topology=queue(max_delivery_count=2)) as (bus, receiver):
        counts = []
        for _ in range(2):
            received = await one_of(receiver)
            counts.append(received.delivery_count)
            await receiver.abandon_message(received)
        assert not await receiver.receive_messages(1, max_wait_time=1)

        assert counts == [0, 1]
        (dead,) = bus.broker.peek("orders/$deadletterqueue")
        assert dead.dead_letter_reason == "MaxDeliveryCountExceeded"


async def test_a_dead_letter_is_received_with_its_reason_and_source() -> None:
    async with served() as bus, bus.client() as client:
        await bus.broker.send("orders", [message("bad", application_properties={"k": "v"})])
        async with client.get_queue_receiver("orders") as receiver:
            await receiver.dead_letter_message(
                await one_of(receiver), reason="NoSuchOrder", error_description="order 7"
            )
        async with client.get_queue_receiver(
            "orders", sub_queue=ServiceBusSubQueue.DEAD_LETTER
        ) as receiver:
            dead = await one_of(receiver)
            await receiver.complete_message(dead)

        assert (str(dead), dead.dead_letter_source) == ("bad", "orders")
        assert dead.dead_letter_reason == "NoSuchOrder"
        assert dead.dead_letter_error_description == "order 7"
        assert dead.application_properties is not None
        assert dead.application_properties[b"k"] == b"v"
        await until(lambda: bus.broker.counts()["orders"] == (0, 0))


async def test_a_deferred_message_is_received_by_its_number_and_settled() -> None:
    async with receiving("first", "second") as (bus, receiver):
        numbers = []
        for each in await receiver.receive_messages(2, max_wait_time=5):
            await receiver.defer_message(each)
            assert each.sequence_number is not None
            numbers.append(each.sequence_number)
        assert not await receiver.receive_messages(1, max_wait_time=1)

        first, second = await receiver.receive_deferred_messages(numbers)
        with pytest.raises(MessageNotFoundError):
            await receiver.receive_deferred_messages(numbers[0])
        await receiver.complete_message(first)
        await receiver.dead_letter_message(second, reason="R")

        assert [str(first), str(second), first.delivery_count] == ["first", "second", 1]
        assert bus.broker.counts()["orders"] == (0, 1)
        assert bus.broker.peek("orders/$deadletterqueue")[0].dead_letter_reason == "R"


async def test_the_sections_of_a_deferred_message_are_in_the_order_of_amqp() -> None:
    async with receiving("first") as (bus, receiver):
        from local_cloud.service_bus_endpoint.management import Management
        from local_cloud.service_bus_endpoint.sections import split

        received = await one_of(receiver)
        await receiver.defer_message(received)
        await until(lambda: bus.broker.peek("orders")[0].is_deferred)
        _, body = await Management(bus.broker, "orders", SystemEntropy()).answer(
            "com.microsoft:receive-by-sequence-number",
            {"sequence-numbers": [received.sequence_number]},
        )
        codes = [section.code for section in split(body["messages"][0]["message"])]

        assert codes == sorted(codes)
        assert codes[:3] == [0x70, 0x71, 0x72]


async def test_a_message_that_is_received_and_deleted_is_gone_at_once() -> None:
    async with served() as bus, bus.client() as client:
        await bus.broker.send("orders", [message(str(number)) for number in range(50)])
        async with client.get_queue_receiver(
            "orders", receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE
        ) as receiver:
            received: list[str] = []
            while len(received) < 50:
                got = await receiver.receive_messages(20, max_wait_time=5)
                received += [str(each) for each in got]

        assert received == [str(number) for number in range(50)]
        assert bus.broker.counts()["orders"] == (0, 0)


async def test_a_lock_is_renewed_and_lost_when_it_runs_out() -> None:
    async with receiving("one", topology=queue(lock_s=60)) as (bus, receiver):
        received = await one_of(receiver)
        before = received.locked_until_utc
        bus.clock.ahead_s = 30
        after = await receiver.renew_message_lock(received)
        assert before is not None
        assert 25 < (after - before).total_seconds() < 60

        bus.clock.ahead_s = 120
        with pytest.raises(MessageLockLostError):
            await receiver.renew_message_lock(received)
        again = await one_of(receiver)

        assert again.delivery_count == 1


async def test_a_lock_that_ran_out_at_the_client_is_lost() -> None:
    async with receiving("one", topology=queue(lock_s=60)) as (bus, receiver):
        bus.clock.ahead_s = -3600
        await bus.broker.send("orders", [message("two")])
        received = await one_of(receiver)

        with pytest.raises(MessageLockLostError):
            await receiver.complete_message(received)


async def test_peeking_shows_messages_and_locks_none() -> None:
    async with receiving(*(f"m-{number}" for number in range(5))) as (bus, receiver):
        first = await receiver.peek_messages(2)
        rest = await receiver.peek_messages(10)
        again = await receiver.peek_messages(1, sequence_number=first[0].sequence_number or 0)

        assert [str(each) for each in first + rest] == [f"m-{number}" for number in range(5)]
        assert str(again[0]) == "m-0"
        assert len(await bus.broker.lock("orders", 10)) == 5


async def test_two_receivers_share_what_there_is_and_none_gets_a_message_twice() -> None:
    async with served() as bus, bus.client() as one, bus.client() as other:
        async with one.get_queue_receiver("orders") as a, other.get_queue_receiver("orders") as b:
            await bus.broker.send("orders", [message(str(number)) for number in range(20)])
            received: list[str] = []
            while len(received) < 20:
                for receiver in (a, b):
                    got = await receiver.receive_messages(4, max_wait_time=1)
                    received += [str(each) for each in got]
                    for each in got:
                        await receiver.complete_message(each)

        assert sorted(received, key=int) == [str(number) for number in range(20)]
        await until(lambda: bus.broker.counts()["orders"] == (0, 0))


async def test_a_waiting_receiver_gets_what_is_sent_meanwhile() -> None:
    async with receiving() as (bus, receiver):
        assert not await receiver.receive_messages(1, max_wait_time=0.1)
        await bus.broker.send("orders", [message("new")])

        assert str(await one_of(receiver)) == "new"


async def test_what_a_receiver_prefetched_and_never_saw_is_not_counted_as_delivered() -> None:
    async with served() as bus, bus.client() as client:
        await bus.broker.send("orders", [message(str(number)) for number in range(10)])
        async with client.get_queue_receiver("orders", prefetch_count=10) as receiver:
            await receiver.complete_message(await one_of(receiver))

        await until(lambda: all(each.delivery_count == 0 for each in bus.broker.peek("orders")))
        assert len(await bus.broker.lock("orders", 10)) == 9


async def test_receiving_from_what_is_not_there_is_not_found() -> None:
    async with served() as bus, bus.client() as client:
        with pytest.raises(MessagingEntityNotFoundError):
            async with client.get_queue_receiver("nothing") as receiver:
                await receiver.receive_messages(max_wait_time=1)


async def test_a_session_receiver_is_refused_with_the_reason() -> None:
    async with served() as bus, bus.client() as client:
        with pytest.raises(ServiceBusError, match="requires sessions"):
            async with client.get_queue_receiver(
                "orders", session_id=NEXT_AVAILABLE_SESSION
            ) as receiver:
                await receiver.receive_messages(max_wait_time=1)


async def test_a_message_of_many_frames_arrives_whole() -> None:
    text = "x" * 250_000
    async with receiving() as (bus, receiver):
        await bus.broker.send("orders", [message(text, message_id="long")])

        assert str(await one_of(receiver)) == text
