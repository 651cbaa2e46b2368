"""The audit trail is complete, has each record once, and shows where it was changed."""

import asyncio
import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from shared.messaging.audit import UNREADABLE_RECORD, AuditTrail, ChainBroken, Head
from shared.messaging.outbox import Record
from shared.persistence.tables import Table, TableRow
from tests.kit.service import memory_storage
from tests.kit.virtual_time import LoopClock, run_virtual

EVENT = {"eventId": "evt-1", "eventType": "ThingHappened", "revision": 1}


def record(number: int, tenant: str = "acme") -> Record:
    return Record(
        record_id=f"evt-{number}",
        tenant=tenant,
        environment="abcdefghijkl",
        actor="user:ann",
        action="DoThing",
        target="thing-1",
        outcome="Accepted",
        cause_kind="request",
        cause="POST things",
        trace_id="trace-1",
        at="2026-01-01T00:00:00.000000Z",
        events=(EVENT,),
    )


async def chain(length: int) -> tuple[AuditTrail, Table]:
    table = memory_storage(LoopClock()).table("audit")
    trail = AuditTrail(table, "things")
    for number in range(1, length + 1):
        await trail.append(record(number))
    return trail, table


async def rewritten(table: Table, number: int, **changes: Any) -> None:
    """Overwrite entry *number* as somebody with access to the table could."""
    row = await table.get("things|acme", f"e|{number:012d}")
    assert row is not None
    content = {**json.loads(str(row.values["record"])), **changes}
    values = {**row.values, "record": json.dumps(content)}
    await table.upsert([TableRow(row.partition_key, row.row_key, values)])


def test_a_record_without_a_reason_is_sealed_as_before_records_had_one() -> None:
    async def main() -> None:
        trail, _ = await chain(1)
        (entry,) = await trail.entries("acme")

        assert entry.hash == "90863cb4c9750744230949d38d84812ed46b86781cec09d8d9d0e6c29c58ef4b"

    run_virtual(main())


def test_a_record_of_as_many_events_as_a_batch_has_is_kept_whole() -> None:
    """It is longer than one value of a table's row may be."""

    async def main() -> None:
        trail, _ = await chain(1)
        events = tuple(
            {**EVENT, "eventId": f"evt-{n}", "aggregateId": "a" * 500} for n in range(98)
        )
        await trail.append(replace(record(2), events=events))
        await trail.append(record(3))

        assert [len(entry.record.events) for entry in await trail.entries("acme")] == [1, 98, 1]
        assert await trail.verify("acme") is None

    run_virtual(main())


def test_the_reason_of_a_caller_is_sealed_too() -> None:
    async def main() -> None:
        trail, table = await chain(1)
        await trail.append(replace(record(2), reason="flaky gate"))
        assert await trail.verify("acme") is None

        await rewritten(table, 2, reason="none")

        assert await trail.verify("acme") == 2

    run_virtual(main())


def test_a_chain_that_was_made_anew_is_sound_and_has_other_heads() -> None:
    async def main() -> None:
        (first, _), (anew, _) = await chain(3), await chain(0)
        await anew.append(replace(record(1), reason="another"))
        for number in (2, 3):
            await anew.append(record(number))

        assert await anew.verify("acme") is None
        heads = [(await trail.entries("acme", after=2))[0].hash for trail in (first, anew)]
        assert heads[0] != heads[1]

    run_virtual(main())


def test_every_record_stands_in_the_chain_in_order_with_its_content() -> None:
    async def main() -> None:
        trail, _ = await chain(5)
        entries = await trail.entries("acme")

        assert [each.number for each in entries] == [1, 2, 3, 4, 5]
        assert [each.record for each in entries] == [record(number) for number in range(1, 6)]
        assert await trail.verify("acme") is None

    run_virtual(main())


def test_a_record_relayed_again_stands_there_once() -> None:
    async def main() -> None:
        trail, _ = await chain(3)
        for number in (1, 3, 2):
            await trail.append(record(number))

        assert len(await trail.entries("acme")) == 3
        assert await trail.verify("acme") is None

    run_virtual(main())


def test_relays_that_contend_lose_no_record_and_double_none() -> None:
    async def main() -> None:
        trail, table = await chain(0)
        another = AuditTrail(table, "things")
        await asyncio.gather(
            *(each.append(record(number)) for number in range(1, 9) for each in (trail, another))
        )

        entries = await trail.entries("acme")
        assert sorted(each.record.record_id for each in entries) == [
            f"evt-{n}" for n in range(1, 9)
        ]
        assert await trail.verify("acme") is None

    run_virtual(main())


@pytest.mark.parametrize("number", [1, 4, 7])
@pytest.mark.parametrize(
    "changes", [{"actor": "user:eve"}, {"events": []}, {"at": "2025-01-01T00:00:00.000000Z"}]
)
def test_a_changed_entry_is_found_where_it_was_changed(
    number: int, changes: dict[str, Any]
) -> None:
    async def main() -> None:
        trail, table = await chain(7)
        await rewritten(table, number, **changes)

        assert await trail.verify("acme") == number

    run_virtual(main())


