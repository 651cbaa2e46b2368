"""Parses a query of Cosmos DB's SQL.

`SELECT [DISTINCT] [TOP n] * | VALUE expression | expression [AS name], …
[FROM source [JOIN source]…] [WHERE …] [GROUP BY …] [ORDER BY path [ASC|DESC], …]
[OFFSET n LIMIT n]`; grammar after https://learn.microsoft.com/azure/cosmos-db/nosql/query/.
What Cosmos DB refuses is refused with its words, what is not served by name.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from local_cloud.cosmos_endpoint.query.errors import SqlRefused
from local_cloud.cosmos_endpoint.query.expression_parser import DEPTH_MAX, ExpressionParser
from local_cloud.cosmos_endpoint.query.grouping_rules import check_groups
from local_cloud.cosmos_endpoint.query.syntax import (
    Aggregate,
    Alias,
    Column,
    Constant,
    Expression,
    Member,
    OrderTerm,
    Select,
    Source,
    Subquery,
    Written,
    nodes_of,
    path_of,
)

_SOURCES_MAX: Final = 10
"""https://learn.microsoft.com/azure/cosmos-db/concepts-limits#sql-query-limits (5 joins)"""


def parse(text: str, parameters: Mapping[str, Any]) -> Select:
    """Return the query *text*, with *parameters* (`@name`) put in.

    Raises:
        SqlRefused: malformed, refused by Cosmos DB, or not served.
    """
    try:
        return _Parser(text, parameters).query()
    except RecursionError as problem:  # a stack that was deep already
        raise SqlRefused("the query nests too deeply") from problem


