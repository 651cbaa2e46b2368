"""Runs one select: FROM and JOIN, WHERE, GROUP BY, DISTINCT, and the select list."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from local_cloud.cosmos_endpoint.query.aggregates import ACCUMULATORS, Accumulator
from local_cloud.cosmos_endpoint.query.environment import Environment
from local_cloud.cosmos_endpoint.query.evaluation import (
    Compiler,
    Evaluate,
    Scope,
    aggregate_name,
)
from local_cloud.cosmos_endpoint.query.sort_order import Key, group_key
from local_cloud.cosmos_endpoint.query.syntax import Select, Subquery, Written, nodes_of, path_of
from local_cloud.cosmos_endpoint.query.values import UNDEFINED, canonical, sort_key

Tied = tuple[Key, Any]
"""A document, after what tells its rows apart where ORDER BY does not."""
Entry = tuple[Key, Any]
"""A row's sort key; and its value, or the scope to project it from."""
KeepsUndefined = Callable[[Sequence[str | int]], bool]
"""Whether ORDER BY a path keeps the documents without it: as the index of the container says."""
_ROOT: Final = ""


@dataclass
class _Group:
    values: list[Any]
    scope: Scope
    accumulators: list[Accumulator]


class Selection:
    """A select made ready to run in *environment*."""

    def __init__(
        self,
        select: Select,
        environment: Environment,
        keeps_undefined: KeepsUndefined = lambda _: True,
    ) -> None:
        compiler = Compiler(environment, self._run_subquery)
        self._select = select
        self._environment = environment
        self._columns = [
            (column.name, compiler.compiled(column.value.expression)) for column in select.columns
        ]
        self._where = _compiled(compiler, select.where)
        self._groups = [compiler.compiled(term.expression) for term in select.group_by]
        self._order = [compiler.compiled(term.value.expression) for term in select.order_by]
        self._aggregates = compiler.aggregates
        self._collections = [
            None
            if source.collection is None or _is_set(source.collection)
            else compiler.compiled(source.collection)
            for source in select.sources
        ]
        self._drops_undefined = len(select.order_by) == 1 and not keeps_undefined(
            (path_of(select.order_by[0].value.expression) or ("", ()))[1]
        )
        self._weight = 1 + sum(1 for text in _written(select) for _ in nodes_of(text.expression))
        # Ties follow the first term, as in Cosmos DB.
        self.descends = [term.descends for term in select.order_by]
        if self.descends and not select.is_distinct:
            self.descends += [self.descends[0]] * 3

    def entries(self, documents: Iterable[Tied]) -> Iterable[Entry]:
        """Return all rows in their order."""
        return self._ordered(self._matching(self._rows(documents)))

    def value(self, entry: Entry) -> Any:
        """Return what the result shows of a row; UNDEFINED is left out of it."""
        is_value = self._select.is_grouped or self._select.is_distinct
        return entry[1] if is_value else self._projected(entry[1])

    def all_values(self, entries: Iterable[Entry]) -> list[Any]:
        """Return the whole result, TOP, OFFSET and LIMIT applied."""
        values = (value for entry in entries if (value := self.value(entry)) is not UNDEFINED)
        first, most = self._select.offset, self._select.most
        result: list[Any] = []
        for index, value in enumerate(values):
            if most is not None and index >= first + most:
                break
            if index >= first:
                result.append(value)
        return result

    def _run_subquery(self, select: Select) -> Callable[[Scope], Sequence[Any]]:
        inner = Selection(select, self._environment)
        return inner.correlated

    def correlated(self, scope: Scope) -> Sequence[Any]:
        """Return the result of a subquery for one *scope* around it."""
        rows: Iterable[tuple[Key, Scope]] = (([], bound) for bound in self._bound(scope, 0))
        return self.all_values(self._ordered(self._matching(rows)))

    def _rows(self, documents: Iterable[Tied]) -> Iterator[tuple[Key, Scope]]:
        sources = self._select.sources
        if not sources:
            yield [], {}
            return
        first = sources[0]
        if isinstance(first.collection, Subquery) and _is_set(first.collection):
            inner = Selection(first.collection.select, self._environment)
            values = inner.all_values(inner.entries(documents))
            documents = [([group_key(value), index], value) for index, value in enumerate(values)]
        for tie, document in documents:
            bounds: Iterable[Scope]
            if self._collections[0] is not None:
                bounds = self._bound({_ROOT: document}, 0)
            elif first.iterates:
                items = document if isinstance(document, list) else []
                bounds = (bound for item in items for bound in self._bound({first.alias: item}, 1))
            else:
                self._environment.spend(self._weight)
                bounds = self._bound({first.alias: document}, 1)
            for number, bound in enumerate(bounds):
                yield [*tie, number], bound

    def _bound(self, scope: Scope, index: int) -> Iterator[Scope]:
        """Yield *scope* with every combination of the sources from *index* on."""
        if index == len(self._collections):
            yield scope
            return
        source, collection = self._select.sources[index], self._collections[index]
        assert collection is not None, "only the first source is the container"
        for item in _items(collection(scope), source.collection, iterates=source.iterates):
            self._environment.spend(self._weight)
            yield from self._bound({**scope, source.alias: item}, index + 1)

    def _matching(self, rows: Iterable[tuple[Key, Scope]]) -> Iterator[tuple[Key, Scope]]:
        where = self._where
        if where is None:
            yield from rows
            return
        for row in rows:
            if where(row[1]) is True:
                yield row

    def _ordered(self, rows: Iterable[tuple[Key, Scope]]) -> Iterable[Entry]:
        select = self._select
        if select.is_grouped:
            entries = self._grouped(rows)
            return self._distinct(entries) if select.is_distinct else entries
        if select.order_by:
            rows = self._sorted(rows)
        if not select.is_distinct:
            return rows
        shown = ((key, self._projected(scope)) for key, scope in rows)
        return self._distinct(shown)

    def _sorted(self, rows: Iterable[tuple[Key, Scope]]) -> list[Entry]:
        entries = []
        for tie, scope in rows:
            values = [term(scope) for term in self._order]
            if not (self._drops_undefined and values[0] is UNDEFINED):
                entries.append(([*map(sort_key, values), *tie], scope))
        return sorted_entries(entries, self.descends)

    def _distinct(self, entries: Iterable[Entry]) -> list[Entry]:
        """Return each value once, where it came first, or in the order of the values."""
        known: dict[str, Entry] = {}
        order = len(self._select.order_by)
        for key, value in entries:
            if value is not UNDEFINED:
                known.setdefault(canonical(value), ([*key[:order], group_key(value)], value))
        return sorted_entries(list(known.values()), self.descends)

    def _grouped(self, rows: Iterable[tuple[Key, Scope]]) -> list[Entry]:
        groups: dict[str, _Group] = {}
        if not self._groups:
            groups[""] = self._group([], {})
        for _, scope in rows:
            values = [term(scope) for term in self._groups]
            name = "|".join(map(_identity, values))
            group = groups.get(name)
            if group is None:
                group = groups[name] = self._group(values, scope)
            for (_, argument), accumulator in zip(
                self._aggregates, group.accumulators, strict=True
            ):
                if (value := argument(scope)) is not UNDEFINED:
                    accumulator.add(value)
        entries = [
            (list(map(group_key, group.values)), self._projected(_finished(group)))
            for group in groups.values()
        ]
        return sorted_entries(entries, ())

    def _group(self, values: list[Any], scope: Scope) -> _Group:
        return _Group(values, scope, [ACCUMULATORS[kind]() for kind, _ in self._aggregates])

    def _projected(self, scope: Scope) -> Any:
        match self._columns:
            case []:
                return scope[self._select.sources[0].alias]
            case [(None, value)]:
                return value(scope)
            case columns:
                shown = ((str(name), value(scope)) for name, value in columns)
                return {name: value for name, value in shown if value is not UNDEFINED}


