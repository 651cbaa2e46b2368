import pytest

from local_cloud.broker.message import LockLost
from local_cloud.sqlite.database import MEMORY, Database
from tests.kit.service_bus import (
    ORDERS,
    FailingDatabase,
    bodies,
    deliveries,
    message,
    open_broker,
    queue,
    until,
)
from tests.kit.virtual_time import LoopClock, run_virtual


def test_a_locked_message_is_not_given_to_anyone_else() -> None:
    async def main() -> None:
        broker = await open_broker()
        await broker.send("orders", [message("one"), message("two"), message("three")])

        first = await broker.lock("orders", 2)
        second = await broker.lock("orders", 2)

        assert bodies(first) == ["one", "two"]
        assert bodies(second) == ["three"]
        await broker.stop()

    run_virtual(main())


def test_a_lock_that_runs_out_makes_the_message_ready_and_counts_the_delivery() -> None:
    async def main() -> None:
        broker = await open_broker(queue(lock_s=30))
        await broker.send("orders", [message()])
        (first,) = await broker.lock("orders", 1)

        await LoopClock().sleep(29)
        assert not await broker.lock("orders", 1)
        await LoopClock().sleep(2)
        (second,) = await broker.lock("orders", 1)

        assert (first.delivery_count, second.delivery_count) == (1, 2)
        with pytest.raises(LockLost, match="delivery 1"):
            await broker.complete(first)
        await broker.complete(second)
        assert deliveries(broker)["held"] == 0
        await broker.stop()

    run_virtual(main())


def test_a_renewed_lock_lasts_its_whole_duration_again() -> None:
    async def main() -> None:
        broker = await open_broker(queue(lock_s=30))
        await broker.send("orders", [message()])
        (received,) = await broker.lock("orders", 1)

        for _ in range(4):
            await LoopClock().sleep(20)
            broker.renew(received)

        await broker.complete(received)
        with pytest.raises(LockLost):
            broker.renew(received)
        await broker.stop()

    run_virtual(main())


def test_a_message_is_settled_once() -> None:
    async def main() -> None:
        broker = await open_broker()
        await broker.send("orders", [message()])
        (received,) = await broker.lock("orders", 1)
        await broker.abandon(received)

        with pytest.raises(LockLost):
            await broker.complete(received)

        assert deliveries(broker)["held"] == 1
        await broker.stop()

    run_virtual(main())


def test_a_message_given_back_unseen_does_not_count_as_delivered() -> None:
    async def main() -> None:
        broker = await open_broker()
        await broker.send("orders", [message()])
        (received,) = await broker.lock("orders", 1)

        await broker.release(received)

        (again,) = await broker.lock("orders", 1)
        assert again.delivery_count == 1
        await broker.stop()

    run_virtual(main())


def test_what_a_killed_host_had_locked_is_ready_at_once_for_the_next_and_counted() -> None:
    async def main() -> None:
        database = Database(MEMORY)
        killed = await open_broker(ORDERS, database)
        await killed.send("orders", [message("one"), message("two")])
        (held,) = await killed.lock("orders", 1)

        following = await open_broker(ORDERS, database, seed=2)
        received = await following.lock("orders", 10)

        assert [(each.body, each.delivery_count) for each in received] == [(b"one", 2), (b"two", 1)]
        with pytest.raises(LockLost):
            await killed.complete(held)
        assert deliveries(following)["held"] == 2
        await killed.stop()
        await following.stop()

    run_virtual(main())


def test_a_message_that_kills_its_host_each_time_is_dead_lettered_too() -> None:
    async def main() -> None:
        database = Database(MEMORY)
        sender = await open_broker(queue(max_delivery_count=3), database)
        await sender.send("orders", [message("poison")])
        await sender.stop()

        for seed in range(3):
            killed = await open_broker(queue(max_delivery_count=3), database, seed=seed)
            assert len(await killed.lock("orders", 1)) == 1
            await killed.stop()

        last = await open_broker(queue(max_delivery_count=3), database, seed=9)
        assert deliveries(last) == {"held": 0, "dead": 1}
        await last.stop()

    run_virtual(main())


def test_a_receiver_that_waits_is_woken_by_a_lock_that_runs_out() -> None:
    async def main() -> None:
        broker = await open_broker(queue(lock_s=30))
        await broker.send("orders", [message()])
        await broker.lock("orders", 1)
        arrivals = broker.arrivals("orders")

        await arrivals.since(arrivals.count)

        assert LoopClock().monotonic_s() == pytest.approx(30)
        assert len(await broker.lock("orders", 1)) == 1
        await broker.stop()

    run_virtual(main())


def test_a_settlement_that_could_not_be_written_leaves_the_message_to_its_lock() -> None:
    async def main() -> None:
        database = FailingDatabase(MEMORY)
        broker = await open_broker(queue(lock_s=30), database)
        await broker.send("orders", [message()])
        (received,) = await broker.lock("orders", 1)

        database.fails = True
        with pytest.raises(OSError, match="no space"):
            await broker.complete(received)
        await LoopClock().sleep(40)
        database.fails = False

        arrivals = broker.arrivals("orders")
        await until(lambda: arrivals.count > 0)
        (again,) = await broker.lock("orders", 1)
        assert again.delivery_count == 2
        await broker.stop()

    run_virtual(main())
