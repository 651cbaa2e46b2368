"""A document that cannot be handled is postponed and shown in health; the others are handled."""

import itertools
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.kernel.clock import isoformat
from shared.kernel.errors import Conflict, Unavailable
from shared.messaging.sweep import EVERY_PAGE, PAGES_MAX, Sweep, SweepLog, every, every_due
from shared.persistence.store import Create, Document, Partition, Query, UnreadableDocument
from tests.kit.virtual_time import run_virtual
from tests.messaging.parts import Parts

TENANTS = [Partition(f"tenant-{number:02d}", "abcdefghijkl") for number in range(21)]
BAD = TENANTS[7]
PROBLEMS: dict[str, Exception] = {
    "unreadable": UnreadableDocument("no schema 9"),
    "refused": Conflict("not in this state"),
    "away": Unavailable("the surface is away"),
    "a-defect": KeyError("colour"),
}


class Timer:
    """A sweep over one due document of each tenant, whose handler fails on those in *failing*."""

    def __init__(self, problem: Exception) -> None:
        self.parts, self.log, self.problem = Parts(), SweepLog(), problem
        self.failing = {BAD.tenant}
        self.handled: list[str] = []
        self.tried_at: list[float] = []

    async def keep(self, **fields: Any) -> None:
        body = {"type": "thing", "dueAt": isoformat(self.now()), **fields}
        for partition in TENANTS:
            await self.parts.store.inner.batch(partition, [Create("thing", body)])

    def now(self) -> datetime:
        return self.parts.clock.now()

    async def run(self) -> int:
        store: Any = self.parts.store
        sweep = Sweep("scan", "thing", store, self.parts.clock, self.log)
        return await sweep.run(self._handle)

    async def _handle(self, document: Document) -> None:
        if document.partition.tenant in self.failing:
            self.tried_at.append(self.parts.clock.monotonic_s())
            raise self.problem
        self.handled.append(document.partition.tenant)
        await Sweep("", "", self.parts.store.inner, self.parts.clock, SweepLog()).postpone(document)

    def degraded(self) -> Mapping[str, int]:
        return self.log.failures(self.now())


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS.keys())
def test_the_documents_of_all_others_are_handled(problem: Exception) -> None:
    async def main() -> None:
        timer = Timer(problem)
        await timer.keep()

        assert await timer.run() == len(TENANTS)
        assert sorted(timer.handled) == [each.tenant for each in TENANTS if each != BAD]

    run_virtual(main())


