"""The audit trail: one hash-chained sequence of records per service and tenant, in a Table.

Each entry carries the SHA-256 of its own content and its predecessor's hash, so a changed, removed
or inserted entry is found by `verify`. An index row per record id is inserted in the same
transaction, so a record that is relayed twice is in the chain once.
"""

import hashlib
import json
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from shared.kernel.dataclass import dataclass
from shared.kernel.errors import UNREADABLE, Unavailable
from shared.messaging.outbox import OPTIONAL_FIELDS, Record
from shared.persistence.table_rules import TEXT_MAX
from shared.persistence.tables import RowExists, Table, TableRow

_log = logging.getLogger(__name__)
_ENTRY: Final = "e|"
_ENTRY_END: Final = "e}"
_INDEX: Final = "i|"
_INDEX_END: Final = "i}"
_RECORD: Final = ("record", *(f"record{part}" for part in range(2, 16)))
"""The values that hold a record's JSON, one after the other: one holds 32,768 characters. A batch
of a store has room for fewer events than three would hold."""
_PAGE: Final = 1000
"""Rows of one read of the whole chain; a table's port answers no more."""
_TENANTS: Final = "tenants"
"""The partition with a row for each tenant that has a chain of any service."""
_NUMBERED_END: Final = "e|:"
"""Behind the keys that begin with a digit."""
UNREADABLE_RECORD: Final = "Unreadable"
"""The action and the outcome that stand for a record which nobody can read."""
_ATTEMPTS: Final = 20
"""Two relays of one tenant rarely conflict; twenty conflicts in a row have another cause."""


@dataclass(frozen=True)
class Entry:
    """A record in its place in the chain; `number` counts from 1."""

    number: int
    previous_hash: str
    hash: str
    record: Record


@dataclass(frozen=True)
class Head:
    """A record at which a chain is sealed: its number, and the hash that seals all before it."""

    number: int
    hash: str


GENESIS: Final = Head(0, "0" * 64)
"""Before the first record."""


class ChainBroken(Exception):
    """The record `number` is not the one that followed those before it, or that was there."""

    def __init__(self, number: int) -> None:
        super().__init__(f"the audit chain is not whole from its record {number} on")
        self.number = number


def _seal(number: int, previous: str, record: Record) -> str:
    content = json.dumps([number, previous, _content(record)], sort_keys=True, default=list)
    return hashlib.sha256(content.encode()).hexdigest()


def _content(record: Record) -> dict[str, Any]:
    """Return what is stored and hashed of *record*; without what it does not say as in 0.2.0."""
    content = asdict(record)
    return {name: value for name, value in content.items() if value or name not in OPTIONAL_FIELDS}


