"""The syntax tree of a query.

Operators are calls by their sign (`+`, `AND`, `??`), so that one table of functions holds both.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

AGGREGATES: Final = ("COUNT", "SUM", "AVG", "MIN", "MAX")


@dataclass(frozen=True)
class Constant:
    value: Any


@dataclass(frozen=True)
class Alias:
    """An alias of FROM or JOIN: the value that it is bound to."""

    name: str


@dataclass(frozen=True)
class Member:
    """`base.name`, `base["name"]`, `base[0]`."""

    base: "Expression"
    key: "Expression"


@dataclass(frozen=True)
class Call:
    """A function or operator, its name in capitals."""

    name: str
    arguments: tuple["Expression", ...]


@dataclass(frozen=True)
class ArrayLiteral:
    items: tuple["Expression", ...]


@dataclass(frozen=True)
class ObjectLiteral:
    names: tuple[str, ...]
    values: tuple["Expression", ...]


@dataclass(frozen=True)
class Aggregate:
    """One of `AGGREGATES`; `text` is its argument as it was written."""

    kind: str
    argument: "Expression"
    text: str


@dataclass(frozen=True)
class Subquery:
    """`EXISTS (…)`, `ARRAY (…)`, or, of kind VALUE, a query in parentheses."""

    kind: str
    select: "Select"


Expression = Constant | Alias | Member | Call | ArrayLiteral | ObjectLiteral | Aggregate | Subquery


@dataclass(frozen=True)
class Written:
    """An expression, and the text that it was read from."""

    expression: Expression
    text: str


@dataclass(frozen=True)
class Source:
    """One input of FROM: `collection [AS] alias`, or `alias IN collection`, which iterates.

    `collection` None is the container itself.
    """

    alias: str
    collection: Expression | None
    iterates: bool


@dataclass(frozen=True)
class Column:
    """One item of the select list, `text` with its alias. `name` None is `SELECT VALUE`."""

    name: str | None
    value: Written
    text: str


@dataclass(frozen=True)
class OrderTerm:
    value: Written
    descends: bool


@dataclass(frozen=True)
class Select:
    """A query. `columns` empty is `*`; texts are what stood there, for a rewritten query."""

    columns: tuple[Column, ...]
    sources: tuple[Source, ...] = ()
    where: Written | None = None
    group_by: tuple[Written, ...] = ()
    order_by: tuple[OrderTerm, ...] = ()
    offset: int = 0
    limit: int | None = None
    top: int | None = None
    is_distinct: bool = False
    from_text: str = ""
    has_offset: bool = False

    @property
    def is_value(self) -> bool:
        return len(self.columns) == 1 and self.columns[0].name is None

    @property
    def is_grouped(self) -> bool:
        return bool(self.group_by) or any(
            isinstance(node, Aggregate)
            for column in self.columns
            for node in nodes_of(column.value.expression)
        )

    @property
    def is_plain(self) -> bool:
        """Whether a document is looked at once: no JOIN, and no query inside."""
        written = [column.value for column in self.columns]
        if self.where is not None:
            written.append(self.where)
        return len(self.sources) <= 1 and not any(
            isinstance(node, Subquery) for text in written for node in nodes_of(text.expression)
        )

    @property
    def most(self) -> int | None:
        """How many rows the result has at most, TOP and LIMIT together."""
        bounds = [bound for bound in (self.top, self.limit) if bound is not None]
        return min(bounds) if bounds else None


def children_of(expression: Expression) -> Sequence[Expression]:
    """Return the parts of *expression*; a subquery's are its own."""
    match expression:
        case Member(base, key):
            return (base, key)
        case Call(_, arguments):
            return arguments
        case ArrayLiteral(items):
            return items
        case ObjectLiteral(_, values):
            return values
        case Aggregate(_, argument, _):
            return (argument,)
        case _:
            return ()


def nodes_of(expression: Expression) -> Iterator[Expression]:
    """Yield *expression* and all of its parts, none of a subquery's."""
    waiting = [expression]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(children_of(node))


def path_of(expression: Expression) -> tuple[str, tuple[str | int, ...]] | None:
    """Return the alias and the steps of a path with constant steps; None for anything else."""
    steps: list[str | int] = []
    while isinstance(expression, Member):
        if not isinstance(expression.key, Constant):
            return None
        steps.append(expression.key.value)
        expression = expression.base
    return (expression.name, tuple(reversed(steps))) if isinstance(expression, Alias) else None
