"""A key or a command's id is remembered with its answer, also where that changed nothing."""

from dataclasses import replace

import pytest

from shared.kernel.context import Cause, Context
from shared.messaging.unit_of_work import Decision, IdempotencyKeyReused, Json, Outcome
from tests.kit.service import CAUSE, SCOPE
from tests.kit.virtual_time import run_virtual
from tests.messaging.parts import PARTITION, Parts

KEYED = replace(CAUSE, marker="idem/1", fingerprint="a")
UNKEYED = replace(CAUSE, marker="request/1")
INBOX = replace(CAUSE, marker="inbox/evt-1", kind="event")
COMMAND = replace(CAUSE, marker="inbox/evt-1", kind="command")


async def _answer(parts: Parts, number: int, cause: Cause) -> Outcome[Json]:
    """Commit a decision that changes nothing and answers *number*."""
    ctx = Context(SCOPE, cause, parts.clock, parts.entropy)
    decision: Decision[Json] = Decision({"number": number})
    return await parts.work.commit(ctx, PARTITION, ["thing"], lambda _: decision)


@pytest.mark.parametrize("cause", [KEYED, COMMAND], ids=["request-with-key", "command"])
def test_a_repeat_gets_the_first_answer_although_nothing_was_changed(cause: Cause) -> None:
    async def main() -> None:
        parts = Parts()
        await _answer(parts, 1, cause)
        again = await _answer(parts, 2, cause)

        assert (again.value, again.is_repeat) == ({"number": 1}, True)

    run_virtual(main())


def test_other_content_under_such_a_key_is_refused() -> None:
    async def main() -> None:
        parts = Parts()
        await _answer(parts, 1, KEYED)
        with pytest.raises(IdempotencyKeyReused):
            await _answer(parts, 2, replace(KEYED, fingerprint="b"))

    run_virtual(main())


def test_a_command_whose_documents_show_that_it_was_done_writes_no_row() -> None:
    async def main() -> None:
        parts = Parts()
        await _answer(parts, 1, replace(COMMAND, marker=None))

        assert parts.store.batches == []

    run_virtual(main())


@pytest.mark.parametrize("cause", [UNKEYED, INBOX], ids=["request-without-key", "event"])
def test_what_nobody_can_repeat_under_a_key_writes_nothing(cause: Cause) -> None:
    async def main() -> None:
        parts = Parts()
        await _answer(parts, 1, cause)

        assert parts.store.batches == []

    run_virtual(main())