class AuditTrail:
    """The chain of one service over one table."""

    def __init__(self, table: Table, service: str) -> None:
        self._table = table
        self._service = service
        self._listed: set[str] = set()
        """Tenants that this process has put on the list of those with a chain."""

    async def append(self, record: Record) -> None:
        """Add *record* at the end of its tenant's chain; a repeated call adds nothing.

        Raises:
            Unavailable: the table is away, or busy beyond reason.
        """
        partition = self._partition(record.tenant)
        await self._list_tenant(record.tenant)
        for _ in range(_ATTEMPTS):
            head = await self._head(partition)
            number = head.number + 1 if head else 1
            previous = head.hash if head else GENESIS.hash
            entry = Entry(number, previous, _seal(number, previous, record), record)
            try:
                await self._table.insert(
                    [
                        TableRow(partition, _key(number), _values(entry)),
                        TableRow(partition, _INDEX + record.record_id, {"number": number}),
                    ]
                )
            except RowExists as conflict:
                if conflict.row_key.startswith(_INDEX) or await self._table.get(
                    partition, _INDEX + record.record_id
                ):
                    return
            else:
                return
        raise Unavailable(f"the audit chain of {self._service} is contended", retry_after_s=5)

    async def entries(self, tenant: str, *, after: int = 0, limit: int = 100) -> Sequence[Entry]:
        """Return entries of *tenant* whose number is above *after*, oldest first.

        In the place of one that cannot be read stands a record that says so.
        """
        rows = await self._rows(tenant, after=after, limit=limit)
        return [entry for row in rows if (entry := _shown(row, tenant)) is not None]

    async def length(self, tenant: str) -> int:
        """Return the number of the newest entry of *tenant*; 0 if there is none."""
        head = await self._head(self._partition(tenant))
        return head.number if head else 0

    async def verify(self, tenant: str) -> int | None:
        """Return the number of the first entry that was changed or is missing; None if none is.

        Entries taken from the end are found by their index rows. Whoever may delete both, or write
        the whole chain anew, is found only by comparison with a copy.
        """
        head = GENESIS
        try:
            while rows := await self._rows(tenant, after=head.number, limit=_PAGE):
                head = _followed(head, rows)
        except ChainBroken as broken:
            return broken.number
        following = head.number + 1
        return following if await self._is_longer(tenant, following) else None

    async def follow(self, tenant: str, head: Head) -> Head:
        """Return how far the chain of *tenant* is sealed behind *head*: 1,000 records at most.

        *head* itself where nothing follows it. Two heads of which one was followed to the other
        need not both be kept: the later one seals the earlier.

        Raises:
            ChainBroken: the record of *head* is another one or is gone, or one that follows is not
                sealed with it.
        """
        rows = await self._rows(tenant, after=max(head.number - 1, 0), limit=_PAGE)
        if head == GENESIS:
            return _followed(head, rows)
        first = _read(rows[0], head.number) if rows else None
        if first is None or Head(first.number, first.hash) != head:
            raise ChainBroken(head.number)
        return _followed(head, rows[1:])

    async def _rows(self, tenant: str, *, after: int, limit: int) -> Sequence[TableRow]:
        return await self._table.scan(
            self._partition(tenant), after=_key(after), before=_ENTRY_END, limit=limit
        )

    async def tenants(self) -> AsyncIterator[str]:
        """Yield each tenant of which any service has recorded something, one page after another.

        A chain of before there was this list is on it from its next record on.
        """
        after = ""
        while rows := await self._table.scan(_TENANTS, after=after, limit=_PAGE):
            for row in rows:
                yield row.row_key
            after = rows[-1].row_key

    async def _list_tenant(self, tenant: str) -> None:
        """Put *tenant* on the list before its record: a chain that nobody lists is never looked at.

        Once a process: a row that was taken away comes back with the next start.
        """
        if tenant not in self._listed:
            await self._table.upsert([TableRow(_TENANTS, tenant, {})])
            self._listed.add(tenant)

    async def _is_longer(self, tenant: str, number: int) -> bool:
        """Return whether an index row names *number* or a later one, or cannot be read."""
        after = _INDEX
        while rows := await self._table.scan(
            self._partition(tenant), after=after, before=_INDEX_END, limit=_PAGE
        ):
            named = [row.values.get("number") for row in rows]
            if any(not isinstance(each, int) or each >= number for each in named):
                return True
            after = rows[-1].row_key
        return False

    async def _head(self, partition: str) -> Head | None:
        """Return where the next record is sealed, also behind one that cannot be read."""
        rows = await self._table.scan(
            partition, after=_ENTRY, before=_NUMBERED_END, limit=1, newest_first=True
        )
        return Head(_number(rows[0]), str(rows[0].values.get("hash", ""))) if rows else None

    def _partition(self, tenant: str) -> str:
        return f"{self._service}|{tenant}"


def _followed(head: Head, rows: Sequence[TableRow]) -> Head:
    """Return the head behind the entries *rows*, which follow *head*. Raises ChainBroken."""
    for row in rows:
        entry = _read(row, head.number + 1)
        expected = (
            head.number + 1,
            head.hash,
            _seal(entry.number, entry.previous_hash, entry.record),
        )
        if (entry.number, entry.previous_hash, entry.hash) != expected:
            raise ChainBroken(head.number + 1)
        head = Head(entry.number, entry.hash)
    return head


def _read(row: TableRow, number: int) -> Entry:
    """Return the entry *number*, which *row* should be. Raises ChainBroken where none is there."""
    try:
        return _entry(row)
    except UNREADABLE as unread:
        raise ChainBroken(number) from unread


def _shown(row: TableRow, tenant: str) -> Entry | None:
    """Return what is shown of *row*; None for one that has not even a number."""
    try:
        return _entry(row)
    except UNREADABLE:
        _log.exception("the audit record %s of %s cannot be read", row.row_key, tenant)
    if not row.row_key.removeprefix(_ENTRY).isdecimal():
        return None
    nothing = Record("", tenant, "", "", UNREADABLE_RECORD, "", UNREADABLE_RECORD, "", "", "", "")
    return Entry(_number(row), "", str(row.values.get("hash", "")), nothing)


def _number(row: TableRow) -> int:
    return int(row.row_key.removeprefix(_ENTRY))


def _key(number: int) -> str:
    return f"{_ENTRY}{number:012d}"


def _values(entry: Entry) -> dict[str, Any]:
    text = json.dumps(_content(entry.record), default=list)
    parts = (text[start : start + TEXT_MAX] for start in range(0, len(text), TEXT_MAX))
    record = dict(zip(_RECORD, parts, strict=False))
    return {"hash": entry.hash, "previousHash": entry.previous_hash, **record}


def _entry(row: TableRow) -> Entry:
    text = "".join(str(row.values.get(name, "")) for name in _RECORD)
    record = Record(**json.loads(text))
    record = replace(record, events=tuple(record.events))
    return Entry(_number(row), str(row.values["previousHash"]), str(row.values["hash"]), record)