@pytest.mark.parametrize("number", [1, 4])
def test_a_missing_entry_is_found(number: int) -> None:
    async def main() -> None:
        trail, table = await chain(7)
        for later in range(number, 7):
            row = await table.get("things|acme", f"e|{later + 1:012d}")
            assert row is not None
            await table.upsert([TableRow(row.partition_key, f"e|{later:012d}", row.values)])

        assert await trail.verify("acme") == number

    run_virtual(main())


@pytest.mark.parametrize(
    "values",
    [
        {"record": "{"},
        {"record": "[" * 30_000},
        {"record": "7"},
        {"record": '{"recordId": "evt-2"}'},
        {"record": json.dumps({**asdict(record(2)), "events": 3})},
    ],
    ids=["no-json", "deep", "no-record", "another-record", "events"],
)
def test_an_entry_that_nobody_can_read_is_found_too(values: dict[str, Any]) -> None:
    async def main() -> None:
        trail, table = await chain(3)
        first = (await trail.entries("acme"))[0]
        row = await table.get("things|acme", f"e|{2:012d}")
        assert row is not None
        await table.upsert([replace(row, values={**row.values, **values})])

        assert await trail.verify("acme") == 2
        with pytest.raises(ChainBroken) as broken:
            await trail.follow("acme", Head(1, first.hash))
        assert broken.value.number == 2

    run_virtual(main())


@pytest.mark.parametrize(
    "values", [{"record": "{"}, {"record": "[]"}, {"record": '{"actor": 1}'}], ids=str
)
def test_a_record_that_nobody_can_read_is_listed_as_such_and_the_chain_goes_on(
    values: dict[str, Any],
) -> None:
    async def main() -> None:
        trail, table = await chain(3)
        row = await table.get("things|acme", f"e|{3:012d}")
        assert row is not None
        await table.upsert([replace(row, values={**row.values, **values})])
        await trail.append(record(9))

        entries = await trail.entries("acme")
        assert [each.number for each in entries] == [1, 2, 3, 4]
        assert [each.record.action == UNREADABLE_RECORD for each in entries] == [
            False, False, True, False,
        ]  # fmt: skip
        assert entries[2].hash == row.values["hash"]

    run_virtual(main())


def test_a_row_that_is_no_entry_is_not_listed_and_the_chain_goes_on() -> None:
    async def main() -> None:
        trail, table = await chain(2)
        row = await table.get("things|acme", f"e|{2:012d}")
        assert row is not None
        await table.insert([replace(row, row_key="e|odd")])
        await trail.append(record(9))

        assert [each.number for each in await trail.entries("acme")] == [1, 2, 3]
        assert await trail.length("acme") == 3

    run_virtual(main())


def test_a_row_among_the_entries_that_is_none_is_found_too() -> None:
    async def main() -> None:
        trail, table = await chain(2)
        row = await table.get("things|acme", f"e|{2:012d}")
        assert row is not None
        await table.insert([replace(row, row_key="e|odd")])

        assert await trail.verify("acme") == 3

    run_virtual(main())


def test_an_end_that_was_cut_off_is_found_by_its_index_rows() -> None:
    async def main() -> None:
        trail, table = await chain(5)
        whole = await table.scan("things|acme", limit=100)
        await table.delete_before("things|acme", "z")
        kept = [row for row in whole if row.row_key not in {f"e|{n:012d}" for n in (4, 5)}]
        await table.upsert(kept)

        assert await trail.verify("acme") == 4

    run_virtual(main())


def test_an_index_row_that_nobody_can_read_is_found() -> None:
    async def main() -> None:
        trail, table = await chain(2)
        row = await table.get("things|acme", "i|evt-1")
        assert row is not None
        await table.upsert([replace(row, values={"number": "odd"})])

        assert await trail.verify("acme") == 3

    run_virtual(main())


def test_an_entry_between_two_others_is_found() -> None:
    async def main() -> None:
        trail, table = await chain(3)
        row = await table.get("things|acme", f"e|{2:012d}")
        assert row is not None
        await table.upsert([TableRow("things|acme", f"e|{4:012d}", row.values)])

        assert await trail.verify("acme") == 4

    run_virtual(main())


def test_tenants_and_services_have_chains_of_their_own() -> None:
    async def main() -> None:
        trail, table = await chain(2)
        await trail.append(record(9, tenant="globex"))
        other = AuditTrail(table, "others")
        await other.append(record(9))

        counts = [len(await each.entries("acme")) for each in (trail, other)]
        assert counts == [2, 1]
        assert [each.number for each in await trail.entries("globex")] == [1]

    run_virtual(main())


def test_a_long_chain_is_verified_page_by_page() -> None:
    async def main() -> None:
        trail, table = await chain(230)
        sound = await trail.verify("acme")
        await rewritten(table, 222, actor="user:eve")

        assert (sound, await trail.verify("acme")) == (None, 222)

    run_virtual(main())
