"""Sessions, as azure-servicebus receives them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import (
    OperationTimeoutError,
    ServiceBusError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)

from local_cloud.broker.sessions import SessionLost
from shared.kernel.entropy import SystemEntropy
from tests.kit.service_bus import queue, until
from tests.kit.service_bus_wire import ServedBroker, served

pytestmark = pytest.mark.real


@asynccontextmanager
async def holding(
    *sent: str, lock_s: float = 60
) -> AsyncIterator[tuple[ServedBroker, ServiceBusClient]]:
    """Serve a queue that requires sessions, with messages such as `a1` of session `a`."""
    async with served(queue(requires_session=True, lock_s=lock_s)) as bus, bus.client() as client:
        if sent:
            async with client.get_queue_sender("orders") as sender:
                await sender.send_messages(
                    [ServiceBusMessage(text, session_id=text[0]) for text in sent]
                )
        yield bus, client


async def test_a_session_is_received_alone_and_in_order() -> None:
    async with holding("a1", "b1", "a2", "b2", "a3") as (bus, client):
        async with client.get_queue_receiver("orders", session_id="a") as receiver:
            received = await receiver.receive_messages(10, max_wait_time=2)
            for each in received:
                await receiver.complete_message(each)
            assert [str(each) for each in received] == ["a1", "a2", "a3"]
            assert {each.session_id for each in received} == {"a"}
            assert receiver.session.session_id == "a"
            assert receiver.session.locked_until_utc is not None

        await until(lambda: bus.broker.counts()["orders"] == (2, 0))


async def test_the_next_free_session_is_the_one_that_waits_longest() -> None:
    async with (
        holding("b1", "a1") as (_, client),
        client.get_queue_receiver("orders", session_id=NEXT_AVAILABLE_SESSION) as first,
        client.get_queue_receiver("orders", session_id=NEXT_AVAILABLE_SESSION) as second,
    ):
        names = [first.session.session_id, second.session.session_id]

    assert names == ["b", "a"]


async def test_waiting_for_a_session_ends_in_time_or_with_a_message() -> None:
    async with holding() as (_, client):
        with pytest.raises(OperationTimeoutError):
            async with client.get_queue_receiver(
                "orders", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=1
            ):
                pass
        receiver = client.get_queue_receiver("orders", session_id=NEXT_AVAILABLE_SESSION)
        opening = asyncio.create_task(receiver.__aenter__())
        async with client.get_queue_sender("orders") as sender:
            await sender.send_messages(ServiceBusMessage("late", session_id="l"))
        await opening
        (received,) = await receiver.receive_messages(1, max_wait_time=2)
        await receiver.close()

    assert str(received) == "late"


async def test_a_session_has_one_receiver_and_is_free_when_that_has_left() -> None:
    async with holding("a1") as (bus, client):
        async with client.get_queue_receiver("orders", session_id="a") as receiver:
            assert await receiver.receive_messages(1, max_wait_time=2)
            with pytest.raises(SessionCannotBeLockedError):
                async with client.get_queue_receiver("orders", session_id="a"):
                    pass
        async with client.get_queue_receiver("orders", session_id="a") as receiver:
            (again,) = await receiver.receive_messages(1, max_wait_time=2)
            await receiver.complete_message(again)

        assert again.delivery_count == 1
        await until(lambda: bus.broker.counts()["orders"] == (0, 0))


async def test_a_session_keeps_a_state_over_receivers() -> None:
    async with holding("a1") as (_, client):
        async with client.get_queue_receiver("orders", session_id="a") as receiver:
            before = await receiver.session.get_state()
            await receiver.session.set_state(b"half way")
        async with client.get_queue_receiver("orders", session_id="a") as receiver:
            kept = await receiver.session.get_state()
            await receiver.session.set_state(None)
            removed = await receiver.session.get_state()

    assert (before, kept, removed) == (None, b"half way", None)


async def test_a_session_s_lock_is_renewed_and_lost_when_it_runs_out() -> None:
    async with (
        holding("a1", "a2") as (bus, client),
        client.get_queue_receiver("orders", session_id="a") as receiver,
    ):
        (received,) = await receiver.receive_messages(1, max_wait_time=2)
        before = receiver.session.locked_until_utc
        bus.clock.ahead_s = 50
        renewed = await receiver.session.renew_lock()
        bus.clock.ahead_s = 100
        await receiver.complete_message(received)
        await until(lambda: bus.broker.counts()["orders"] == (1, 0))
        assert (renewed - before).total_seconds() > 40

        await receiver.receive_messages(1, max_wait_time=2)
        bus.clock.ahead_s = 1000
        with pytest.raises(SessionLockLostError):
            await receiver.session.set_state(b"too late")
        session = await bus.broker.sessions.accept("orders", None, 5)
        (again,) = await bus.broker.sessions.lock_messages(session, 5)
        assert (again.body, again.delivery_count) == (b"a2", 2)


async def test_a_deferred_message_of_a_session_is_received_by_its_number() -> None:
    async with (
        holding("a1", "a2") as (_, client),
        client.get_queue_receiver("orders", session_id="a") as receiver,
    ):
        (first,) = await receiver.receive_messages(1, max_wait_time=2)
        await receiver.defer_message(first)
        (second,) = await receiver.receive_messages(1, max_wait_time=2)
        assert first.sequence_number is not None
        (again,) = await receiver.receive_deferred_messages(first.sequence_number)
        await receiver.complete_message(again)
        peeked = await receiver.peek_messages(5, sequence_number=first.sequence_number)

    assert [str(each) for each in (second, again, *peeked)] == ["a2", "a1", "a2"]


async def test_a_message_without_a_session_is_refused_and_so_is_a_receiver() -> None:
    async with holding() as (bus, client):
        async with client.get_queue_sender("orders") as sender:
            with pytest.raises(ServiceBusError, match="SessionId was not set"):
                await sender.send_messages(ServiceBusMessage("no session"))
        with pytest.raises(ServiceBusError, match="requires sessions"):
            async with client.get_queue_receiver("orders") as receiver:
                await receiver.receive_messages(1, max_wait_time=1)

        assert not bus.broker.peek("orders")


async def test_a_dead_letter_of_a_session_is_received_without_one() -> None:
    async with holding("a1") as (_, client):
        async with client.get_queue_receiver("orders", session_id="a") as receiver:
            (received,) = await receiver.receive_messages(1, max_wait_time=2)
            await receiver.dead_letter_message(received, reason="Bad")
        async with client.get_queue_receiver("orders", sub_queue="deadletter") as receiver:
            (dead,) = await receiver.receive_messages(1, max_wait_time=2)

    assert (dead.dead_letter_reason, dead.session_id) == ("Bad", "a")


async def test_a_deferred_message_is_given_to_who_has_its_session_also_when_none_is_named() -> None:
    async with holding("a1") as (bus, _):
        from local_cloud.service_bus_endpoint.management import Management

        session = await bus.broker.sessions.accept("orders", "a", 1)
        (first,) = await bus.broker.sessions.lock_messages(session, 1)
        await bus.broker.defer(first)
        await bus.broker.sessions.release(session)
        management = Management(bus.broker, "orders", SystemEntropy())
        request = {"sequence-numbers": [first.sequence_number]}
        operation = "com.microsoft:receive-by-sequence-number"
        with pytest.raises(SessionLost):
            await management.answer(operation, request)

        await bus.broker.sessions.accept("orders", "a", 1)
        status, body = await management.answer(operation, request)
        assert (status, len(body["messages"])) == (200, 1)


async def test_sessions_are_listed_with_messages_or_a_state_or_by_its_time() -> None:
    async with holding("a1", "b1") as (bus, client):
        async with client.get_queue_receiver("orders", session_id="c") as receiver:
            await receiver.session.set_state(b"kept")
        began = bus.clock.now()
        bus.clock.ahead_s = 10
        async with client.get_queue_receiver("orders", session_id="b") as receiver:
            await receiver.session.set_state(b"later")

        every = [name async for name in client.list_queue_sessions("orders")]
        later = [
            name async for name in client.list_queue_sessions("orders", state_updated_after=began)
        ]

    assert (every, later) == (["a", "b", "c"], ["b"])
