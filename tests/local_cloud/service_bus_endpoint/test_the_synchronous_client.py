"""The synchronous azure-servicebus client, which has a transport of its own."""

import asyncio
from datetime import datetime, timedelta

import pytest
from azure.servicebus import (
    NEXT_AVAILABLE_SESSION,
    ServiceBusClient,
    ServiceBusMessage,
    ServiceBusReceiveMode,
)
from azure.servicebus.exceptions import MessagingEntityNotFoundError

from local_cloud.broker.topology import Queue, QueueSettings, Topology
from tests.kit.service_bus import bodies
from tests.kit.service_bus_wire import served

pytestmark = pytest.mark.real
TOPOLOGY = Topology(
    queues=(Queue("orders"), Queue("sessions", QueueSettings(requires_session=True)))
)


def work(connection: str, later: datetime) -> list[str]:
    done: list[str] = []
    with ServiceBusClient.from_connection_string(connection, retry_total=0) as client:
        with client.get_queue_sender("orders") as sender:
            sender.send_messages([ServiceBusMessage(text) for text in ("one", "two", "three")])
            numbers = sender.schedule_messages(ServiceBusMessage("never"), later)
            sender.cancel_scheduled_messages(numbers)
        with client.get_queue_receiver("orders") as receiver:
            one, two, three = receiver.receive_messages(3, max_wait_time=5)
            receiver.renew_message_lock(one)
            receiver.complete_message(one)
            receiver.dead_letter_message(two, reason="Bad")
            receiver.defer_message(three)
            (again,) = receiver.receive_deferred_messages(three.sequence_number or 0)
            receiver.abandon_message(again)
            done += [str(each) for each in (one, two, again)]
        with client.get_queue_receiver(
            "orders", sub_queue="deadletter", receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE
        ) as receiver:
            done += [str(each) for each in receiver.receive_messages(1, max_wait_time=5)]
        with client.get_queue_sender("sessions") as sender:
            sender.send_messages(ServiceBusMessage("of a session", session_id="s"))
        with client.get_queue_receiver("sessions", session_id=NEXT_AVAILABLE_SESSION) as receiver:
            receiver.session.set_state(b"seen")
            done += [str(each) for each in receiver.receive_messages(1, max_wait_time=5)]
            done.append(str(receiver.session.get_state(), "ascii"))
        with (
            pytest.raises(MessagingEntityNotFoundError),
            client.get_queue_sender("absent") as sender,
        ):
            sender.send_messages(ServiceBusMessage("lost"))
    return done


async def test_it_does_what_the_other_one_does() -> None:
    async with served(TOPOLOGY) as bus:
        later = bus.clock.now() + timedelta(hours=1)
        done = await asyncio.to_thread(work, bus.endpoint.connection_string, later)

        assert done == ["one", "two", "three", "two", "of a session", "seen"]
        assert bodies(bus.broker.peek("orders")) == ["three"]
