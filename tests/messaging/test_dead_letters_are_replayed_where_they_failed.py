"""The suite of `DeadLetters`: the embedded broker itself, and the official SDK on a connection."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from azure.servicebus.amqp import AmqpAnnotatedMessage

from local_cloud.broker.dead_letters import BrokerDeadLetters
from local_cloud.broker.topology import Subscription, Topic, Topology
from shared.kernel.errors import NotFound, Unavailable
from shared.messaging.dead_letters import RENEWED_FOR_S, DeadLetter, DeadLetters
from shared.messaging.service_bus_connection import ServiceBusConnection
from shared.messaging.service_bus_dead_letters import ServiceBusDeadLetters
from tests.kit.patience import PATIENCE_S
from tests.kit.service_bus import bodies, deliveries, message
from tests.kit.service_bus_wire import ServedBroker, served

pytestmark = pytest.mark.real
BOTH = Topology(topics=(Topic("events", (Subscription("all"), Subscription("other"))),))
ALL, OTHER = "events/subscriptions/all", "events/Subscriptions/other"
KINDS = pytest.mark.parametrize("kind", ["embedded", "service-bus"])


@asynccontextmanager
async def given_up(kind: str, *texts: str) -> AsyncIterator[tuple[ServedBroker, DeadLetters]]:
    """Serve a topic of whose two subscriptions one has given up messages with *texts*."""
    async with served(BOTH) as bus:
        properties = {"cs-event-type": "Placed"}
        sent = [message(text, application_properties=properties) for text in texts]
        await bus.broker.send("events", sent)
        for received in await bus.broker.lock(ALL, 100):
            await bus.broker.dead_letter(received, "Defect", "KeyError: 'weight'")
        for received in await bus.broker.lock(OTHER, 100):
            await bus.broker.complete(received)
        if kind == "embedded":
            yield bus, BrokerDeadLetters(bus.broker)
            return
        connection = ServiceBusConnection(connection_string=bus.endpoint.connection_string)
        yield bus, ServiceBusDeadLetters(connection)


class Service:
    """Handles what is replayed; fails as long as `fails` says."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.given: list[DeadLetter] = []

    async def __call__(self, letter: DeadLetter) -> None:
        self.given.append(letter)
        if self.fails:
            raise OSError("the defect is still there")


def numbers(letters: Sequence[DeadLetter]) -> list[int]:
    return [letter.sequence_number for letter in letters]


@KINDS
async def test_they_are_listed_page_by_page_with_the_reason_and_none_is_locked(kind: str) -> None:
    async with given_up(kind, "a", "b", "c") as (bus, letters):
        first = await letters.page(ALL, limit=2)
        rest = await letters.page(ALL, after=first[-1].sequence_number)
        beyond = await letters.page(ALL, after=rest[-1].sequence_number)

        assert [each.body for each in (*first, *rest, *beyond)] == [b"a", b"b", b"c"]
        shown = first[0]
        assert (shown.reason, shown.description) == ("Defect", "KeyError: 'weight'")
        assert (shown.message_id, shown.properties) == ("id-a", {"cs-event-type": "Placed"})
        assert shown.content_type == "application/json"
        assert len(await bus.broker.lock(f"{ALL}/$deadletterqueue", 9)) == 3


@KINDS
async def test_one_whose_body_is_no_data_is_listed_with_the_others(kind: str) -> None:
    async with given_up(kind, "a") as (bus, letters):
        async with bus.client() as client, client.get_topic_sender("events") as sender:
            await sender.send_messages(AmqpAnnotatedMessage(value_body={"b": 1}))
        for received in await bus.broker.lock(ALL, 100):
            await bus.broker.dead_letter(received, "Defect", "TypeError")

        assert [letter.body for letter in await letters.page(ALL)] == [b"a", b'{"b": 1}']


@KINDS
async def test_one_is_handled_and_removed_and_the_others_stay(kind: str) -> None:
    async with given_up(kind, "a", "b", "c") as (bus, letters):
        wanted = (await letters.page(ALL))[1]
        service = Service()

        assert await letters.replay(ALL, wanted.sequence_number, service)

        assert service.given == [wanted]
        assert bodies(bus.broker.peek(f"{ALL}/$deadletterqueue")) == ["a", "c"]
        assert deliveries(bus.broker, ALL) == {"held": 0, "dead": 2}
        assert deliveries(bus.broker, OTHER) == {"held": 0, "dead": 0}


@KINDS
async def test_one_that_fails_again_stays_and_the_service_s_error_is_told(kind: str) -> None:
    async with given_up(kind, "a") as (_, letters):
        (letter,) = await letters.page(ALL)
        service = Service(fails=True)
        with pytest.raises(OSError, match="the defect is still there"):
            await letters.replay(ALL, letter.sequence_number, service)
        service.fails = False

        assert numbers(await letters.page(ALL)) == [letter.sequence_number]
        assert await letters.replay(ALL, letter.sequence_number, service)
        assert not await letters.page(ALL)
        assert numbers(service.given) == [letter.sequence_number] * 2


@KINDS
async def test_one_that_was_handled_and_not_removed_is_given_again_under_its_id(kind: str) -> None:
    async with given_up(kind, "a") as (bus, letters):
        (letter,) = await letters.page(ALL)
        service = Service()

        async def handled_too_late(given: DeadLetter) -> None:
            await service(given)
            bus.clock.ahead_s = 2 * RENEWED_FOR_S

        with pytest.raises(Unavailable):
            await letters.replay(ALL, letter.sequence_number, handled_too_late)

        async with asyncio.timeout(PATIENCE_S):
            while not await letters.replay(ALL, letter.sequence_number, service):
                await bus.clock.sleep(0.05)
        assert [each.message_id for each in service.given] == ["id-a", "id-a"]


@KINDS
async def test_a_number_that_is_not_there_is_not_replayed(kind: str) -> None:
    async with given_up(kind, "a") as (_, letters):
        (letter,) = await letters.page(ALL)
        service = Service()

        assert not await letters.replay(ALL, letter.sequence_number + 1, service)
        assert not service.given
        assert await letters.replay(ALL, letter.sequence_number, service)


@KINDS
async def test_an_entity_that_was_not_declared_is_not_found(kind: str) -> None:
    async with given_up(kind) as (_, letters):
        with pytest.raises(NotFound, match="nothing"):
            await letters.page("events/subscriptions/nothing")
        with pytest.raises(NotFound, match="nothing"):
            await letters.replay("nothing", 1, Service())
