"""A caller's key is remembered with its answer, also where the answer changed nothing."""

from dataclasses import replace

import pytest

from shared.kernel.cause import Cause
from shared.kernel.context import Context
from shared.messaging.unit_of_work import Decision, IdempotencyKeyReused, Json, Outcome
from tests.kit.service import CAUSE, SCOPE
from tests.kit.virtual_time import run_virtual
from tests.messaging.parts import PARTITION, Parts

KEYED = replace(CAUSE, marker="idem/1", fingerprint="a")
UNKEYED = replace(CAUSE, marker="request/1")
INBOX = replace(CAUSE, marker="inbox/evt-1")


async def _answer(parts: Parts, number: int, cause: Cause) -> Outcome[Json]:
    """Commit a decision that changes nothing and answers *number*."""
    ctx = Context(SCOPE, cause, parts.clock, parts.entropy)
    decision: Decision[Json] = Decision({"number": number})
    return await parts.work.commit(ctx, PARTITION, ["thing"], lambda _: decision)


def test_a_repeat_of_a_key_gets_the_first_answer_although_nothing_was_changed() -> None:
    async def main() -> None:
        parts = Parts()
        await _answer(parts, 1, KEYED)
        again = await _answer(parts, 2, KEYED)

        assert (again.value, again.is_repeat) == ({"number": 1}, True)

    run_virtual(main())


def test_other_content_under_such_a_key_is_refused() -> None:
    async def main() -> None:
        parts = Parts()
        await _answer(parts, 1, KEYED)
        with pytest.raises(IdempotencyKeyReused):
            await _answer(parts, 2, replace(KEYED, fingerprint="b"))

    run_virtual(main())


@pytest.mark.parametrize("cause", [UNKEYED, INBOX], ids=["request-without-key", "event"])
def test_what_nobody_can_repeat_under_a_key_writes_nothing(cause: Cause) -> None:
    async def main() -> None:
        parts = Parts()
        await _answer(parts, 1, cause)

        assert parts.store.batches == []

    run_virtual(main())
