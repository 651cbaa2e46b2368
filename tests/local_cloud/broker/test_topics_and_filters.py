import pytest

from local_cloud.broker.rules import CorrelationFilter
from local_cloud.broker.topology import (
    Queue,
    QueueSettings,
    Subscription,
    Topic,
    Topology,
)
from local_cloud.sqlite.database import MEMORY, Database
from shared.kernel.errors import Invalid, NotFound, TooLarge
from tests.kit.service_bus import ALL, EVENTS, bodies, deliveries, message, open_broker
from tests.kit.virtual_time import run_virtual


def one_subscription(*filters: CorrelationFilter) -> Topology:
    return Topology(topics=(Topic("events", (Subscription("all", filters),)),))


@pytest.mark.parametrize(
    ("rule", "taken"),
    [
        pytest.param(CorrelationFilter(), True, id="no-part-given-takes-everything"),
        pytest.param(CorrelationFilter(subject="Bound"), True, id="equal-subject"),
        pytest.param(CorrelationFilter(subject="bound"), False, id="case-of-values-counts"),
        pytest.param(CorrelationFilter(correlation_id="corr-1"), True, id="equal-correlation-id"),
        pytest.param(CorrelationFilter(message_id="other"), False, id="other-message-id"),
        pytest.param(CorrelationFilter(content_type="text/plain"), False, id="other-content-type"),
        pytest.param(CorrelationFilter(properties={"tenant": "t1"}), True, id="equal-property"),
        pytest.param(CorrelationFilter(properties={"tenant": "t2"}), False, id="other-property"),
        pytest.param(CorrelationFilter(properties={"absent": ""}), False, id="absent-property"),
        pytest.param(
            CorrelationFilter(subject="Bound", properties={"tenant": "t2"}),
            False,
            id="every-part-must-be-equal",
        ),
    ],
)
def test_a_correlation_filter_takes_what_equals_all_its_parts(
    rule: CorrelationFilter, *, taken: bool
) -> None:
    async def main() -> None:
        broker = await open_broker(one_subscription(rule))
        sent = message(
            subject="Bound", correlation_id="corr-1", application_properties={"tenant": "t1"}
        )

        await broker.send("events", [sent])

        assert deliveries(broker, ALL)["held"] == int(taken)
        await broker.stop()

    run_virtual(main())


def test_several_filters_that_match_give_one_copy_and_no_filter_gives_none() -> None:
    async def main() -> None:
        both = (CorrelationFilter(subject="Bound"), CorrelationFilter())
        topology = Topology(
            topics=(Topic("events", (Subscription("all", both), Subscription("none", ()))),)
        )
        broker = await open_broker(topology)

        await broker.send("events", [message(subject="Bound")])

        assert deliveries(broker, ALL)["held"] == 1
        assert deliveries(broker, "events/Subscriptions/none")["held"] == 0
        await broker.stop()

    run_virtual(main())


def test_each_subscription_settles_its_own_copy() -> None:
    async def main() -> None:
        topology = Topology(topics=(Topic("events", (Subscription("all"), Subscription("b"))),))
        broker = await open_broker(topology)
        await broker.send("events", [message("one"), message("two")])

        for received in await broker.lock(ALL, 10):
            await broker.complete(received)

        assert deliveries(broker, ALL)["held"] == 0
        assert bodies(await broker.lock("events/subscriptions/B", 10)) == ["one", "two"]
        await broker.stop()

    run_virtual(main())


def test_a_message_that_nobody_subscribed_to_is_gone() -> None:
    async def main() -> None:
        broker = await open_broker(Topology(topics=(Topic("events"),)))
        await broker.send("events", [message("before")])

        await broker.create_subscription("events", Subscription("all"))
        await broker.send("events", [message("after")])

        assert bodies(await broker.lock(ALL, 10)) == ["after"]
        await broker.stop()

    run_virtual(main())


def test_sending_to_an_unknown_entity_is_refused_and_names_those_like_it() -> None:
    async def main() -> None:
        broker = await open_broker(EVENTS)

        with pytest.raises(NotFound, match=r"of a like name: events\. declare it in the file"):
            await broker.send("evnts", [message()])
        with pytest.raises(NotFound, match="there are: events"):
            await broker.send("x", [message()])
        with pytest.raises(NotFound):  # a subscription is for receiving only
            await broker.send(ALL, [message()])
        await broker.stop()

    run_virtual(main())


def test_names_are_compared_ignoring_case() -> None:
    async def main() -> None:
        broker = await open_broker(EVENTS)

        await broker.send("EVENTS", [message()])

        assert len(await broker.lock("Events/SUBSCRIPTIONS/All", 10)) == 1
        await broker.stop()

    run_virtual(main())


def test_one_message_too_many_bytes_and_none_of_the_batch_is_sent() -> None:
    async def main() -> None:
        broker = await open_broker()
        too_large = message("x" * 256 * 1024, message_id="large")

        with pytest.raises(TooLarge, match="expected at most 262144"):
            await broker.send("orders", [message("small"), too_large])

        assert deliveries(broker)["held"] == 0
        await broker.stop()

    run_virtual(main())


def test_what_a_trigger_created_stays_and_a_declaration_wins_over_it() -> None:
    async def main() -> None:
        database = Database(MEMORY)
        first = await open_broker(Topology(), database)
        assert await first.create_queue(Queue("orders"))
        assert not await first.create_queue(Queue("orders"))
        await first.send("orders", [message("kept")])
        await first.stop()

        declared = Topology(queues=(Queue("Orders", QueueSettings(max_delivery_count=1)),))
        second = await open_broker(declared, database)
        (received,) = await second.lock("orders", 10)
        await second.abandon(received)

        assert deliveries(second) == {"held": 0, "dead": 1}
        await second.stop()

    run_virtual(main())


def test_an_entity_keeps_its_kind_for_life() -> None:
    async def main() -> None:
        database = Database(MEMORY)
        broker = await open_broker(EVENTS, database)
        await broker.stop()

        with pytest.raises(Invalid, match="events is a topic, expected a queue"):
            await open_broker(Topology(queues=(Queue("events"),)), database)
        with pytest.raises(Invalid, match="orders is a queue, expected a topic"):
            await (await open_broker()).create_subscription("orders", Subscription("all"))

    run_virtual(main())


@pytest.mark.parametrize(
    "declare",
    [
        pytest.param(lambda: QueueSettings(lock_s=301), id="lock-over-five-minutes"),
        pytest.param(lambda: QueueSettings(max_delivery_count=0), id="no-delivery-at-all"),
        pytest.param(
            lambda: Topology(topics=(Topic("Events"),), queues=(Queue("events"),)),
            id="one-name-twice",
        ),
        pytest.param(lambda: Topology(queues=(Queue("orders/"),)), id="slash-at-the-end"),
    ],
)
def test_a_declaration_that_service_bus_would_refuse_is_refused(declare) -> None:  # noqa: ANN001
    with pytest.raises(Invalid, match="expected"):
        declare()
