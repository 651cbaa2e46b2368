"""A commit whose answer was lost and that took effect late is found, and is not called a repeat."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from shared.kernel.context import Context
from shared.messaging.unit_of_work import Decision, Json, UnitOfWork
from shared.persistence.codec import Put
from shared.persistence.store import AnswerLost, BatchOperation, Etag, Partition, Store
from tests.kit.service import CAUSE, SCOPE
from tests.kit.virtual_time import run_virtual
from tests.messaging.parts import PARTITION, Parts


class LateStore:
    """A store whose first batch takes effect only when the second one comes."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self._late: list[Sequence[BatchOperation]] = []
        self._is_first = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def batch(
        self, partition: Partition, operations: Sequence[BatchOperation]
    ) -> Sequence[Etag | None]:
        if self._is_first:
            self._is_first = False
            self._late.append(operations)
            raise AnswerLost("the connection broke")
        while self._late:
            await self._inner.batch(partition, self._late.pop())
        return await self._inner.batch(partition, operations)


def test_a_lost_answer_before_a_conflict_is_remembered() -> None:
    async def main() -> None:
        parts = Parts()
        store: Any = LateStore(parts.store.inner)
        work = UnitOfWork("things", store, parts.relay)
        cause = replace(CAUSE, marker="idem/1", fingerprint="a")
        ctx = Context(SCOPE, cause, parts.clock, parts.entropy)
        decision: Decision[Json] = Decision({}, [Put("thing", {"type": "thing"})])
        outcome = await work.commit(ctx, PARTITION, [], lambda _: decision)

        assert not outcome.is_repeat

    run_virtual(main())
