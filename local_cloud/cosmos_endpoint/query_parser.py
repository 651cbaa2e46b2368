"""Parses the part of Cosmos DB's SQL that clients of one container use.

`SELECT [TOP n] * | VALUE expression | expression [AS name], … FROM c [WHERE …] [ORDER BY path
[ASC|DESC], …] [OFFSET n LIMIT n]`; grammar after
https://learn.microsoft.com/azure/cosmos-db/nosql/query/. What is left out (JOIN, GROUP BY,
DISTINCT, subqueries) is refused by name.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    |(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    |(?P<parameter>@\w+)
    |(?P<name>[A-Za-z_]\w*)
    |(?P<sign><=|>=|!=|<>|[=<>(),.\[\]*-]))""",
    re.VERBOSE,
)
_COMPARISONS: Final = {"=", "!=", "<>", "<", "<=", ">", ">="}
_REFUSED: Final = {"JOIN", "GROUP", "DISTINCT", "UDF", "EXISTS", "LIKE"}
_FUNCTIONS: Final = {
    "IS_DEFINED": (1, 1), "IS_NULL": (1, 1), "ARRAY_CONTAINS": (2, 2), "LOWER": (1, 1),
    "UPPER": (1, 1), "STARTSWITH": (2, 3), "ENDSWITH": (2, 3), "CONTAINS": (2, 3), "COUNT": (1, 1),
}  # fmt: skip
"""Name and the least and most arguments."""
_INDEX_DIGITS_MAX: Final = 9
DEPTH_MAX: Final = 64
"""Of nested expressions: a read query is many `( … ) OR ( … )`, which is flat."""


class SqlRefused(Exception):
    """The text is not a query of this subset."""


@dataclass(frozen=True)
class ConstantValue:
    value: Any


@dataclass(frozen=True)
class PropertyPath:
    """Names and indexes below the container's alias; empty is the whole document."""

    steps: tuple[str | int, ...]


@dataclass(frozen=True)
class FunctionCall:
    """A function, an operator (`=`, `NOT`, `IN`, `BETWEEN`), or `AND`/`OR` over many."""

    name: str
    arguments: tuple["Expression", ...]


Expression = ConstantValue | PropertyPath | FunctionCall


@dataclass(frozen=True)
class Select:
    """`columns` empty is `*`; a column named None is `VALUE`."""

    columns: Sequence[tuple[str | None, Expression]]
    where: Expression | None
    order_by: Sequence[tuple[PropertyPath, bool]]
    """PropertyPath and whether it descends."""
    offset: int
    limit: int | None


def parse(text: str, parameters: Mapping[str, Any]) -> Select:
    """Return the query *text*, with *parameters* (`@name`) put in.

    Raises:
        SqlRefused: malformed, or outside the subset.
    """
    return _Parser(text, parameters).select()


