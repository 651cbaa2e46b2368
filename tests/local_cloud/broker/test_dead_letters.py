import pytest

from local_cloud.broker.topology import Subscription, Topic, Topology
from tests.kit.service_bus import ALL, bodies, deliveries, message, open_broker, queue
from tests.kit.virtual_time import run_virtual

TWO = Topology(topics=(Topic("events", (Subscription("all"), Subscription("other"))),))
OTHER = "events/subscriptions/other"


def test_a_dead_letter_says_why_and_can_be_received_like_any_message() -> None:
    async def main() -> None:
        broker = await open_broker()
        await broker.send("orders", [message("bad")])
        (received,) = await broker.lock("orders", 1)

        await broker.dead_letter(received, "Malformed", "field weight is missing")

        assert deliveries(broker) == {"held": 0, "dead": 1}
        (dead,) = await broker.lock("orders/$DeadLetterQueue", 1)
        assert (dead.dead_letter_reason, dead.dead_letter_description) == (
            "Malformed",
            "field weight is missing",
        )
        await broker.complete(dead)
        assert deliveries(broker) == {"held": 0, "dead": 0}
        await broker.stop()

    run_virtual(main())


def test_a_dead_letter_that_is_abandoned_for_ever_stays_a_dead_letter() -> None:
    async def main() -> None:
        broker = await open_broker(queue(max_delivery_count=1))
        await broker.send("orders", [message()])
        (received,) = await broker.lock("orders", 1)
        await broker.abandon(received)

        for _ in range(5):
            (dead,) = await broker.lock("orders/$deadletterqueue", 1)
            await broker.abandon(dead)

        assert deliveries(broker) == {"held": 0, "dead": 1}
        await broker.stop()

    run_virtual(main())


def test_a_resubmitted_dead_letter_is_fresh_and_only_its_own_subscription_sees_it() -> None:
    async def main() -> None:
        broker = await open_broker(TWO)
        await broker.send("events", [message()])
        (mine,), (theirs,) = await broker.lock(ALL, 1), await broker.lock(OTHER, 1)
        await broker.complete(theirs)
        await broker.dead_letter(mine, "Defect")
        (dead,) = broker.peek(f"{ALL}/$DeadLetterQueue")

        assert await broker.resubmit(ALL, dead.sequence_number)

        (again,) = await broker.lock(ALL, 1)
        assert (again.delivery_count, again.dead_letter_reason) == (1, "")
        assert deliveries(broker, OTHER) == {"held": 0, "dead": 0}
        assert not await broker.resubmit(ALL, dead.sequence_number)
        await broker.stop()

    run_virtual(main())


def test_a_discarded_dead_letter_is_gone() -> None:
    async def main() -> None:
        broker = await open_broker()
        await broker.send("orders", [message()])
        (received,) = await broker.lock("orders", 1)
        await broker.dead_letter(received, "Defect")

        assert await broker.discard("orders", received.sequence_number)

        assert not await broker.discard("orders", received.sequence_number)
        assert deliveries(broker) == {"held": 0, "dead": 0}
        await broker.stop()

    run_virtual(main())


@pytest.mark.parametrize("locked", [0, 2])
def test_peeking_shows_everything_page_by_page_and_locks_nothing(locked: int) -> None:
    async def main() -> None:
        broker = await open_broker()
        await broker.send("orders", [message(text) for text in "abc"])
        await broker.lock("orders", locked)

        first = broker.peek("orders", limit=2)
        rest = broker.peek("orders", limit=2, after=first[-1].sequence_number)

        assert bodies(first) + bodies(rest) == ["a", "b", "c"]
        assert len(await broker.lock("orders", 10)) == 3 - locked
        await broker.stop()

    run_virtual(main())


def test_a_message_is_stored_once_and_removed_with_its_last_copy() -> None:
    async def main() -> None:
        broker = await open_broker(TWO)
        await broker.send("events", [message()])

        def stored() -> int:
            query = "SELECT count(*) FROM broker_message"
            return broker._namespace.database.read(lambda db: db.execute(query).fetchone()[0])

        assert stored() == 1
        for path, left in ((ALL, 1), (OTHER, 0)):
            (received,) = await broker.lock(path, 1)
            await broker.complete(received)
            assert stored() == left
        await broker.stop()

    run_virtual(main())


def test_a_sequence_number_is_never_given_twice() -> None:
    async def main() -> None:
        broker = await open_broker()
        numbers = []
        for _ in range(3):
            await broker.send("orders", [message()])
            (received,) = await broker.lock("orders", 1)
            numbers.append(received.sequence_number)
            await broker.complete(received)

        assert numbers == sorted(set(numbers))
        await broker.stop()

    run_virtual(main())
