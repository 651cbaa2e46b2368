"""Rows leave whoever relays them, once in effect, and are deleted when they have left."""

import asyncio
import itertools
from collections.abc import Sequence

import pytest

from shared.kernel.errors import Refused
from shared.messaging.outbox import (
    Audited,
    Committed,
    Message,
    Publish,
    Raise,
    Row,
    Send,
    Start,
    StoredRow,
    encode,
)
from shared.messaging.unit_of_work import Decision, Json
from shared.persistence.store import Create, Document, Store
from tests.kit.stores import all_changes
from tests.kit.virtual_time import run_virtual
from tests.messaging.envelopes import BindThing, an_envelope, counted
from tests.messaging.parts import AWAY, PARTITION, Parts

BIND = an_envelope(2, "BindSecret")
ROWS: Sequence[Row] = (
    Publish(counted(1)),
    Send("secret_bindings", BindThing()),
    Start("things_do", "op-1", {}),
    Raise("op-1", "nudge-1"),
    Raise("op-1", "nudge-2"),
)
STORED: Sequence[StoredRow] = (
    Message(an_envelope(1)), Message(BIND, "secret_bindings"),
    Start("things_do", "op-1", {}), Raise("op-1", "nudge-1"), Raise("op-1", "nudge-2"),
)  # fmt: skip


async def _commit(parts: Parts, rows: Sequence[Row] = ROWS) -> None:
    decision: Decision[Json] = Decision({}, outbox=rows, audited=Audited("Do", "thing"))
    await parts.work.commit(parts.ctx(), PARTITION, [], lambda _: decision)


async def _commit_and_die(parts: Parts, rows: Sequence[StoredRow] = STORED) -> None:
    """Commit *rows* as an invocation does that dies right after its commit."""
    now = parts.clock.now()
    encoded = encode(rows, now, parts.entropy)
    await parts.store.inner.batch(PARTITION, [Create(row.id, body) for row, body in encoded])


async def _changes(parts: Parts) -> list[Document]:
    return await all_changes(parts.store.inner)


async def _by_feed(parts: Parts) -> None:
    await parts.relay.relay_changes(await _changes(parts))


def _everything_left(parts: Parts) -> None:
    assert [entity for entity, _ in parts.sender.sent.messages] == [
        "runtime-events",
        "runtime-secret-bindings-commands",
    ]
    assert parts.hub.told == [("start", "op-1"), ("nudge-1", "op-1"), ("nudge-2", "op-1")]


@pytest.mark.parametrize("off", ["invocation", "feed", "sweeper"])
def test_with_any_one_of_the_three_relays_switched_off_everything_leaves(off: str) -> None:
    async def main() -> None:
        parts = Parts()
        await (_commit_and_die if off == "invocation" else _commit)(parts)
        if off != "feed":
            await _by_feed(parts)
        if off != "sweeper":
            await parts.relay_left_behind()

        _everything_left(parts)
        assert await parts.outbox() == []

    run_virtual(main())


def test_what_the_invocation_relayed_is_not_relayed_again() -> None:
    async def main() -> None:
        parts = Parts()
        await _commit(parts)
        await _by_feed(parts)
        await parts.relay_left_behind()

        _everything_left(parts)

    run_virtual(main())


def test_the_feed_leaves_young_rows_to_their_invocation() -> None:
    async def main() -> None:
        parts = Parts()
        await _commit_and_die(parts)
        started_s = parts.clock.monotonic_s()
        await _by_feed(parts)

        assert parts.clock.monotonic_s() - started_s >= 2
        _everything_left(parts)

    run_virtual(main())


def test_two_relays_at_once_leave_no_row_and_lose_none() -> None:
    async def main() -> None:
        parts = Parts()
        await _commit_and_die(parts)
        await parts.clock.sleep(20)
        await asyncio.gather(parts.relay.sweep(), parts.relay.sweep(), _by_feed(parts))

        assert await parts.outbox() == []
        assert set(parts.sender.ids) == {an_envelope(1).event_id, BIND.event_id}
        assert {name for name, _ in parts.hub.told} == {"start", "nudge-1", "nudge-2"}

    run_virtual(main())


def test_nobody_who_asked_waits_for_the_audit_trail() -> None:
    async def main() -> None:
        parts = Parts()
        await _commit(parts)
        at_once = await parts.audit.entries("acme")
        answered_s = parts.clock.monotonic_s()
        await _by_feed(parts)

        assert at_once == []
        assert parts.clock.monotonic_s() == answered_s, "nobody else would bring it sooner"
        assert [each.record.action for each in await parts.audit.entries("acme")] == ["Do"]

    run_virtual(main())


def test_the_sweeper_brings_the_audit_record_where_the_change_feed_does_not() -> None:
    async def main() -> None:
        parts = Parts()
        await _commit(parts)
        await parts.relay_left_behind()

        assert [each.record.action for each in await parts.audit.entries("acme")] == ["Do"]

    run_virtual(main())