class _Parser:
    def __init__(self, text: str, parameters: Mapping[str, Any]) -> None:
        self._parameters = parameters
        self._tokens = list(_tokens(text))
        self._at = 0
        self._alias = "c"
        self._depth = 0

    def select(self) -> Select:
        self._alias = self._find_alias()
        self._expect("SELECT")
        top = self._count() if self._take("TOP") else None
        columns = self._columns()
        self._expect("FROM")
        self._name()
        if self._peek() not in {"", "WHERE", "ORDER", "OFFSET"}:
            self._take("AS")
            self._name()
        where = self._expression() if self._take("WHERE") else None
        order_by = self._order() if self._take("ORDER") else []
        offset, limit = 0, top
        if self._take("OFFSET"):
            offset = self._count()
            self._expect("LIMIT")
            limit = self._count()
        if self._peek():
            raise SqlRefused(f"unexpected {self._tokens[self._at][1]!r} after the query")
        return Select(columns, where, order_by, offset, limit)

    def _find_alias(self) -> str:
        words = [value.upper() if kind == "name" else "" for kind, value in self._tokens]
        for refused in _REFUSED.intersection(words):
            raise SqlRefused(f"{refused} is not part of the embedded endpoint's SQL")
        if "FROM" not in words[:-1]:
            raise SqlRefused("a query has the form SELECT … FROM c …")
        rest = self._tokens[words.index("FROM") + 1 :]
        after = [value for kind, value in rest[:3] if kind == "name"]
        if len(after) > 2 and after[1].upper() == "AS":  # noqa: PLR2004
            return after[2]
        if len(after) > 1 and after[1].upper() not in {"WHERE", "ORDER", "OFFSET", "AS"}:
            return after[1]
        return after[0] if after else "c"

    def _columns(self) -> Sequence[tuple[str | None, Expression]]:
        if self._take("*"):
            return []
        if self._take("VALUE"):
            return [(None, self._expression())]
        columns = [self._column(0)]
        while self._take(","):
            columns.append(self._column(len(columns)))
        return columns

    def _column(self, index: int) -> tuple[str, Expression]:
        expression = self._expression()
        if self._take("AS"):
            return self._name(), expression
        if isinstance(expression, PropertyPath) and expression.steps:
            return str(expression.steps[-1]), expression
        return f"${index + 1}", expression

    def _order(self) -> list[tuple[PropertyPath, bool]]:
        self._expect("BY")
        order = [self._order_term()]
        while self._take(","):
            order.append(self._order_term())
        return order

    def _order_term(self) -> tuple[PropertyPath, bool]:
        path = self._expression()
        if not isinstance(path, PropertyPath):
            raise SqlRefused("ORDER BY takes a path")
        if self._take("DESC"):
            return path, True
        self._take("ASC")
        return path, False

    def _expression(self) -> Expression:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise SqlRefused(f"a query nests at most {DEPTH_MAX} expressions")
        terms = [self._conjunction()]
        while self._take("OR"):
            terms.append(self._conjunction())
        self._depth -= 1
        return terms[0] if len(terms) == 1 else FunctionCall("OR", tuple(terms))

    def _conjunction(self) -> Expression:
        terms = [self._condition()]
        while self._take("AND"):
            terms.append(self._condition())
        return terms[0] if len(terms) == 1 else FunctionCall("AND", tuple(terms))

    def _condition(self) -> Expression:
        if self._take("NOT"):
            negations = 1
            while self._take("NOT"):
                negations += 1
            condition = self._condition()
            for _ in range(2 - negations % 2):
                condition = FunctionCall("NOT", (condition,))
            return condition
        left = self._operand()
        if self._peek() in _COMPARISONS:
            operator = self._next()[1]
            return FunctionCall("!=" if operator == "<>" else operator, (left, self._operand()))
        negated = self._take("NOT")
        if self._take("IN"):
            condition = FunctionCall("IN", (left, *self._list()))
        elif self._take("BETWEEN"):
            low = self._operand()
            self._expect("AND")
            condition = FunctionCall("BETWEEN", (left, low, self._operand()))
        else:
            return left
        return FunctionCall("NOT", (condition,)) if negated else condition

    def _list(self) -> list[Expression]:
        self._expect("(")
        if self._take(")"):
            return []
        values = [self._expression()]
        while self._take(","):
            values.append(self._expression())
        self._expect(")")
        return values

    def _operand(self) -> Expression:
        if self._take("("):
            inner = self._expression()
            self._expect(")")
            return inner
        if self._take("-"):
            return ConstantValue(-_number(self._next()[1]))
        kind, value = self._next()
        match kind:
            case "number":
                return ConstantValue(_number(value))
            case "text":
                return ConstantValue(_text(value))
            case "parameter":
                if value not in self._parameters:
                    raise SqlRefused(f"parameter {value} has no value")
                return ConstantValue(self._parameters[value])
            case "name":
                return self._named(value)
            case _:
                raise SqlRefused(f"expected a value, got {value!r}")

    def _named(self, name: str) -> Expression:
        constants = {"TRUE": True, "FALSE": False, "NULL": None}
        if name.upper() in constants:
            return ConstantValue(constants[name.upper()])
        if self._peek() == "(":
            return self._call(name.upper())
        if name != self._alias:
            raise SqlRefused(f"{name!r} is not the alias {self._alias!r} of the container")
        return PropertyPath(tuple(self._steps()))

    def _call(self, name: str) -> FunctionCall:
        arguments = self._list()
        least, most = _FUNCTIONS.get(name, (0, -1))
        if not least <= len(arguments) <= most:
            raise SqlRefused(
                f"{name} with {len(arguments)} arguments is not part of the embedded endpoint's SQL"
            )
        return FunctionCall(name, tuple(arguments))

    def _steps(self) -> list[str | int]:
        steps: list[str | int] = []
        while True:
            if self._take("."):
                steps.append(self._name())
            elif self._take("["):
                kind, value = self._next()
                steps.append(_index(value) if kind == "number" else _text(value))
                self._expect("]")
            else:
                return steps

    def _count(self) -> int:
        operand = self._operand()
        value = operand.value if isinstance(operand, ConstantValue) else None
        if not isinstance(value, int) or value < 0:
            raise SqlRefused("TOP, OFFSET and LIMIT take a whole number")
        return value

    def _peek(self) -> str:
        if self._at >= len(self._tokens):
            return ""
        kind, value = self._tokens[self._at]
        return value.upper() if kind == "name" else value if kind == "sign" else f"({kind})"

    def _take(self, word: str) -> bool:
        if self._peek() != word:
            return False
        self._at += 1
        return True

    def _expect(self, word: str) -> None:
        if not self._take(word):
            raise SqlRefused(f"expected {word}, got {self._peek() or 'the end'!r}")

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise SqlRefused("the query ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _name(self) -> str:
        kind, value = self._next()
        if kind != "name":
            raise SqlRefused(f"expected a name, got {value!r}")
        return value


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise SqlRefused(f"cannot read the query at {text[at : at + 20]!r}")
        kind = match.lastgroup or ""
        tokens.append((kind, match[kind]))
        at = match.end()
    return tokens


def _index(text: str) -> int:
    if not text.isdecimal() or len(text) > _INDEX_DIGITS_MAX:
        raise SqlRefused(f"an index is a whole number, got {text[:40]}")
    return int(text)


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        pass  # with a fraction, or thousands of digits
    try:
        return float(text)
    except ValueError as problem:
        raise SqlRefused(f"expected a number, got {text[:40]!r}") from problem


def _text(quoted: str) -> str:
    inner = quoted[1:-1]
    if quoted[0] == "'":
        inner = inner.replace("\\'", "'").replace('"', '\\"')
    try:
        return str(json.loads(f'"{inner}"'))
    except ValueError as problem:
        raise SqlRefused(f"not a text: {quoted[:40]}") from problem