class _Parser(ExpressionParser):
    def query(self) -> Select:
        """Parse the whole text."""
        select = self._select()
        token = self._tokens[self._at]
        if token.kind != "end":
            raise self._syntax_error(token)
        return select

    def _subselect(self) -> Select:
        return self._select(is_inner=True)

    def _select(self, *, is_inner: bool = False) -> Select:
        if not self._take("SELECT"):
            raise self._syntax_error(self._tokens[self._at])
        outer = list(self._aliases)
        head = self._at
        # FROM says which names there are, so it is read before the select list.
        self._skip_to_from()
        start = self._at
        sources = self._from(is_inner=is_inner) if self._take("FROM") else ()
        from_text = self._text_between(start, self._at)
        after = self._at
        self._at = head
        is_distinct = self._take("DISTINCT")
        top = self._count() if self._take("TOP") else None
        columns = self._columns()
        if self._at != start:
            raise self._syntax_error(self._tokens[self._at])
        self._at = after
        select = Select(columns, sources, top=top, is_distinct=is_distinct, from_text=from_text)
        select = self._clauses(select)
        check_groups(select)
        if not select.columns and len(select.sources) != 1:
            raise SqlRefused("'SELECT *' is only valid with a single input set.")
        self._aliases = outer
        return select

    def _skip_to_from(self) -> None:
        """Go to this select's FROM, or behind its list where it has none."""
        depth = 0
        while (token := self._tokens[self._at]).kind != "end":
            if token.word in {"(", "[", "{"}:
                depth += 1
            elif token.word in {")", "]", "}"}:
                depth -= 1
            is_member = self._at > 0 and self._tokens[self._at - 1].word == "."
            ends = token.word in {"FROM", "WHERE", "GROUP", "ORDER", "OFFSET"}
            if depth < 0 or (depth == 0 and ends and not is_member):
                return
            self._at += 1

    def _from(self, *, is_inner: bool) -> tuple[Source, ...]:
        sources = [self._source(is_root=not is_inner)]
        while self._take("JOIN"):
            sources.append(self._source(is_root=False))
            if len(sources) > _SOURCES_MAX:
                raise SqlRefused(f"a query joins at most {_SOURCES_MAX} sources")
        return tuple(sources)

    def _source(self, *, is_root: bool) -> Source:
        if self._is_alias() and self._peek(1) == "IN":
            alias = self._name()
            self._at += 1
            return self._known(Source(alias, self._collection(is_root=is_root), iterates=True))
        collection = self._collection(is_root=is_root)
        alias = self._root_name if collection is None else _last_name(collection)
        if self._take("AS") or self._is_alias():
            alias = self._name()
        return self._known(Source(alias, collection, iterates=False))

    def _known(self, source: Source) -> Source:
        if source.alias in self._aliases and not _is_itself(source):
            raise SqlRefused(f"The input alias {source.alias!r} is specified more than once.")
        if source.alias:
            self._aliases.append(source.alias)
        return source

    def _collection(self, *, is_root: bool) -> Expression | None:
        """Parse what a source ranges over; None is the container itself."""
        if self._take("("):
            return self._root_subquery() if is_root else self._subquery("ARRAY")
        name = self._name()
        if name in self._aliases:
            return self._postfixed(Alias(name))
        if not is_root:
            raise SqlRefused(f"Identifier {name!r} could not be resolved.")
        self._root_name = name
        path = self._postfixed(Alias(""))
        return None if path == Alias("") else path

    def _root_subquery(self) -> Subquery:
        """Parse `(SELECT …)` that stands for the container: it runs once, over all documents."""
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise SqlRefused(f"a query nests at most {DEPTH_MAX} expressions")
        select = self._select()
        self._depth -= 1
        self._expect(")")
        return Subquery("ROOT", select)

    _root_name: str = "c"

    def _columns(self) -> tuple[Column, ...]:
        if self._take("*"):
            return ()
        if self._take("VALUE"):
            value = self._written()
            return (Column(None, value, value.text),)
        columns: list[Column] = []
        unnamed = 0
        while True:
            start = self._at
            value = self._written()
            name = _last_name(value.expression)
            if self._take("AS") or self._is_alias():
                name = self._name()
            if not name:
                unnamed += 1
                name = f"${unnamed}"
            columns.append(Column(name, value, self._text_between(start, self._at)))
            if not self._take(","):
                break
        names = [column.name for column in columns]
        if len(set(names)) < len(names):
            raise SqlRefused(f"a property is there twice in the select list, of {names}")
        return tuple(columns)

    def _clauses(self, select: Select) -> Select:
        if self._take("WHERE"):
            where = self._written()
            _refuse_aggregates(where)
            select = replace(select, where=where)
        if self._take("GROUP"):
            self._expect("BY")
            group_by = [self._written()]
            while self._take(","):
                group_by.append(self._written())
            for term in group_by:
                _refuse_aggregates(term)
            select = replace(select, group_by=tuple(group_by))
        if self._take("ORDER"):
            self._expect("BY")
            terms = [self._order_term(select)]
            while self._take(","):
                terms.append(self._order_term(select))
            select = replace(select, order_by=tuple(terms))
        if self._take("OFFSET"):
            offset = self._count()
            self._expect("LIMIT")
            select = replace(select, offset=offset, limit=self._count(), has_offset=True)
        return select

    def _order_term(self, select: Select) -> OrderTerm:
        if self._peek() == "RANK":
            raise SqlRefused("ORDER BY RANK is not served here")
        value = self._written()
        path = path_of(value.expression)
        if path is None or not path[1]:
            raise SqlRefused(
                "Unsupported ORDER BY clause. ORDER BY item expression could not be mapped to a"
                " document path."
            )
        correlated = {source.alias for source in select.sources if _is_part(source)}
        if path[0] in correlated:
            raise SqlRefused("Order-by over correlated collections is not supported.")
        if self._take("DESC"):
            return OrderTerm(value, descends=True)
        self._take("ASC")
        return OrderTerm(value, descends=False)

    def _written(self) -> Written:
        start = self._at
        return Written(self._expression(), self._text_between(start, self._at))

    def _text_between(self, start: int, end: int) -> str:
        if start == end:
            return ""
        return self._text[self._tokens[start].start : self._tokens[end - 1].end]

    def _count(self) -> int:
        token = self._next()
        value: Any = None
        if token.kind == "parameter":
            value = self._parameter(token.text)
        elif token.kind == "number" and token.text.isdecimal():
            value = int(token.text) if len(token.text) < 10 else None  # noqa: PLR2004  32 bits
        if isinstance(value, float) and value.is_integer():  # Java writes 5.0
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
            raise SqlRefused("TOP, OFFSET and LIMIT take a whole number, at most 2147483647")
        return value


def _last_name(expression: Expression) -> str:
    """Return what a value is called by itself: the last name of its path, or nothing."""
    match expression:
        case Alias(name):
            return name
        case Member(_, Constant(str(name))):
            return name
        case _:
            return ""


def _is_part(source: Source) -> bool:
    """Return whether a source of the outermost query is a part of a document."""
    collection = source.collection
    path = None if collection is None else path_of(collection)
    return path is not None and (source.iterates or path[1] != ())


def _is_itself(source: Source) -> bool:
    """Return whether a subquery ranges over what is bound around it, by the same name."""
    return not source.iterates and source.collection == Alias(source.alias)


def _refuse_aggregates(written: Written) -> None:
    if any(isinstance(node, Aggregate) for node in nodes_of(written.expression)):
        raise SqlRefused("an aggregate stands in the select list only")
