"""How long a trigger holds a message. Sources: the protocol page, section 2, and where named."""

from typing import List  # noqa: UP035  what a real app must write

import azure.functions as func
import pytest

from local_cloud.broker.topology import QueueSettings, Subscription, Topic, Topology
from local_cloud.sqlite.database import MEMORY, Database
from tests.kit.service_bus import (
    ALL,
    EVENTS,
    ORDERS,
    Handler,
    deliveries,
    listening,
    listens_to,
    message,
    open_broker,
    queue,
    until,
)
from tests.kit.virtual_time import LoopClock, run_virtual


class Slow:
    """A function that takes as long as the first entry says, then the next, the last for ever."""

    def __init__(self, *seconds: float) -> None:
        self.seconds = list(seconds)
        self.begun: list[int | None] = []

    async def __call__(self, message: func.ServiceBusMessage) -> None:
        seconds = self.seconds.pop(0) if len(self.seconds) > 1 else self.seconds[0]
        self.begun.append(message.delivery_count)
        await LoopClock().sleep(seconds)


def test_the_lock_is_renewed_while_the_function_runs() -> None:
    """`maxAutoLockRenewalDuration`, five minutes unless host.json says otherwise."""

    async def main() -> None:
        broker, handler = await open_broker(queue(lock_s=30)), Slow(280)

        async with listening(broker, listens_to(handler, queueName="orders")):
            await broker.send("orders", [message()])
            await until(lambda: deliveries(broker)["held"] == 0)

        assert handler.begun == [1]

    run_virtual(main())


def test_a_function_longer_than_the_renewal_loses_its_lock_and_its_completion() -> None:
    """The message is delivered again while the first run goes on, and its result counts nothing."""

    async def main() -> None:
        broker, handler = await open_broker(queue(lock_s=30)), Slow(500, 1)

        async with listening(broker, listens_to(handler, queueName="orders")):
            await broker.send("orders", [message()])
            await until(lambda: len(handler.begun) == 2)
            assert 300 <= LoopClock().monotonic_s() <= 331
            await LoopClock().sleep(600)

        assert handler.begun == [1, 2]
        assert deliveries(broker) == {"held": 0, "dead": 0}

    run_virtual(main())


def test_the_locks_of_a_batch_are_not_renewed() -> None:
    """Learn, host.json settings: the renewal is only for functions that take one message."""

    async def main() -> None:
        broker = await open_broker(queue(lock_s=30))
        counts: list[int | None] = []

        async def handler(message: List[func.ServiceBusMessage]) -> None:  # noqa: UP006
            counts.extend(each.delivery_count for each in message)
            await LoopClock().sleep(40 if len(counts) == 1 else 1)

        async with listening(broker, listens_to(handler, queueName="orders", cardinality="many")):
            await broker.send("orders", [message()])
            await until(lambda: deliveries(broker)["held"] == 0)

        assert counts == [1, 2]

    run_virtual(main())


def test_the_lock_of_a_prefetched_message_runs_out_while_it_waits() -> None:
    """Learn, service-bus-prefetch: the lock of a buffered message runs from its arrival."""

    async def main() -> None:
        broker, handler = await open_broker(queue(lock_s=30)), Slow(50, 1)

        async with listening(
            broker,
            listens_to(handler, queueName="orders"),
            max_concurrent_calls=1,
            prefetch_count=1,
        ):
            await broker.send("orders", [message("one"), message("two")])
            await until(lambda: deliveries(broker)["held"] == 0)

        assert handler.begun == [1, 1, 2]

    run_virtual(main())


def test_a_prefetched_message_is_given_back_uncounted_when_the_listener_stops() -> None:
    async def main() -> None:
        database = Database(MEMORY)
        broker, handler = await open_broker(ORDERS, database), Slow(5)
        await broker.send("orders", [message("one"), message("two")])

        async with listening(
            broker,
            listens_to(handler, queueName="orders"),
            max_concurrent_calls=1,
            prefetch_count=1,
        ):
            await until(lambda: len(handler.begun) == 1)

        following = await open_broker(ORDERS, database, seed=2)
        assert [each.delivery_count for each in await following.lock("orders", 10)] == [1]
        await following.stop()

    run_virtual(main())


