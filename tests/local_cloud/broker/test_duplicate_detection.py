from datetime import timedelta

import pytest

from local_cloud.broker.declaration import topology_of
from local_cloud.broker.topology import Subscription, Topic, Topology
from shared.kernel.errors import Invalid
from tests.kit.service_bus import ALL, bodies, message, open_broker, queue
from tests.kit.virtual_time import LoopClock, run_virtual


def test_a_message_of_an_id_that_was_taken_is_dropped_for_the_window_only() -> None:
    async def main() -> None:
        broker = await open_broker(queue(duplicate_window_s=60))
        await broker.send("orders", [message("first", message_id="1")])
        await broker.send("orders", [message("again", message_id="1"), message("b"), message("b")])
        (first, *_) = await broker.lock("orders", 9)
        await broker.complete(first)
        await LoopClock().sleep(59)
        await broker.send("orders", [message("still", message_id="1")])
        assert bodies(broker.peek("orders")) == ["b"]

        await LoopClock().sleep(2)
        await broker.send("orders", [message("later", message_id="1")])
        assert bodies(broker.peek("orders")) == ["b", "later"]
        await broker.stop()

    run_virtual(main())


def test_a_topic_drops_for_all_its_subscriptions_and_a_waiting_receiver_gets_one() -> None:
    async def main() -> None:
        both = (Subscription("all"), Subscription("other"))
        broker = await open_broker(Topology(topics=(Topic("events", both, 60.0),)))
        link = broker.open_link(ALL)
        for _ in range(3):
            await broker.send("events", [message("once")])

        assert link.has_backlog
        assert bodies(await broker.lock(ALL, 9)) == ["once"]
        assert bodies(await broker.lock("events/subscriptions/other", 9)) == ["once"]
        broker.close_link(link)
        await broker.stop()

    run_virtual(main())


def test_a_scheduled_message_counts_from_when_it_was_scheduled() -> None:
    async def main() -> None:
        broker = await open_broker(queue(duplicate_window_s=60))
        due = LoopClock().now() + timedelta(seconds=30)
        (number,) = await broker.schedule("orders", [message("x", scheduled_at=due)])
        assert number
        await broker.send("orders", [message("x")])
        assert not broker.peek("orders")

        await LoopClock().sleep(31)
        assert bodies(broker.peek("orders")) == ["x"]
        await broker.stop()

    run_virtual(main())


def test_a_queue_without_a_window_takes_every_message() -> None:
    async def main() -> None:
        broker = await open_broker()
        await broker.send("orders", [message("x"), message("x")])

        assert bodies(broker.peek("orders")) == ["x", "x"]
        await broker.stop()

    run_virtual(main())


@pytest.mark.parametrize(
    ("properties", "window_s"),
    [
        ({"RequiresDuplicateDetection": True}, 600.0),
        (
            {
                "RequiresDuplicateDetection": True,
                "DuplicateDetectionHistoryTimeWindow": "PT20S",
            },
            20.0,
        ),
        ({"DuplicateDetectionHistoryTimeWindow": "PT20S"}, None),
    ],
)
def test_a_file_declares_the_window(properties: dict[str, object], window_s: float | None) -> None:
    entity = {"Name": "e", "Properties": properties}
    content = {
        "UserConfig": {"Namespaces": [{"Queues": [{**entity, "Name": "q"}], "Topics": [entity]}]}
    }
    topology = topology_of(content)

    assert topology.queues[0].settings.duplicate_window_s == window_s
    assert topology.topics[0].duplicate_window_s == window_s


@pytest.mark.parametrize("window_s", [0, 19, 8 * 24 * 3600])
def test_a_window_has_20_seconds_to_7_days(window_s: float) -> None:
    with pytest.raises(Invalid, match="duplicate_window_s"):
        Topic("events", (), window_s)
