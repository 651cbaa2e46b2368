"""The write path: conflicts are decided again, lost answers are found by one's own marker."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.kernel.errors import NotFound, Refused, Stale, TooLarge, Unavailable
from shared.messaging.cause import UNKEYED_TTL, Cause
from shared.messaging.outbox import Publish
from shared.messaging.unit_of_work import (
    ATTEMPTS_MAX,
    NOTHING,
    Audited,
    Contended,
    Decision,
    IdempotencyKeyReused,
    Put,
    Remove,
    View,
)
from shared.persistence.store import READ_MAX_DOCUMENTS, Partition, Upsert
from tests.kit.service import CAUSE, SCOPE
from tests.kit.virtual_time import run_virtual
from tests.messaging.envelopes import an_envelope
from tests.messaging.parts import PARTITION, Parts

KEYED = replace(CAUSE, marker="idem/1", fingerprint="a")


def _count(parts: Parts, seen: list[int]) -> Callable[[View], Decision]:
    """Return a decision that adds one to `thing`, publishes the number, and answers it."""

    def decide(view: View) -> Decision:
        body = view.body("thing")
        number = 1 if body is None else body["number"] + 1
        seen.append(number)
        return Decision(
            result={"number": number},
            writes=[Put("thing", {"type": "thing", "number": number})],
            outbox=[Publish(an_envelope(number))],
            audited=Audited("Count", "thing"),
        )

    return decide


async def _number(parts: Parts) -> int:
    document = await parts.store.inner.read(PARTITION, "thing")
    assert document is not None
    return int(document.body["number"])


def test_documents_marker_and_outbox_are_one_read_and_one_batch() -> None:
    async def main() -> None:
        parts = Parts()
        parts.sender.is_away = True

        await parts.work.write(SCOPE, PARTITION, ["thing"], _count(parts, []), KEYED)

        assert parts.store.reads == 1
        assert len(parts.store.batches[0]) == 4
        assert await parts.kinds() == ["idem", "outbox", "thing"]  # the record has left

    run_virtual(main())


@pytest.mark.parametrize(
    ("fault", "attempts"), [("lost-before", 2), ("lost-after", 1)], ids=["before", "after"]
)
def test_after_a_lost_answer_the_effect_is_there_once(fault: str, attempts: int) -> None:
    async def main() -> None:
        parts, seen = Parts(), list[int]()
        parts.store.faults = [fault]

        outcome = await parts.work.write(SCOPE, PARTITION, ["thing"], _count(parts, seen), KEYED)

        assert await _number(parts) == 1
        assert len(seen) == attempts
        assert outcome.result == {"number": 1}
        assert not outcome.is_repeat
        await parts.clock.sleep(20)
        await parts.relay.sweep(parts.clock.now())
        assert parts.sender.ids == [an_envelope(1).event_id]

    run_virtual(main())


def _of_another(number: int) -> Upsert:
    return Upsert("thing", {"type": "thing", "number": number})


def test_a_conflict_is_decided_again_on_what_the_other_wrote() -> None:
    async def main() -> None:
        parts, seen = Parts(), list[int]()
        parts.store.intruders = [_of_another(6), _of_another(8)]

        outcome = await parts.work.write(SCOPE, PARTITION, ["thing"], _count(parts, seen), KEYED)

        assert seen == [1, 7, 9]
        assert (outcome.result, await _number(parts)) == ({"number": 9}, 9)

    run_virtual(main())


def test_five_conflicts_in_a_row_are_unavailable_so_that_a_message_is_tried_again() -> None:
    async def main() -> None:
        parts, seen = Parts(), list[int]()
        parts.store.intruders = [_of_another(number) for number in range(10, 20)]

        with pytest.raises(Contended) as contended:
            await parts.work.write(SCOPE, PARTITION, ["thing"], _count(parts, seen), KEYED)

        assert isinstance(contended.value, Unavailable)
        assert len(seen) == ATTEMPTS_MAX
        assert parts.sender.ids == []

    run_virtual(main())


def test_writers_who_meet_step_aside_and_all_of_them_get_through() -> None:
    async def main() -> None:
        parts = Parts()
        parts.store.read_s = 0.005
        await asyncio.gather(
            *(
                parts.work.write(SCOPE, PARTITION, ["thing"], _count(parts, []), CAUSE)
                for _ in range(10)
            )
        )

        assert await _number(parts) == 10
        assert parts.clock.monotonic_s() < 1

    run_virtual(main())


def test_the_same_key_again_gets_the_first_answer_and_changes_nothing() -> None:
    async def main() -> None:
        parts, seen = Parts(), list[int]()
        for _ in range(2):
            outcome = await parts.work.write(
                SCOPE, PARTITION, ["thing"], _count(parts, seen), KEYED
            )

        assert (outcome.result, outcome.is_repeat, seen) == ({"number": 1}, True, [1])

    run_virtual(main())


def test_two_with_the_same_key_at_once_have_one_effect() -> None:
    async def main() -> None:
        parts = Parts()
        outcomes = await asyncio.gather(
            *(
                parts.work.write(SCOPE, PARTITION, ["thing"], _count(parts, []), KEYED)
                for _ in range(4)
            )
        )

        assert {outcome.result["number"] for outcome in outcomes} == {1}
        assert sorted(outcome.is_repeat for outcome in outcomes) == [False, True, True, True]

    run_virtual(main())


def test_the_same_key_with_other_content_is_refused() -> None:
    async def main() -> None:
        parts = Parts()
        await parts.work.write(SCOPE, PARTITION, ["thing"], _count(parts, []), KEYED)

        other = replace(KEYED, fingerprint="b")
        with pytest.raises(IdempotencyKeyReused) as refused:
            await parts.work.write(SCOPE, PARTITION, ["thing"], _count(parts, []), other)

        assert (refused.value.http_status, await _number(parts)) == (409, 1)

    run_virtual(main())


def test_a_marker_is_forgotten_after_its_time() -> None:
    async def main() -> None:
        parts = Parts()
        short = replace(KEYED, marker_ttl=UNKEYED_TTL)
        await parts.work.write(SCOPE, PARTITION, ["thing"], _count(parts, []), short)
        await parts.clock.sleep((UNKEYED_TTL + timedelta(seconds=2)).total_seconds())
        outcome = await parts.work.write(SCOPE, PARTITION, ["thing"], _count(parts, []), short)

        assert outcome.result == {"number": 2}

    run_virtual(main())


def test_if_match_lets_through_only_the_version_that_was_read() -> None:
    async def main() -> None:
        parts = Parts()
        await parts.work.write(SCOPE, PARTITION, ["thing"], _count(parts, []), CAUSE)
        document = await parts.store.inner.read(PARTITION, "thing")
        assert document is not None
        matching = replace(CAUSE, if_match=document.etag)
        await parts.work.write(SCOPE, PARTITION, ["thing"], _count(parts, []), matching)

        with pytest.raises(Stale) as stale:
            await parts.work.write(SCOPE, PARTITION, ["thing"], _count(parts, []), matching)

        assert (stale.value.http_status, await _number(parts)) == (412, 2)

    run_virtual(main())


@pytest.mark.parametrize("cause", [CAUSE, KEYED], ids=["without-marker", "with-marker"])
def test_a_decision_for_nothing_writes_nothing(cause: Cause) -> None:
    async def main() -> None:
        parts = Parts()
        await parts.work.write(SCOPE, PARTITION, ["thing"], lambda _: NOTHING, cause)

        assert parts.store.batches == []

    run_virtual(main())


def test_a_refusal_writes_nothing() -> None:
    async def main() -> None:
        parts = Parts()

        def decide(view: View) -> Decision:
            raise NotFound("no thing")

        with pytest.raises(Refused):
            await parts.work.write(SCOPE, PARTITION, ["thing"], decide, KEYED)
        assert parts.store.batches == []

    run_virtual(main())


def test_a_store_that_is_away_raises_and_nothing_leaves() -> None:
    async def main() -> None:
        parts = Parts()
        parts.store.faults = ["away"]

        with pytest.raises(Unavailable):
            await parts.work.write(SCOPE, PARTITION, ["thing"], _count(parts, []), KEYED)
        assert (parts.sender.ids, await parts.kinds()) == ([], [])

    run_virtual(main())


def test_more_than_a_batch_takes_is_refused_whole() -> None:
    async def main() -> None:
        parts = Parts()
        writes = [Put(f"thing-{number}", {"type": "thing"}) for number in range(101)]

        with pytest.raises(TooLarge):
            await parts.work.write(SCOPE, PARTITION, [], lambda _: Decision(writes=writes), CAUSE)
        assert await parts.kinds() == []

    run_virtual(main())


def test_more_than_one_bounded_read_is_our_own_defect() -> None:
    async def main() -> None:
        ids = [f"thing-{number}" for number in range(READ_MAX_DOCUMENTS + 1)]
        with pytest.raises(AssertionError):
            await Parts().work.write(SCOPE, PARTITION, ids, lambda _: NOTHING, CAUSE)

    run_virtual(main())


def test_another_tenant_s_partition_is_our_own_defect() -> None:
    async def main() -> None:
        theirs = Partition("globex", "abcdefghijkl")
        with pytest.raises(AssertionError):
            await Parts().work.write(SCOPE, theirs, [], lambda _: NOTHING, CAUSE)

    run_virtual(main())


def test_what_is_removed_is_the_version_that_was_read() -> None:
    async def main() -> None:
        parts = Parts()
        await parts.work.write(SCOPE, PARTITION, ["thing"], _count(parts, []), CAUSE)
        parts.store.intruders = [_of_another(6)]
        seen = []

        def remove(view: View) -> Decision:
            body = view.body("thing")
            assert body is not None
            seen.append(body["number"])
            return Decision(writes=[Remove("thing")])

        await parts.work.write(SCOPE, PARTITION, ["thing"], remove, CAUSE)

        assert seen == [1, 6]
        assert await parts.kinds() == []

    run_virtual(main())


def test_a_crowd_of_writers_in_one_process_all_get_through() -> None:
    async def main() -> None:
        parts = Parts()
        parts.store.read_s = 0.01
        crowd = 40

        outcomes = await asyncio.gather(
            *(
                parts.work.write(SCOPE, PARTITION, ["thing"], _count(parts, []), CAUSE)
                for _ in range(crowd)
            )
        )

        assert sorted(each.result["number"] for each in outcomes) == list(range(1, crowd + 1))

    run_virtual(main())
