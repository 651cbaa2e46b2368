"""Rows leave whoever relays them, once in effect, and are deleted when they have left."""

import asyncio
import itertools
from collections.abc import Sequence

import pytest

from shared.messaging.outbox import (
    Outgoing,
    Publish,
    Raise,
    Row,
    Send,
    Start,
    encode,
    number,
)
from shared.messaging.unit_of_work import Audited, Decision
from shared.persistence.store import Create, Document
from tests.kit.service import CAUSE, SCOPE
from tests.kit.stores import all_changes
from tests.kit.virtual_time import run_virtual
from tests.messaging.envelopes import an_envelope
from tests.messaging.parts import PARTITION, Parts

ROWS: Sequence[Row] = (
    Publish(an_envelope(1)),
    Send("secret_bindings", an_envelope(2, "BindSecret")),
    Start("things_do", "op-1", {}),
    Raise("op-1", "nudge-1"),
    Raise("op-1", "nudge-2"),
)


async def _commit(parts: Parts, rows: Sequence[Row] = ROWS, *, relays: bool) -> None:
    """Commit *rows*; without *relays* the invocation dies right after its commit."""
    if relays:
        decision = Decision(outbox=rows, audited=Audited("Do", "thing"))
        await parts.work.write(SCOPE, PARTITION, [], lambda _: decision, CAUSE)
        return
    now = parts.clock.now()
    numbered = number(rows, now, parts.entropy)
    await parts.store.inner.batch(
        PARTITION, [Create(row.id, encode(row.row, now)) for row in numbered]
    )


async def _changes(parts: Parts) -> list[Document]:
    return await all_changes(parts.store.inner)


async def _by_feed(parts: Parts) -> None:
    await parts.relay.relay_changes(await _changes(parts))


async def _by_sweeper(parts: Parts) -> None:
    await parts.clock.sleep(16)
    await parts.relay.sweep(parts.clock.now())


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
        await _commit(parts, relays=off != "invocation")
        if off != "feed":
            await _by_feed(parts)
        if off != "sweeper":
            await _by_sweeper(parts)

        _everything_left(parts)
        assert await parts.outbox() == []

    run_virtual(main())


def test_what_the_invocation_relayed_is_not_relayed_again() -> None:
    async def main() -> None:
        parts = Parts()
        await _commit(parts, relays=True)
        await _by_feed(parts)
        await _by_sweeper(parts)

        _everything_left(parts)

    run_virtual(main())


def test_the_feed_leaves_young_rows_to_their_invocation() -> None:
    async def main() -> None:
        parts = Parts()
        await _commit(parts, relays=False)
        started_s = parts.clock.monotonic_s()
        await _by_feed(parts)

        assert parts.clock.monotonic_s() - started_s >= 2
        _everything_left(parts)

    run_virtual(main())


def test_two_relays_at_once_leave_no_row_and_lose_none() -> None:
    async def main() -> None:
        parts = Parts()
        await _commit(parts, relays=False)
        await parts.clock.sleep(20)
        now = parts.clock.now()
        await asyncio.gather(parts.relay.sweep(now), parts.relay.sweep(now), _by_feed(parts))

        assert await parts.outbox() == []
        assert set(parts.sender.ids) == {an_envelope(1).event_id, an_envelope(2).event_id}
        assert {name for name, _ in parts.hub.told} == {"start", "nudge-1", "nudge-2"}

    run_virtual(main())


def test_a_broker_that_is_away_leaves_its_rows_and_only_those() -> None:
    async def main() -> None:
        parts = Parts()
        parts.sender.is_away = True
        await _commit(parts, relays=True)

        assert len(await parts.outbox()) == 2
        assert len(parts.hub.told) == 3
        assert len(await parts.audit.entries("acme")) == 1

    run_virtual(main())


def test_a_row_that_cannot_leave_is_tried_ever_more_rarely_up_to_every_five_minutes() -> None:
    async def main() -> None:
        parts = Parts()
        parts.sender.is_away = True
        await _commit(parts, ROWS[:1], relays=True)
        tried = []
        for _ in range(400):
            await parts.clock.sleep(5)
            if await parts.relay.sweep(parts.clock.now()):
                tried.append(parts.clock.monotonic_s())
        gaps = [after - before for before, after in itertools.pairwise(tried)]
        parts.sender.is_away = False
        await parts.clock.sleep(300)
        await parts.relay.sweep(parts.clock.now())

        assert gaps[:3] == sorted(gaps[:3])
        assert max(gaps) == 300
        assert await parts.outbox() == []

    run_virtual(main())


def test_the_rows_of_one_instance_keep_their_order_and_wait_for_each_other() -> None:
    async def main() -> None:
        parts = Parts()
        parts.hub.is_away = True
        await _commit(parts, relays=True)
        left_behind = len(await parts.outbox())
        parts.hub.is_away = False
        await _by_sweeper(parts)

        assert left_behind == 3
        _everything_left(parts)

    run_virtual(main())


def test_one_unreadable_row_holds_up_no_other() -> None:
    async def main() -> None:
        parts = Parts()
        now = parts.clock.now()
        unreadable = {**encode(ROWS[0], now), "kind": "fax"}
        await parts.store.inner.batch(PARTITION, [Create("outbox/0", unreadable)])
        await _commit(parts, relays=False)
        await _by_feed(parts)
        await _by_sweeper(parts)

        _everything_left(parts)
        assert await parts.outbox() == ["outbox/0"]

    run_virtual(main())


def test_an_answer_lost_while_rows_are_deleted_costs_a_second_sending_at_most() -> None:
    async def main() -> None:
        parts = Parts()
        parts.store.faults = [None, "lost-before"]
        await _commit(parts, relays=True)
        await _by_sweeper(parts)

        assert await parts.outbox() == []
        assert parts.sender.ids.count(an_envelope(1).event_id) == 2
        assert len(await parts.audit.entries("acme")) == 1

    run_virtual(main())


def test_relaying_what_was_never_stored_deletes_nothing_and_raises_nothing() -> None:
    async def main() -> None:
        parts = Parts()
        rows = number(ROWS, parts.clock.now(), parts.entropy)

        assert await parts.relay.relay(Outgoing(PARTITION, rows)) == 0

    run_virtual(main())
