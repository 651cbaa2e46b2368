"""The Table port over Azure Table storage by the official asynchronous SDK.

A row is an entity; whole numbers are `Edm.Int64`, whatever their size. Rows are inserted by one
request that is sent once: after a cut connection its repetition would meet its own rows, and tell
that they were another's. Whoever gets Unavailable asks again and may get RowExists.
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from shared.kernel.errors import Unavailable
from shared.persistence.newest_rows import Rows, Span, newest_rows
from shared.persistence.query_rules import page_limit
from shared.persistence.storage_account import StorageAccount
from shared.persistence.storage_errors import code_of, translated_errors
from shared.persistence.table_rules import ROWS_MAX, checked_rows, checked_table, is_key
from shared.persistence.tables import DELETED_MAX, RowExists, TableRow, Value

if TYPE_CHECKING:
    from azure.data.tables.aio import TableClient

GUESSES_MAX: Final = 10_000
_KEYS: Final = frozenset({"PartitionKey", "RowKey"})
_CULPRIT: Final = re.compile(r"(\d{1,2}):")
"""How the message about a failed transaction begins: with the index of the row."""


class AzureTable:
    """One table, which exists."""

    def __init__(self, account: StorageAccount, name: str) -> None:
        """Raises Invalid for a name that no table has."""
        self._account = account
        self._name = checked_table(name)
        self._guesses: dict[tuple[str, int], str] = {}
        """By partition and limit the oldest key of the last answer: where to look first."""

    async def insert(self, rows: Sequence[TableRow]) -> None:
        from azure.data.tables import TableTransactionError  # noqa: PLC0415  heavy: where used

        operations = [("create", _entity(row)) for row in checked_rows(rows)]
        if not operations:
            return
        async with self._client() as client:
            try:
                await client.submit_transaction(operations, retry_total=0)
            except TableTransactionError as failed:
                if code_of(failed) != "EntityAlreadyExists":
                    raise
                culprit = _CULPRIT.match(failed.message)
                if culprit is None:
                    raise Unavailable("a row exists, and the service does not say which") from None
                raise RowExists(rows[int(culprit[1])].row_key) from failed

    async def upsert(self, rows: Sequence[TableRow]) -> None:
        operations = [("upsert", _entity(row), {"mode": "replace"}) for row in checked_rows(rows)]
        if operations:
            async with self._client() as client:
                await client.submit_transaction(operations)

    async def get(self, partition_key: str, row_key: str) -> TableRow | None:
        if not (is_key(partition_key) and is_key(row_key)):
            return None
        parameters = {"partition": partition_key, "key": row_key}
        where = "PartitionKey eq @partition and RowKey eq @key"
        async with self._client() as client:
            async for entity in client.query_entities(where, parameters=parameters):
                return _row(entity)
        return None

    async def scan(
        self,
        partition_key: str,
        *,
        after: str = "",
        before: str | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> Sequence[TableRow]:
        page_limit(limit)
        if not newest_first:
            rows, _ = await self._read(partition_key, Span(after, None, before), limit)
            return rows
        key = (partition_key, limit)
        newest = await newest_rows(
            lambda span, count: self._read(partition_key, span, count),
            after,
            before,
            limit,
            guess=self._guesses.get(key),
        )
        if newest and before is None:
            if len(self._guesses) >= GUESSES_MAX:
                self._guesses.clear()
            self._guesses[key] = newest[-1].row_key
        return newest

    async def delete_before(self, partition_key: str, row_key: str) -> int:
        span = Span("", "", row_key)
        rows, _ = await self._read(partition_key, span, DELETED_MAX, select=sorted(_KEYS))
        deleted = 0
        for first in range(0, len(rows), ROWS_MAX):
            deleted += await self._delete(rows[first : first + ROWS_MAX])
        return deleted

    async def _read(
        self, partition_key: str, span: Span, count: int, select: list[str] | None = None
    ) -> Rows:
        """Return the first *count* rows of *span*; a page of the service may have fewer."""
        if not is_key(partition_key):
            return Rows((), is_all=True)
        bounds = {"partition": partition_key}
        where = "PartitionKey eq @partition"
        low = ("ge", span.start) if span.start is not None else ("gt", span.after)
        for name, (operator, key) in {"low": low, "high": ("lt", span.before)}.items():
            if key is not None:
                where += f" and RowKey {operator} @{name}"
                bounds[name] = key
        rows: list[TableRow] = []
        # One more than asked for tells whether there are more; a page holds 1,000.
        async with self._client() as client:
            async for entity in client.query_entities(
                where,
                parameters=bounds,
                select=select,
                results_per_page=min(count + 1, DELETED_MAX),
            ):
                if len(rows) == count:
                    return Rows(rows, is_all=False)
                rows.append(_row(entity))
        return Rows(rows, is_all=True)

    async def _delete(self, rows: Sequence[TableRow]) -> int:
        """Delete *rows*, of one partition; return how many were there."""
        from azure.data.tables import TableTransactionError  # noqa: PLC0415  heavy: where used

        operations = [("delete", _entity(row)) for row in rows]
        async with self._client() as client:
            try:
                await client.submit_transaction(operations)
            except TableTransactionError as failed:
                if failed.status_code != HTTPStatus.NOT_FOUND:
                    raise
            else:
                return len(rows)
        if len(rows) == 1:
            return 0
        # Another instance deletes too: the rows that it left are found by halves.
        half = len(rows) // 2
        return await self._delete(rows[:half]) + await self._delete(rows[half:])

    @asynccontextmanager
    async def _client(self) -> "AsyncIterator[TableClient]":
        async with translated_errors(f"table {self._name}"):
            yield await self._account.table(self._name)


def _entity(row: TableRow) -> dict[str, Any]:
    from azure.data.tables import EdmType  # noqa: PLC0415  heavy: where used

    values: dict[str, Any] = {"PartitionKey": row.partition_key, "RowKey": row.row_key}
    for name, value in row.values.items():
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        values[name] = (value, EdmType.INT64) if is_whole else value
    return values


def _row(entity: Mapping[str, Any]) -> TableRow:
    values = {name: _value(value) for name, value in entity.items() if name not in _KEYS}
    return TableRow(entity["PartitionKey"], entity["RowKey"], values)


def _value(value: Any) -> Value:
    """Return *value* as it was written: the SDK marks an `Edm.Int64`, other numbers are real."""
    if isinstance(value, tuple):
        return int(value[0])
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return str(value) if isinstance(value, str) else value