FAULTS = {"an-outage": AWAY, "a-defect": TypeError("no such method")}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_destination_that_fails_keeps_its_own_rows_until_later(fault: Exception) -> None:
    async def main() -> None:
        parts = Parts()
        parts.sender.fault = fault
        await _commit(parts)
        left_behind = [each for each in await _kinds(parts.store.inner) if each != "record"]
        told = list(parts.hub.told)
        parts.sender.fault = None
        await parts.relay_left_behind()

        assert left_behind == ["publish", "send"]
        assert len(told) == 3
        _everything_left(parts)

    run_virtual(main())


async def _kinds(store: Store) -> list[str]:
    return sorted(each.body["kind"] for each in await all_changes(store) if "kind" in each.body)


def test_a_caller_gets_the_answer_whatever_happens_to_the_rows_of_its_commit() -> None:
    async def main() -> None:
        parts = Parts()
        parts.sender.fault, parts.hub.fault = TypeError("ours"), KeyError("ours too")
        decision: Decision[Json] = Decision({"made": 1}, outbox=ROWS)

        outcome = await parts.work.commit(parts.ctx(), PARTITION, [], lambda _: decision)

        assert outcome.value == {"made": 1}
        assert len(await parts.outbox()) == len(ROWS)

    run_virtual(main())


def test_a_row_that_cannot_leave_is_tried_ever_more_rarely_up_to_every_five_minutes() -> None:
    async def main() -> None:
        parts = Parts()
        parts.sender.fault = AWAY
        await _commit_and_die(parts, STORED[:1])
        tried = []
        for _ in range(400):
            await parts.clock.sleep(5)
            if await parts.relay.sweep():
                tried.append(parts.clock.monotonic_s())
        gaps = [after - before for before, after in itertools.pairwise(tried)]
        parts.sender.fault = None
        await parts.clock.sleep(300)
        await parts.relay.sweep()

        assert gaps[:3] == sorted(gaps[:3])
        assert max(gaps) == 300
        assert await parts.outbox() == []

    run_virtual(main())


def test_the_rows_of_one_instance_keep_their_order_and_wait_for_each_other() -> None:
    async def main() -> None:
        parts = Parts()
        parts.hub.fault = AWAY
        await _commit(parts)
        left_behind = [each for each in await _kinds(parts.store.inner) if each != "record"]
        parts.hub.fault = None
        await parts.relay_left_behind()

        assert left_behind == ["raise", "raise", "start"]
        _everything_left(parts)

    run_virtual(main())


UNREADABLE = {
    "unknown-kind": {"kind": "fax"},
    "no-envelope": {"envelope": None},
    "unknown-service": {"kind": "send", "service": "helth"},
    "no-time": {"createdAt": 7},
}


@pytest.mark.parametrize("damage", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_one_unreadable_row_holds_up_no_other(damage: dict[str, object]) -> None:
    async def main() -> None:
        parts = Parts()
        now = parts.clock.now()
        ((_, body),) = encode(STORED[:1], now, parts.entropy)
        unreadable = {**body, **damage}
        await parts.store.inner.batch(PARTITION, [Create("outbox/0", unreadable)])
        await _commit_and_die(parts, STORED[1:])
        await _by_feed(parts)
        await parts.relay_left_behind()

        assert parts.hub.told == [("start", "op-1"), ("nudge-1", "op-1"), ("nudge-2", "op-1")]
        assert BIND.event_id in parts.sender.ids
        assert set(await parts.outbox()) <= {"outbox/0"}

    run_virtual(main())


def test_an_answer_lost_while_rows_are_deleted_costs_a_second_sending_at_most() -> None:
    async def main() -> None:
        parts = Parts()
        parts.store.faults = [None, "lost-before"]
        await _commit(parts)
        await parts.relay_left_behind()

        assert await parts.outbox() == []
        assert [parts.sender.ids.count(each) for each in set(parts.sender.ids)] == [2, 2]
        assert len(await parts.audit.entries("acme")) == 1

    run_virtual(main())


def test_relaying_what_was_never_stored_deletes_nothing_and_raises_nothing() -> None:
    async def main() -> None:
        parts = Parts()
        rows = [row for row, _ in encode(STORED, parts.clock.now(), parts.entropy)]

        assert await parts.relay.relay(Committed(PARTITION, rows)) == 0

    run_virtual(main())


def test_a_message_names_its_sender_to_the_broker() -> None:
    async def main() -> None:
        parts = Parts()
        await _commit(parts, [ROWS[0]])

        ((_, message),) = parts.sender.sent.messages
        assert message.application_properties["cs-sender"] == "things"

    run_virtual(main())


def test_a_stored_row_that_its_destination_refuses_says_so_to_the_sweep() -> None:
    async def main() -> None:
        parts = Parts()
        parts.sender.fault = Refused("too large")
        await _commit_and_die(parts, STORED[:1])
        await parts.relay_left_behind()

        assert parts.relay.sweeps.failures(parts.clock.now()) == {"sweep_outbox": 1}

    run_virtual(main())


def test_a_message_names_its_type_and_its_cause() -> None:
    async def main() -> None:
        parts = Parts()
        await _commit(parts)
        event, command = (message for _, message in parts.sender.sent.messages)

        assert (event.subject, command.subject) == (counted(1).__class__.__name__, "BindThing")
        assert event.message_id != command.message_id
        assert event.correlation_id == command.correlation_id

    run_virtual(main())
