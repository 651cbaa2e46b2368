"""Indexes over fields of bodies: one is made when a list of several partitions first filters by it.

Every later write of a document of that type pays for it, so there is none that nobody asked for.
Cosmos DB has one of each path (https://learn.microsoft.com/azure/cosmos-db/index-policy).
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace

from local_cloud.sqlite.query import Sql, field_value, joined, plain_type
from local_cloud.sqlite.rows import quoted
from shared.persistence.store import AnyOf, Comparison, Condition, Query, Where

Field = tuple[str, str]
"""A type of document, and the path of a field."""


class FieldIndexes:
    """Those of one container that were asked for here."""

    def __init__(self, container: str) -> None:
        self._container = container
        self._made: set[Field] = set()

    def missing(self, query: Query) -> Sequence[Field]:
        """Return the fields that *query* filters by and that have no index yet."""
        return [field for field in _fields(query) if field not in self._made]

    def make(self, connection: sqlite3.Connection, fields: Iterable[Field]) -> None:
        """Create those indexes of *fields* that are not there; a body that is not JSON is NULL."""
        for field in fields:
            kind, path = field
            connection.execute(
                f"CREATE INDEX IF NOT EXISTS {self._name(field)} ON {quoted(self._container)}"
                f" ({field_value(path)}, partition, id) WHERE type = '{kind}'"
            )

    def remember(self, fields: Iterable[Field]) -> None:
        """Remember that the indexes of *fields* were committed."""
        self._made.update(fields)

    def narrowed(self, connection: sqlite3.Connection, scope: Sequence[Sql], query: Query) -> Query:
        """Return *query* without alternatives that no document in *scope* meets.

        A list asks for its filters or an earlier schema: as there hardly is a document of one, an
        index answers that first, and another can then find what the filters select, in its order.
        """
        kind = plain_type(query.where)
        if kind is None:
            return query

        def is_met(where: Where) -> bool:
            field = (kind, where.path)
            if not _is_other_number(where) or field not in self._made:
                return True
            return self._has_other(connection, scope, field, where.value)

        def left(condition: Condition) -> Condition:
            if not isinstance(condition, AnyOf):
                return condition
            met = [each for each in condition.conditions if is_met(each)]
            return met[0] if len(met) == 1 else AnyOf(met)

        return replace(query, where=[left(each) for each in query.where])

    def _has_other(
        self, connection: sqlite3.Connection, scope: Sequence[Sql], field: Field, value: object
    ) -> bool:
        """Return whether a document in *scope* may have another value than *value* in *field*."""
        kind, path = field
        within, bounds = joined(" AND ", scope)
        held = (
            f"EXISTS (SELECT 1 FROM {quoted(self._container)} INDEXED BY {self._name(field)}"  # noqa: S608
            f" WHERE type = '{kind}' AND {within} AND {field_value(path)} "
        )
        others: list[Sql] = [
            (f"{held} < ?)", [*bounds, value]),
            (f"{held} > ?)", [*bounds, value]),
            (f"{held} IS NULL)", bounds),
        ]
        found, parameters = joined(" OR ", others)
        try:
            return bool(connection.execute(f"SELECT {found}", parameters).fetchone()[0])
        except sqlite3.OperationalError as problem:
            if "no such index" not in str(problem):
                raise
            # Somebody dropped it, or put an older copy of the file back: the next list makes it.
            self._made.discard(field)
            return True

    def _name(self, field: Field) -> str:
        name = f"{self._container} by {' '.join(field)}"
        # SQLite takes names that differ in case for one.
        capitals = [at for at, letter in enumerate(name) if letter.isupper()]
        return quoted(" ".join([name, *map(str, capitals)]))


def _fields(query: Query) -> Sequence[Field]:
    """Return the fields of which indexes together find what *query* asks for."""
    kind = plain_type(query.where)
    if kind is None:
        return []
    return [(kind, each.path) for where in query.where for each in _alternatives(where)]


def _alternatives(condition: Condition) -> Sequence[Where]:
    """Return the parts of *condition* if an index of each field answers it, else nothing."""
    parts = condition.conditions if isinstance(condition, AnyOf) else [condition]
    texts = [each for each in parts if _is_text(each)]
    others = [each for each in parts if isinstance(condition, AnyOf) and _is_other_number(each)]
    return [*texts, *others] if texts and len(texts) + len(others) == len(parts) else []


def _is_text(where: Where) -> bool:
    """Return whether *where* asks for a text in a field that is no column."""
    is_field = where.path not in {"id", "type", "dueAt"}
    return is_field and where.comparison is Comparison.EQ and isinstance(where.value, str)


def _is_other_number(where: Where) -> bool:
    """Return whether *where* asks for another number; 0 and 1 may be booleans in an index."""
    is_number = type(where.value) is int and where.value not in {0, 1}
    return where.comparison is Comparison.IS_NOT and is_number