class Throttled:
    """A store that takes nothing for one tenant."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def batch(self, partition: Partition, operations: Any) -> Any:
        if partition == BAD:
            raise Unavailable("throttled", throttled=True)
        return await self.inner.batch(partition, operations)


@pytest.mark.parametrize("pages", [1, PAGES_MAX + 1], ids=["one-page", "more-than-a-run"])
def test_a_tenant_that_is_throttled_keeps_no_sweep_from_the_others(pages: int) -> None:
    async def main() -> None:
        timer = Timer(Unavailable("throttled", throttled=True))
        await timer.parts.clock.sleep(3600)
        now = timer.now()
        for number in range(100 * pages):
            due_at = isoformat(now - timedelta(minutes=30, milliseconds=number // 3))
            body = {"type": "thing", "dueAt": due_at}
            await timer.parts.store.inner.batch(BAD, [Create(f"thing-{number}", body)])
        body = {"type": "thing", "dueAt": isoformat(now)}
        await timer.parts.store.inner.batch(TENANTS[0], [Create("thing", body)])
        timer.parts.store = Throttled(timer.parts.store.inner)  # type: ignore[assignment]
        await timer.run()
        await timer.run()

        assert timer.handled == [TENANTS[0].tenant]

    run_virtual(main())


def test_a_document_that_fails_is_tried_ever_more_rarely() -> None:
    async def main() -> None:
        timer = Timer(PROBLEMS["unreadable"])
        await timer.keep()
        for _ in range(200):
            await timer.run()
            await timer.parts.clock.sleep(5)

        gaps = [after - before for before, after in itertools.pairwise(timer.tried_at)]
        assert gaps[:4] == [30, 60, 120, 240]
        assert set(gaps[4:]) <= {300}

    run_virtual(main())


def test_a_failed_document_counts_in_health_until_it_is_handled() -> None:
    async def main() -> None:
        timer = Timer(PROBLEMS["a-defect"])
        await timer.keep()
        counts = []
        for _ in range(40):
            await timer.run()
            counts.append(timer.degraded())
            await timer.parts.clock.sleep(15)
        timer.failing.clear()
        await timer.parts.clock.sleep(300)
        await timer.run()

        assert counts == [{"scan": 1}] * 40
        assert timer.degraded() == {}

    run_virtual(main())


def test_a_failure_that_another_instance_repaired_is_forgotten() -> None:
    async def main() -> None:
        timer = Timer(PROBLEMS["a-defect"])
        await timer.keep()
        await timer.run()
        await timer.parts.clock.sleep(timedelta(minutes=7).total_seconds())

        assert timer.degraded() == {}

    run_virtual(main())


def test_a_document_whose_count_of_failures_is_damaged_is_postponed_too() -> None:
    async def main() -> None:
        timer = Timer(PROBLEMS["unreadable"])
        await timer.keep(attempts="many")
        await timer.run()

        assert await timer.run() == 0

    run_virtual(main())


def test_documents_that_cannot_be_postponed_end_the_run_after_one_page() -> None:
    async def main() -> None:
        timer = Timer(PROBLEMS["away"])
        timer.failing = {each.tenant for each in TENANTS}
        await timer.keep()
        timer.parts.store.faults = ["away"] * len(TENANTS)
        await timer.run()

        assert len(timer.tried_at) == len(TENANTS)

    run_virtual(main())


def test_a_run_ends_after_a_thousand_documents() -> None:
    async def main() -> None:
        timer = Timer(PROBLEMS["away"])
        body = {"type": "thing", "dueAt": isoformat(timer.now())}
        for number in range(PAGES_MAX * Query.limit + 50):
            await timer.parts.store.inner.batch(TENANTS[0], [Create(f"thing-{number}", body)])

        assert await timer.run() == PAGES_MAX * Query.limit
        assert await timer.run() == 50

    run_virtual(main())


def test_a_document_that_is_no_json_is_shown_in_health_and_stops_no_other() -> None:
    async def main() -> None:
        timer = Timer(PROBLEMS["a-defect"])
        timer.failing = set()
        await timer.keep()
        store: Any = timer.parts.store.inner
        sql = f"UPDATE {store.rows.table} SET body = substr(body, 1, 60) WHERE partition LIKE ?"
        await store.database.write(lambda db: db.execute(sql, (f"{BAD.tenant}%",)).rowcount)

        await timer.run()

        assert timer.handled == [each.tenant for each in TENANTS if each != BAD]
        assert timer.degraded() == {"scan": 1}

    run_virtual(main())


def test_every_document_is_returned_where_tenants_have_documents_of_one_key() -> None:
    """As those of an environment that is shared, on both sides of the end of a page."""

    async def main() -> None:
        parts = Parts()
        keys = [f"env-{number:03d}" for number in range(EVERY_PAGE + 10)]
        for key in keys:
            partitions = TENANTS[:2] if key == keys[EVERY_PAGE - 1] else TENANTS[:1]
            for partition in partitions:
                body = {"type": "thing", "environment_id": key}
                await parts.store.inner.batch(partition, [Create(key, body)])

        found = await every("thing", "environment_id", parts.store.inner)

        assert len(found) == len(keys) + 1
        assert {document.partition for document in found} == {*TENANTS[:2]}

    run_virtual(main())


def test_what_is_due_is_returned_and_nothing_else() -> None:
    async def main() -> None:
        parts = Parts()
        now, store = parts.clock.now(), parts.store.inner
        due = {"type": "thing", "name": "a", "dueAt": isoformat(now)}
        others = {
            "later": {**due, "dueAt": isoformat(now + timedelta(seconds=1))},
            "another": {**due, "type": "other"},
        }
        for name, body in {"due": due, **others}.items():
            await store.batch(BAD, [Create(name, body)])

        found = await every_due("thing", "name", store, parts.clock)

        assert [each.id for each in found] == ["due"]

    run_virtual(main())


def test_a_damaged_count_of_failures_begins_again() -> None:
    async def main() -> None:
        timer = Timer(PROBLEMS["unreadable"])
        await timer.keep(attempts="many")
        await timer.run()
        stored = await timer.parts.store.inner.read_many(BAD, ["thing"])

        assert stored["thing"].body["attempts"] == 1
        assert stored["thing"].body["dueAt"] == isoformat(timer.now() + timedelta(seconds=30))

    run_virtual(main())
