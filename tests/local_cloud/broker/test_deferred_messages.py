"""A deferred message is received by its sequence number only, until somebody settles it."""

import pytest

from local_cloud.broker.broker import Broker
from local_cloud.broker.message import LockLost
from local_cloud.sqlite.database import MEMORY, Database
from tests.kit.service_bus import bodies, message, open_broker, queue
from tests.kit.virtual_time import LoopClock, run_virtual


def test_a_deferred_message_is_received_by_its_number_only() -> None:
    async def main() -> None:
        broker = await open_broker()
        await broker.send("orders", [message("later")])
        (locked,) = await broker.lock("orders", 1)

        await broker.defer(locked)

        assert not await broker.lock("orders", 10)
        (deferred,) = broker.peek("orders")
        assert deferred.is_deferred
        (received,) = await broker.lock_deferred("orders", [deferred.sequence_number, 99])
        assert bodies([received]) == ["later"]
        assert received.delivery_count == 2
        await broker.complete(received)
        assert not broker.peek("orders")
        await broker.stop()

    run_virtual(main())


def test_only_one_receiver_gets_a_deferred_message_and_only_as_long_as_its_lock() -> None:
    async def main() -> None:
        broker = await open_broker(queue(lock_s=30))
        number = await defer_one(broker)

        (first,) = await broker.lock_deferred("orders", [number])
        assert not await broker.lock_deferred("orders", [number])
        await LoopClock().sleep(31)
        (second,) = await broker.lock_deferred("orders", [number])

        with pytest.raises(LockLost):
            await broker.complete(first)
        await broker.complete(second)
        await broker.stop()

    run_virtual(main())


@pytest.mark.parametrize("ending", ["abandon", "release"])
def test_a_deferred_message_that_is_given_back_stays_deferred(ending: str) -> None:
    async def main() -> None:
        broker = await open_broker()
        number = await defer_one(broker)
        (received,) = await broker.lock_deferred("orders", [number])

        await getattr(broker, ending)(received)

        assert not await broker.lock("orders", 1)
        assert await broker.lock_deferred("orders", [number])
        await broker.stop()

    run_virtual(main())


def test_a_deferred_message_is_dead_lettered_after_its_last_delivery() -> None:
    async def main() -> None:
        broker = await open_broker(queue(max_delivery_count=2))
        number = await defer_one(broker)
        (received,) = await broker.lock_deferred("orders", [number])

        await broker.abandon(received)

        (dead,) = await broker.lock("orders/$deadletterqueue", 1)
        assert dead.dead_letter_reason == "MaxDeliveryCountExceeded"
        await broker.stop()

    run_virtual(main())


def test_a_deferred_message_outlives_a_killed_host_and_does_not_expire() -> None:
    async def main() -> None:
        database = Database(MEMORY)
        killed = await open_broker(queue(time_to_live_s=60), database)
        number = await defer_one(killed)
        await killed.lock_deferred("orders", [number])

        broker = await open_broker(queue(time_to_live_s=60), database, seed=2)
        await LoopClock().sleep(120)

        assert not await broker.lock("orders", 1)
        assert await broker.lock_deferred("orders", [number])
        await broker.stop()

    run_virtual(main())


async def defer_one(broker: Broker) -> int:
    """Send a message, defer it; return its sequence number."""
    await broker.send("orders", [message()])
    (locked,) = await broker.lock("orders", 1)
    await broker.defer(locked)
    return locked.sequence_number
