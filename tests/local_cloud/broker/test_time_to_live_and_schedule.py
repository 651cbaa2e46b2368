from datetime import timedelta

import pytest

from local_cloud.broker.topology import Subscription, Topic, Topology
from local_cloud.sqlite.database import MEMORY, Database
from tests.kit.service_bus import (
    ALL,
    EVENTS,
    ORDERS,
    bodies,
    deliveries,
    message,
    open_broker,
    queue,
)
from tests.kit.virtual_time import EPOCH, LoopClock, run_virtual


@pytest.mark.parametrize(
    ("own_s", "entity_s", "lives_s"),
    [
        pytest.param(60, None, 60, id="the-message-s"),
        pytest.param(None, 60, 60, id="the-entity-s"),
        pytest.param(600, 60, 60, id="the-shorter-of-both"),
    ],
)
def test_a_message_over_its_time_to_live_is_dropped(
    own_s: float | None, entity_s: float | None, lives_s: float
) -> None:
    async def main() -> None:
        broker = await open_broker(queue(time_to_live_s=entity_s))
        await broker.send("orders", [message(time_to_live_s=own_s)])

        await LoopClock().sleep(lives_s - 1)
        assert deliveries(broker)["held"] == 1
        await LoopClock().sleep(2)

        assert deliveries(broker) == {"held": 0, "dead": 0}
        await broker.stop()

    run_virtual(main())


def test_an_expired_message_is_dead_lettered_where_the_entity_says_so_and_stays_there() -> None:
    async def main() -> None:
        broker = await open_broker(queue(dead_letters_expired=True))
        await broker.send("orders", [message(time_to_live_s=60)])

        await LoopClock().sleep(10_000)

        (dead,) = broker.peek("orders/$deadletterqueue")
        assert dead.dead_letter_reason == "TTLExpiredException"
        await broker.stop()

    run_virtual(main())


def test_a_locked_message_does_not_expire_before_its_lock_does() -> None:
    async def main() -> None:
        broker = await open_broker(queue(lock_s=120))
        await broker.send("orders", [message("one", time_to_live_s=60)])
        await broker.send("orders", [message("two", time_to_live_s=60)])
        one, two = await broker.lock("orders", 2)

        await LoopClock().sleep(90)
        await broker.complete(one)
        await broker.abandon(two)
        assert not await broker.lock("orders", 1)
        await LoopClock().sleep(1)

        assert deliveries(broker)["held"] == 0
        await broker.stop()

    run_virtual(main())


def test_a_scheduled_message_comes_when_it_is_due_also_to_a_later_host() -> None:
    async def main() -> None:
        database = Database(MEMORY)
        first = await open_broker(ORDERS, database)
        due = EPOCH + timedelta(hours=2)
        await first.send("orders", [message("later", scheduled_at=due), message("now")])
        assert bodies(await first.lock("orders", 10)) == ["now"]
        await first.stop()

        second = await open_broker(ORDERS, database, seed=2)
        for received in await second.lock("orders", 10):
            await second.complete(received)
        arrivals = second.arrivals("orders")
        await arrivals.since(arrivals.count)

        assert LoopClock().now() == due
        assert bodies(await second.lock("orders", 10)) == ["later"]
        await second.stop()

    run_virtual(main())


def test_an_earlier_instant_is_not_missed_while_waiting_for_a_later_one() -> None:
    async def main() -> None:
        broker = await open_broker()
        for hours in (3, 1, 2):
            due = EPOCH + timedelta(hours=hours)
            await broker.send("orders", [message(f"{hours}", scheduled_at=due)])
        seen = []

        for _ in range(3):
            arrivals = broker.arrivals("orders")
            await arrivals.since(arrivals.count)
            (received,) = await broker.lock("orders", 10)
            seen.append((received.body, LoopClock().now()))
            await broker.complete(received)

        assert seen == [(f"{n}".encode(), EPOCH + timedelta(hours=n)) for n in (1, 2, 3)]
        await broker.stop()

    run_virtual(main())


def test_filters_judge_a_scheduled_message_when_it_is_due() -> None:
    async def main() -> None:
        broker = await open_broker(Topology(topics=(Topic("events"),)))
        due = EPOCH + timedelta(hours=1)
        await broker.send("events", [message("later", scheduled_at=due, time_to_live_s=60)])

        await broker.create_subscription("events", Subscription("all"))
        await LoopClock().sleep(3601)

        assert bodies(await broker.lock(ALL, 10)) == ["later"]
        await broker.stop()

    run_virtual(main())


def test_an_instant_that_has_passed_is_now() -> None:
    async def main() -> None:
        broker = await open_broker(EVENTS)

        await broker.send("events", [message(scheduled_at=EPOCH - timedelta(days=1))])

        assert len(await broker.lock(ALL, 10)) == 1
        await broker.stop()

    run_virtual(main())


def test_a_scheduled_message_is_cancelled_by_its_number_until_it_is_due() -> None:
    async def main() -> None:
        broker = await open_broker()
        in_a_minute = EPOCH + timedelta(minutes=1)
        kept, dropped = await broker.schedule(
            "orders",
            [message("kept", scheduled_at=in_a_minute), message("no", scheduled_at=in_a_minute)],
        )

        assert await broker.cancel_scheduled("orders", [dropped, dropped]) == 1
        await LoopClock().sleep(61)

        assert bodies(await broker.lock("orders", 10)) == ["kept"]
        assert await broker.cancel_scheduled("orders", [kept]) == 0
        await broker.stop()

    run_virtual(main())


def test_the_number_of_an_enqueued_message_cancels_nothing() -> None:
    async def main() -> None:
        broker = await open_broker()
        later = message("later", scheduled_at=EPOCH + timedelta(minutes=1))
        _, now = await broker.schedule("orders", [later, message("now")])

        assert await broker.cancel_scheduled("orders", [now]) == 0
        assert [each.sequence_number for each in broker.peek("orders")] == [now]
        await broker.stop()

    run_virtual(main())