def test_a_message_comes_again_after_success_when_its_completion_was_lost() -> None:
    """At least once: the host dies after the function has returned, before it was settled."""

    async def main() -> None:
        database = Database(MEMORY)
        dying = await open_broker(ORDERS, database)
        following = None

        async def last_words(message: func.ServiceBusMessage) -> None:
            nonlocal following
            following = await open_broker(ORDERS, database, seed=2)

        async with listening(dying, listens_to(last_words, queueName="orders")):
            await dying.send("orders", [message()])
            await until(lambda: following is not None)
        assert following is not None

        handler = Handler()
        async with listening(following, listens_to(handler, queueName="orders")):
            await until(lambda: deliveries(following)["held"] == 0)

        assert handler.counts == [2]

    run_virtual(main())


def test_subscriptions_of_one_topic_do_not_hold_each_other_up() -> None:
    async def main() -> None:
        topology = Topology(
            topics=(
                Topic(
                    "events",
                    (
                        Subscription("all"),
                        Subscription("failing", settings=QueueSettings(max_delivery_count=3)),
                    ),
                ),
            )
        )
        broker, well, failing = await open_broker(topology), Handler(), Handler(fails=True)

        async with listening(
            broker,
            listens_to(well, topicName="events", subscriptionName="all"),
            listens_to(failing, topicName="events", subscriptionName="failing"),
        ):
            await broker.send("events", [message()])
            await until(lambda: deliveries(broker, "events/subscriptions/failing")["dead"] == 1)

        assert (well.counts, failing.counts) == ([1], [1, 2, 3])
        assert deliveries(broker, ALL) == {"held": 0, "dead": 0}

    run_virtual(main())


def test_functions_on_one_subscription_compete_for_its_messages() -> None:
    async def main() -> None:
        broker, one, two = await open_broker(EVENTS), Slow(1), Slow(1)
        functions = [
            listens_to(each, topicName="events", subscriptionName="all") for each in (one, two)
        ]

        async with listening(broker, *functions, max_concurrent_calls=1):
            await broker.send("events", [message(str(number)) for number in range(10)])
            await until(lambda: deliveries(broker, ALL)["held"] == 0)

        assert len(one.begun) == len(two.begun) == 5

    run_virtual(main())


@pytest.mark.parametrize(
    ("binding", "path"),
    [
        pytest.param({"queueName": "new"}, "new", id="queue"),
        pytest.param(
            {"topicName": "new", "subscriptionName": "mine"},
            "new/subscriptions/mine",
            id="topic-and-subscription",
        ),
    ],
)
def test_a_trigger_on_an_undeclared_entity_creates_it(
    binding: dict[str, str], path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: Service Bus would refuse to listen. A development host should just work."""

    async def main() -> None:
        broker, handler = await open_broker(Topology()), Handler()

        with caplog.at_level("INFO"):
            async with listening(broker, listens_to(handler, **binding)):
                await broker.send("new", [message("hello")])
                await until(lambda: deliveries(broker, path)["held"] == 0)

        assert handler.texts == ["hello"]
        assert f"created {path}" in caplog.text

    run_virtual(main())


def test_a_function_may_listen_to_a_dead_letter_queue() -> None:
    async def main() -> None:
        broker, handler = await open_broker(queue(max_delivery_count=1)), Handler()
        async with listening(
            broker,
            listens_to(Handler(fails=True), queueName="orders"),
            listens_to(handler, queueName="orders/$DeadLetterQueue"),
        ):
            await broker.send("orders", [message("bad")])
            await until(lambda: bool(handler.given))
            await until(lambda: deliveries(broker) == {"held": 0, "dead": 0})

        (given,) = handler.given
        assert given.dead_letter_reason == "MaxDeliveryCountExceeded"
        assert given.application_properties["DeadLetterReason"] == "MaxDeliveryCountExceeded"

    run_virtual(main())


@pytest.mark.parametrize("cardinality", ["one", "many"])
def test_a_function_longer_than_the_grace_is_cut_off_and_its_message_delivered_again(
    cardinality: str,
) -> None:
    async def main() -> None:
        database = Database(MEMORY)
        broker, begun = await open_broker(ORDERS, database), []

        async def handler(message: object) -> None:
            begun.append(message)
            await LoopClock().sleep(3600)

        async with listening(
            broker, listens_to(handler, queueName="orders", cardinality=cardinality)
        ):
            await broker.send("orders", [message()])
            await until(lambda: bool(begun))
            stopping_at_s = LoopClock().monotonic_s()
        assert LoopClock().monotonic_s() - stopping_at_s == pytest.approx(10, abs=0.1)

        following = await open_broker(ORDERS, database, seed=2)
        assert [each.delivery_count for each in await following.lock("orders", 10)] == [2]
        await following.stop()

    run_virtual(main())
