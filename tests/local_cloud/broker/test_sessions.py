"""Sessions in the broker itself; `service_bus_endpoint/test_sessions.py` has them as clients do."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from local_cloud.broker.message import AmqpMessage, SessionRequired
from local_cloud.broker.sessions import NoSession, SessionBusy, SessionLost
from local_cloud.broker.topology import QueueSettings, Subscription, Topic, Topology
from local_cloud.sqlite.database import MEMORY, Database
from tests.kit.service_bus import ALL, bodies, deliveries, message, open_broker, queue
from tests.kit.virtual_time import LoopClock, run_virtual

EARLIER = """
    CREATE TABLE broker_delivery (
        queue INTEGER NOT NULL, message INTEGER NOT NULL, delivery_count INTEGER NOT NULL,
        lock_token TEXT, expires_at REAL, dead_letter_reason TEXT, dead_letter_description TEXT,
        PRIMARY KEY (queue, message)) WITHOUT ROWID;
    CREATE TABLE broker_entity (
        id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL, definition TEXT NOT NULL);
    CREATE TABLE broker_message (
        id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL, properties TEXT NOT NULL,
        enqueued_at REAL NOT NULL);
    INSERT INTO broker_entity VALUES (1, 'events', 'topic', '{}'),
        (2, 'events/subscriptions/all', 'subscription', '{"settings":{"lock_s":60.0,'
            || '"max_delivery_count":10,"time_to_live_s":null,"dead_letters_expired":false},'
            || '"filters":[{"subject":"wanted","correlation_id":null,"message_id":null,'
            || '"content_type":null,"properties":{}}]}');
    INSERT INTO broker_message VALUES (1, CAST('before' AS BLOB), '["id","wanted","","",{}]', 1.0);
    INSERT INTO broker_delivery VALUES (2, 1, 0, NULL, NULL, NULL, NULL);
"""


def of(session: str, text: str) -> AmqpMessage:
    return AmqpMessage(text.encode(), f"id-{text}", session_id=session)


def test_a_subscription_dead_letters_what_names_no_session_and_a_queue_refuses_it() -> None:
    async def main() -> None:
        settings = QueueSettings(requires_session=True)
        both = (Subscription("all", settings=settings), Subscription("other"))
        broker = await open_broker(Topology(topics=(Topic("events", both),)))
        await broker.send("events", [message("none"), of("s", "some")])

        (dead,) = broker.peek(f"{ALL}/$DeadLetterQueue")
        assert (dead.body, dead.dead_letter_reason) == (b"none", "Session id is null.")
        assert bodies(broker.peek(ALL)) == ["some"]
        assert deliveries(broker, "events/subscriptions/other") == {"held": 2, "dead": 0}
        await broker.stop()
        broker = await open_broker(queue(requires_session=True))
        with pytest.raises(SessionRequired):
            await broker.send("orders", [message("none")])
        await broker.stop()

    run_virtual(main())


def test_a_session_that_ran_out_is_the_next_one_s_with_its_messages_counted() -> None:
    async def main() -> None:
        broker = await open_broker(queue(requires_session=True, lock_s=30))
        await broker.send("orders", [of("s", "one"), of("s", "two")])
        first = await broker.sessions.accept("orders", "s", 0)
        (one,) = await broker.sessions.lock_messages(first, 1)
        with pytest.raises(SessionBusy):
            await broker.sessions.accept("orders", "s", 0)
        with pytest.raises(NoSession):
            await broker.sessions.accept("orders", None, 5)

        second = await broker.sessions.accept("orders", None, 60)
        with pytest.raises(SessionLost):
            await broker.sessions.lock_messages(first, 1)
        again = await broker.sessions.lock_messages(second, 5)
        await broker.sessions.release(first)  # nothing: it is another's

        assert [each.delivery_count for each in again] == [2, 1]
        assert again[0].sequence_number == one.sequence_number
        await broker.complete(again[0])
        await broker.stop()

    run_virtual(main())


def test_a_renewed_session_keeps_the_locks_of_its_messages() -> None:
    async def main() -> None:
        broker = await open_broker(queue(requires_session=True, lock_s=30))
        await broker.send("orders", [of("s", "one")])
        session = await broker.sessions.accept("orders", None, 0)
        (one,) = await broker.sessions.lock_messages(session, 1)
        for _ in range(4):
            await LoopClock().sleep(20)
            broker.sessions.renew("orders", "s")
        await broker.complete(one)

        assert deliveries(broker) == {"held": 0, "dead": 0}
        await broker.stop()

    run_virtual(main())


def test_a_scheduled_message_comes_in_its_session() -> None:
    async def main() -> None:
        broker = await open_broker(queue(requires_session=True))
        due = LoopClock().now() + timedelta(seconds=10)
        await broker.schedule("orders", [replace(of("s", "later"), scheduled_at=due)])
        session = await broker.sessions.accept("orders", None, 60)

        assert session.name == "s"
        assert bodies(await broker.sessions.lock_messages(session, 5)) == ["later"]
        await broker.stop()

    run_virtual(main())


@pytest.mark.parametrize("where", ["file", "memory"])
def test_tables_of_an_earlier_version_go_on(tmp_path: Path, where: str) -> None:
    async def main() -> None:
        database = Database(tmp_path / "broker.db" if where == "file" else MEMORY)
        database.prepare(EARLIER)
        broker = await open_broker(Topology(), database)
        await broker.send("events", [message("unwanted"), message("after", subject="wanted")])
        received = await broker.lock(ALL, 9)
        await broker.stop()
        database.close()

        assert bodies(received) == ["before", "after"]

    run_virtual(main())