def sorted_entries(entries: list[Entry], descends: Sequence[bool]) -> list[Entry]:
    """Return *entries* by their keys; parts beyond *descends* go up."""
    length = len(entries[0][0]) if entries else 0
    for index in reversed(range(length)):
        goes_down = index < len(descends) and descends[index]
        entries.sort(key=lambda entry: entry[0][index], reverse=goes_down)
    return entries


def _compiled(compiler: Compiler, written: Written | None) -> Evaluate | None:
    return None if written is None else compiler.compiled(written.expression)


def _written(select: Select) -> list[Written]:
    where = [] if select.where is None else [select.where]
    return [*where, *(column.value for column in select.columns), *select.group_by]


def _is_set(collection: Any) -> bool:
    """Return whether *collection* is a query over the whole container."""
    return isinstance(collection, Subquery) and collection.kind == "ROOT"


def _items(value: Any, collection: Any, *, iterates: bool) -> Iterable[Any]:
    """Return what a source is bound to, one after the other."""
    if isinstance(collection, Subquery):
        if not iterates:
            return list(value)
        return [item for inner in value if isinstance(inner, list) for item in inner]
    if iterates:
        return value if isinstance(value, list) else []
    return [] if value is UNDEFINED else [value]


def _identity(value: Any) -> str:
    return "undefined" if value is UNDEFINED else canonical(value)


def _finished(group: _Group) -> Scope:
    results = {
        aggregate_name(index): accumulator.result()
        for index, accumulator in enumerate(group.accumulators)
    }
    return {**group.scope, **results}
