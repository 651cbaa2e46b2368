"""The write path: conflicts are decided again, lost answers are found by one's own marker."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.contracts.retention import Kept
from shared.contracts.shape import Event
from shared.kernel.context import UNKEYED_TTL, Cause
from shared.kernel.errors import Conflict, NotFound, Refused, Stale, TooLarge, Unavailable
from shared.messaging.outbox import Audited, Publish, Send
from shared.messaging.unit_of_work import (
    ATTEMPTS_MAX,
    NOTHING,
    Decision,
    IdempotencyKeyReused,
    Json,
    Remove,
    View,
    WriteContention,
)
from shared.persistence.codec import Put
from shared.persistence.store import READ_MAX_DOCUMENTS, Create, Delete, Partition, Replace, Upsert
from tests.kit.service import CAUSE
from tests.kit.virtual_time import run_virtual
from tests.messaging.envelopes import BindThing, an_envelope, counted
from tests.messaging.parts import AWAY, PARTITION, Parts

KEYED = replace(CAUSE, marker="idem/1", fingerprint="a")


def _count(parts: Parts, seen: list[int]) -> Callable[[View], Decision[Json]]:
    """Return a decision that adds one to `thing`, publishes the number, and answers it."""

    def decide(view: View) -> Decision[Json]:
        body = view.body("thing")
        number = 1 if body is None else body["number"] + 1
        seen.append(number)
        return Decision(
            {"number": number},
            writes=[Put("thing", {"type": "thing", "number": number})],
            outbox=[Publish(counted(number))],
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
        parts.sender.fault = AWAY

        await parts.work.commit(parts.ctx(KEYED), PARTITION, ["thing"], _count(parts, []))

        assert parts.store.reads == 1
        assert len(parts.store.batches[0]) == 4
        assert await parts.kinds() == ["idem", "outbox", "outbox", "thing"]

    run_virtual(main())


def test_a_decision_with_an_audit_record_alone_is_committed() -> None:
    async def main() -> None:
        parts = Parts()
        decision: Decision[Json] = Decision({}, audited=Audited("Do", "thing"))

        await parts.work.commit(parts.ctx(CAUSE), PARTITION, [], lambda _: decision)

        assert await parts.kinds() == ["outbox"]

    run_virtual(main())


@pytest.mark.parametrize(
    ("faults", "records"),
    [
        pytest.param([], 1, id="at-once"),
        pytest.param(["lost-before"], 1, id="lost-before"),
        pytest.param(["lost-after"], 2, id="lost-after-and-decided-again"),
    ],
)
def test_a_refusal_that_was_decided_on_is_recorded_before_it_is_raised_and_leaves_no_marker(
    faults: list[str], records: int
) -> None:
    async def main() -> None:
        parts = Parts()
        parts.store.faults = [*faults]
        refusal = Conflict("denied")
        decision: Decision[Json] = Decision({}, audited=Audited("Do", "thing"), refusal=refusal)

        with pytest.raises(Conflict) as refused:
            await parts.work.commit(parts.ctx(KEYED), PARTITION, [], lambda _: decision)

        assert refused.value is refusal
        assert await parts.kinds() == ["outbox"] * records

    run_virtual(main())


def test_a_refusal_that_cannot_be_recorded_is_not_said() -> None:
    async def main() -> None:
        parts = Parts()
        parts.store.faults = ["lost-before"] * ATTEMPTS_MAX
        decision: Decision[Json] = Decision(
            {}, audited=Audited("Do", "thing"), refusal=Conflict("denied")
        )

        with pytest.raises(Unavailable):
            await parts.work.commit(parts.ctx(KEYED), PARTITION, [], lambda _: decision)

    run_virtual(main())


@pytest.mark.parametrize(
    ("fault", "attempts"), [("lost-before", 2), ("lost-after", 1)], ids=["before", "after"]
)
def test_after_a_lost_answer_the_effect_is_there_once(fault: str, attempts: int) -> None:
    async def main() -> None:
        parts, seen = Parts(), list[int]()
        parts.store.faults = [fault]

        outcome = await parts.work.commit(
            parts.ctx(KEYED), PARTITION, ["thing"], _count(parts, seen)
        )

        assert await _number(parts) == 1
        assert len(seen) == attempts
        assert outcome.value == {"number": 1}
        assert not outcome.is_repeat
        await parts.relay_left_behind()
        assert [
            each["payload"]["revision"] for each in parts.sender.sent.bodies("ThingCounted")
        ] == [1]

    run_virtual(main())


def _of_another(number: int) -> Upsert:
    return Upsert("thing", {"type": "thing", "number": number})


def test_a_conflict_is_decided_again_on_what_the_other_wrote() -> None:
    async def main() -> None:
        parts, seen = Parts(), list[int]()
        parts.store.intruders = [_of_another(6), _of_another(8)]

        outcome = await parts.work.commit(
            parts.ctx(KEYED), PARTITION, ["thing"], _count(parts, seen)
        )

        assert seen == [1, 7, 9]
        assert (outcome.value, await _number(parts)) == ({"number": 9}, 9)

    run_virtual(main())


def test_five_conflicts_in_a_row_are_unavailable_so_that_a_message_is_tried_again() -> None:
    async def main() -> None:
        parts, seen = Parts(), list[int]()
        parts.store.intruders = [_of_another(number) for number in range(10, 20)]

        with pytest.raises(WriteContention) as contended:
            await parts.work.commit(parts.ctx(KEYED), PARTITION, ["thing"], _count(parts, seen))

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
                parts.work.commit(parts.ctx(), PARTITION, ["thing"], _count(parts, []))
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
            outcome = await parts.work.commit(
                parts.ctx(KEYED), PARTITION, ["thing"], _count(parts, seen)
            )

        assert (outcome.value, outcome.is_repeat, seen) == ({"number": 1}, True, [1])

    run_virtual(main())


def test_two_with_the_same_key_at_once_have_one_effect() -> None:
    async def main() -> None:
        parts = Parts()
        outcomes = await asyncio.gather(
            *(
                parts.work.commit(parts.ctx(KEYED), PARTITION, ["thing"], _count(parts, []))
                for _ in range(4)
            )
        )

        assert {outcome.value["number"] for outcome in outcomes} == {1}
        assert sorted(outcome.is_repeat for outcome in outcomes) == [False, True, True, True]

    run_virtual(main())


def test_the_same_key_with_other_content_is_refused() -> None:
    async def main() -> None:
        parts = Parts()
        await parts.work.commit(parts.ctx(KEYED), PARTITION, ["thing"], _count(parts, []))

        other = replace(KEYED, fingerprint="b")
        with pytest.raises(IdempotencyKeyReused) as refused:
            await parts.work.commit(parts.ctx(other), PARTITION, ["thing"], _count(parts, []))

        assert (refused.value.http_status, await _number(parts)) == (409, 1)
        assert refused.value.target == "Idempotency-Key"

    run_virtual(main())


def test_a_marker_is_forgotten_after_its_time() -> None:
    async def main() -> None:
        parts = Parts()
        short = replace(KEYED, marker_ttl=UNKEYED_TTL)
        await parts.work.commit(parts.ctx(short), PARTITION, ["thing"], _count(parts, []))
        await parts.clock.sleep((UNKEYED_TTL + timedelta(seconds=2)).total_seconds())
        outcome = await parts.work.commit(parts.ctx(short), PARTITION, ["thing"], _count(parts, []))

        assert outcome.value == {"number": 2}

    run_virtual(main())


def test_if_match_lets_through_only_the_version_that_was_read() -> None:
    async def main() -> None:
        parts = Parts()
        await parts.work.commit(parts.ctx(), PARTITION, ["thing"], _count(parts, []))
        document = await parts.store.inner.read(PARTITION, "thing")
        assert document is not None
        matching = replace(CAUSE, if_match=(document.etag,))
        await parts.work.commit(parts.ctx(matching), PARTITION, ["thing"], _count(parts, []))

        with pytest.raises(Stale) as stale:
            await parts.work.commit(parts.ctx(matching), PARTITION, ["thing"], _count(parts, []))

        assert (stale.value.http_status, await _number(parts)) == (412, 2)

    run_virtual(main())


@pytest.mark.parametrize(
    "cause", [CAUSE, replace(CAUSE, marker="inbox/1")], ids=["without-marker", "with-inbox-marker"]
)
def test_a_decision_for_nothing_writes_nothing(cause: Cause) -> None:
    async def main() -> None:
        parts = Parts()
        await parts.work.commit(parts.ctx(cause), PARTITION, ["thing"], lambda _: NOTHING)

        assert parts.store.batches == []

    run_virtual(main())


def test_what_others_changed_meanwhile_is_checked_before_it_is_decided_again() -> None:
    async def main() -> None:
        parts = Parts()
        parts.store.intruders = [Create("thing", {"type": "thing", "isClosed": True})]

        async def decide(view: View) -> Decision[Json]:
            if view.body("thing") is not None:
                raise Conflict("the thing is closed")
            return _count(parts, [])(view)

        with pytest.raises(Conflict):
            await parts.work.commit(parts.ctx(), PARTITION, ["thing"], decide)

    run_virtual(main())


def test_a_refusal_writes_nothing() -> None:
    async def main() -> None:
        parts = Parts()

        def decide(view: View) -> Decision[Json]:
            raise NotFound("no thing")

        with pytest.raises(Refused):
            await parts.work.commit(parts.ctx(KEYED), PARTITION, ["thing"], decide)
        assert parts.store.batches == []

    run_virtual(main())


def test_a_store_that_is_away_raises_and_nothing_leaves() -> None:
    async def main() -> None:
        parts = Parts()
        parts.store.faults = ["away"]

        with pytest.raises(Unavailable):
            await parts.work.commit(parts.ctx(KEYED), PARTITION, ["thing"], _count(parts, []))
        assert (parts.sender.ids, await parts.kinds()) == ([], [])

    run_virtual(main())


def test_more_than_a_batch_takes_is_refused_whole() -> None:
    async def main() -> None:
        parts = Parts()
        writes = [Put(f"thing-{number}", {"type": "thing"}) for number in range(101)]

        with pytest.raises(TooLarge):
            await parts.work.commit(
                parts.ctx(), PARTITION, [], lambda _: Decision({}, writes=writes)
            )
        assert await parts.kinds() == []

    run_virtual(main())


def test_more_than_one_bounded_read_is_our_own_defect() -> None:
    async def main() -> None:
        parts = Parts()
        ids = [f"thing-{number}" for number in range(READ_MAX_DOCUMENTS + 1)]
        with pytest.raises(AssertionError):
            await parts.work.commit(parts.ctx(), PARTITION, ids, lambda _: NOTHING)

    run_virtual(main())


def test_another_tenant_s_partition_is_our_own_defect() -> None:
    async def main() -> None:
        parts, theirs = Parts(), Partition("globex", "abcdefghijkl")
        with pytest.raises(AssertionError):
            await parts.work.commit(parts.ctx(), theirs, [], lambda _: NOTHING)

    run_virtual(main())


def test_what_is_removed_is_the_version_that_was_read() -> None:
    async def main() -> None:
        parts = Parts()
        await parts.work.commit(parts.ctx(), PARTITION, ["thing"], _count(parts, []))
        parts.store.intruders = [_of_another(6)]
        seen = []

        def remove(view: View) -> Decision[Json]:
            body = view.body("thing")
            assert body is not None
            seen.append(body["number"])
            return Decision({}, writes=[Remove("thing")])

        await parts.work.commit(parts.ctx(), PARTITION, ["thing"], remove)

        assert seen == [1, 6]
        assert await parts.store.inner.read(PARTITION, "thing") is None

    run_virtual(main())


def test_a_crowd_of_writers_in_one_process_all_get_through() -> None:
    async def main() -> None:
        parts = Parts()
        parts.store.read_s = 0.01
        crowd = 40

        outcomes = await asyncio.gather(
            *(
                parts.work.commit(parts.ctx(), PARTITION, ["thing"], _count(parts, []))
                for _ in range(crowd)
            )
        )

        assert sorted(each.value["number"] for each in outcomes) == list(range(1, crowd + 1))

    run_virtual(main())


async def _refuse(_view: View) -> Decision[Json]:
    raise Conflict("the plan has moved", code="PlanMoved")


def test_what_can_change_with_time_is_not_asked_of_a_repeat() -> None:
    async def main() -> None:
        parts = Parts()
        await parts.work.commit(parts.ctx(KEYED), PARTITION, ["thing"], _count(parts, []))

        repeated = await parts.work.commit(parts.ctx(KEYED), PARTITION, ["thing"], _refuse)

        assert (repeated.value, repeated.is_repeat) == ({"number": 1}, True)

    run_virtual(main())


def test_a_new_command_that_is_refused_by_what_changes_with_time_writes_nothing() -> None:
    async def main() -> None:
        parts = Parts()
        with pytest.raises(Conflict):
            await parts.work.commit(parts.ctx(KEYED), PARTITION, ["thing"], _refuse)

        assert parts.store.batches == []

    run_virtual(main())


def test_a_command_whose_commit_lost_its_answer_does_not_ask_outside_again() -> None:
    async def main() -> None:
        parts, asked = Parts(), list[View]()
        parts.store.faults = ["lost-after"]

        async def ask(view: View) -> Decision[Json]:
            asked.append(view)
            return _count(parts, [])(view)

        await parts.work.commit(parts.ctx(KEYED), PARTITION, ["thing"], ask)

        assert len(asked) == 1

    run_virtual(main())


def test_a_document_that_another_refers_to_is_read_and_written_under_its_own_etag() -> None:
    async def main() -> None:
        parts = Parts()
        operation = Put("operation/1", {"type": "operation", "status": "Running"})
        owner = Put("thing", {"type": "thing", "operation": "operation/1"})
        both: Decision[Json] = Decision({}, writes=[operation, owner])
        await parts.work.commit(parts.ctx(), PARTITION, ["thing", "operation/1"], lambda _: both)

        def refer(view: View) -> list[str]:
            body = view.body("thing")
            return [] if body is None else [body["operation"]]

        def close(view: View) -> Decision[str]:
            body = view.body("operation/1")
            assert body is not None
            return Decision(body["status"], writes=[Put("operation/1", {**body, "status": "Done"})])

        outcome = await parts.work.commit(parts.ctx(), PARTITION, ["thing"], close, linked=refer)

        closed = await parts.store.inner.read(PARTITION, "operation/1")
        assert closed is not None
        assert (outcome.value, closed.body["status"]) == ("Running", "Done")
        assert isinstance(parts.store.batches[-1][0], Replace)

    run_virtual(main())


class ThingMade(Event):
    colour: str


def test_an_event_leaves_in_an_envelope_that_names_its_cause() -> None:
    async def main() -> None:
        parts = Parts()
        cause = replace(CAUSE, causation_id=an_envelope(4).event_id)
        event = ThingMade(aggregate_id="thing-1", revision=7, colour="red")
        decision: Decision[Json] = Decision(
            {}, outbox=[Publish(event, project="proj-a", module="module-a")]
        )
        await parts.work.commit(parts.ctx(cause), PARTITION, [], lambda _: decision)

        (body,) = parts.sender.sent.bodies("ThingMade")
        assert body["payload"] == {"aggregateId": "thing-1", "revision": 7, "colour": "red"}
        assert (body["tenantId"], body["projectId"], body["moduleId"]) == (
            "acme", "proj-a", "module-a",
        )  # fmt: skip
        assert (body["traceId"], body["causationId"]) == (cause.trace_id, cause.causation_id)

    run_virtual(main())


def test_a_command_for_a_service_that_does_not_exist_is_found_before_the_commit() -> None:
    async def main() -> None:
        parts = Parts()
        decision: Decision[Json] = Decision({}, outbox=[Send("helth", BindThing())])
        with pytest.raises(ValueError, match="helth"):
            await parts.work.commit(parts.ctx(), PARTITION, [], lambda _: decision)

        assert parts.store.batches == []

    run_virtual(main())


def test_what_is_kept_for_a_time_is_written_with_it_also_the_first_time() -> None:
    async def main() -> None:
        parts = Parts()
        span = int(parts.work.retention.span(Kept.ENDED).total_seconds())
        for kept in (Kept.ENDED, Kept.ENDED, None):
            decision: Decision[Json] = Decision({}, [Put("thing", {"type": "t"}, kept)])
            await parts.work.commit(parts.ctx(), PARTITION, ["thing"], lambda _, it=decision: it)

        writes = [batch[0] for batch in parts.store.batches]
        lives = [None if isinstance(each, Delete) else each.ttl_s for each in writes]
        assert lives == [span, span, None]

    run_virtual(main())
