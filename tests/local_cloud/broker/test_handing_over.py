import pytest

from local_cloud.broker.message import LockLost
from local_cloud.sqlite.database import MEMORY
from tests.kit.service_bus import (
    ORDERS,
    FailingDatabase,
    bodies,
    deliveries,
    message,
    open_broker,
    queue,
)
from tests.kit.virtual_time import run_virtual


def test_a_message_that_finds_a_free_place_is_locked_and_handed_over_at_once() -> None:
    async def main() -> None:
        broker = await open_broker()
        link = broker.open_link("orders")
        link.has_backlog = False
        link.grant_credit(1)

        await broker.send("orders", [message("one"), message("two")])

        assert bodies(link.messages) == ["one"]
        assert bodies(await broker.lock("orders", 10)) == ["two"]
        await broker.complete(link.messages[0])
        assert deliveries(broker)["held"] == 1
        await broker.stop()

    run_virtual(main())


def test_nothing_overtakes_what_a_queue_already_holds() -> None:
    async def main() -> None:
        broker = await open_broker()
        await broker.send("orders", [message("older")])
        link = broker.open_link("orders")
        link.grant_credit(10)

        await broker.send("orders", [message("newer")])

        assert not link.messages
        assert bodies(await broker.lock("orders", 10)) == ["older", "newer"]
        await broker.stop()

    run_virtual(main())


def test_a_message_that_was_handed_over_loses_its_lock_like_any_other() -> None:
    async def main() -> None:
        broker = await open_broker(queue(lock_s=30, max_delivery_count=2))
        link = broker.open_link("orders")
        link.has_backlog = False
        link.grant_credit(1)
        await broker.send("orders", [message()])
        arrivals = broker.arrivals("orders")

        await arrivals.since(arrivals.count)

        with pytest.raises(LockLost):
            await broker.complete(link.messages[0])
        (again,) = await broker.lock("orders", 1)
        assert again.delivery_count == 2
        await broker.stop()

    run_virtual(main())


def test_receivers_with_free_places_are_given_messages_in_turn() -> None:
    async def main() -> None:
        broker = await open_broker()
        links = [broker.open_link("orders") for _ in range(3)]
        for link in links:
            link.has_backlog = False
            link.grant_credit(10)

        await broker.send("orders", [message(text) for text in "abcdef"])

        assert [bodies(each.messages) for each in links] == [
            ["a", "d"],
            ["b", "e"],
            ["c", "f"],
        ]
        await broker.stop()

    run_virtual(main())


def test_a_send_that_fails_leaves_the_place_free_and_the_queue_empty() -> None:
    async def main() -> None:
        database = FailingDatabase(MEMORY)
        broker = await open_broker(ORDERS, database)
        link = broker.open_link("orders")
        link.has_backlog = False
        link.grant_credit(1)

        database.fails = True
        with pytest.raises(OSError, match="no space"):
            await broker.send("orders", [message()])
        database.fails = False

        assert (link.expected, len(link.messages)) == (0, 0)
        assert deliveries(broker)["held"] == 0
        await broker.stop()

    run_virtual(main())
