"""Parses expressions. A subquery inside one is left to `parser`, which parses whole queries.

Precedence, loosest first: `?:`, `??`, OR, AND, NOT, IN/BETWEEN/LIKE, `|`, `^`, `&`, equality,
comparison, shifts, `+ - ||`, `* / %`, unary. Bits are looser than comparisons, as in JavaScript.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final

from local_cloud.cosmos_endpoint.query.errors import SqlRefused
from local_cloud.cosmos_endpoint.query.functions import checked_call
from local_cloud.cosmos_endpoint.query.syntax import (
    AGGREGATES,
    Aggregate,
    Alias,
    ArrayLiteral,
    Call,
    Constant,
    Expression,
    Member,
    ObjectLiteral,
    Select,
    Subquery,
)
from local_cloud.cosmos_endpoint.query.tokens import Token, number_of, text_of, tokens_of
from local_cloud.cosmos_endpoint.query.values import UNDEFINED

DEPTH_MAX: Final = 64
"""Of nested expressions: a read query is many `( … ) OR ( … )`, which is flat."""
_CHAIN_MAX: Final = 100
"""Of operators that hold one another, `a - b - c`, which nest without parentheses."""
_LEVELS: Final[Mapping[str, int]] = {
    "|": 1, "^": 2, "&": 3, "=": 4, "!=": 4, "<>": 4, "<": 5, "<=": 5, ">": 5, ">=": 5,
    "<<": 6, ">>": 6, ">>>": 6, "+": 7, "-": 7, "||": 7, "*": 8, "/": 8, "%": 8,
}  # fmt: skip
_LOGICAL: Final[Mapping[str, int]] = {"??": 1, "OR": 2, "AND": 3}
_CONSTANTS: Final = {"TRUE": True, "FALSE": False, "NULL": None, "UNDEFINED": UNDEFINED}
_CLAUSES: Final = frozenset(
    {
        "AND", "AS", "ASC", "BETWEEN", "BY", "DESC", "DISTINCT", "ESCAPE", "FROM", "GROUP", "IN",
        "JOIN", "LIKE", "LIMIT", "NOT", "OFFSET", "OR", "ORDER", "SELECT", "TOP", "VALUE", "WHERE",
        *_CONSTANTS,
    }
)  # fmt: skip
"""Words of the language, which are no aliases."""


class ExpressionParser(ABC):
    """The tokens of one query, and how far they were read."""

    def __init__(self, text: str, parameters: Mapping[str, Any]) -> None:
        self._text = text
        self._parameters = parameters
        self._tokens: Sequence[Token] = tokens_of(text)
        self._at = 0
        self._depth = 0
        self._aliases: list[str] = []

    @abstractmethod
    def _subselect(self) -> Select:
        """Parse a query whose FROM may use the aliases around it."""

    def _expression(self) -> Expression:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise SqlRefused(f"a query nests at most {DEPTH_MAX} expressions")
        left = self._logical(1)
        if self._take("?"):
            middle = self._expression()
            self._expect(":")
            left = Call("?:", (left, middle, self._expression()))
        self._depth -= 1
        return left

    def _logical(self, level: int) -> Expression:
        """Parse conditions joined by words of *level* and above; one call holds a whole chain."""
        left = self._condition()
        while (at := _LOGICAL.get(self._peek(), 0)) >= level:
            word = self._peek()
            parts = [left]
            while self._take(word):
                parts.append(self._logical(at + 1))
            left = Call(word, tuple(parts))
        return left

    def _condition(self) -> Expression:
        negations = 0
        while self._take("NOT"):
            negations += 1
        condition = self._compared()
        for _ in range(negations if negations < 2 else 2 - negations % 2):  # noqa: PLR2004
            condition = Call("NOT", (condition,))
        return condition

    def _compared(self) -> Expression:
        left = self._binary(1)
        negated = self._peek() == "NOT" and self._peek(1) in {"IN", "BETWEEN", "LIKE"}
        if negated:
            self._at += 1
        if self._take("IN"):
            self._expect("(")
            condition = Call("IN", (left, *self._list(")")))
        elif self._take("BETWEEN"):
            low = self._binary(1)
            self._expect("AND")
            condition = Call("BETWEEN", (left, low, self._binary(1)))
        elif self._take("LIKE"):
            arguments = [left, self._binary(1)]
            if self._take("ESCAPE"):
                arguments.append(self._binary(1))
            condition = Call("LIKE", tuple(arguments))
        else:
            return left
        return Call("NOT", (condition,)) if negated else condition

    def _binary(self, level: int) -> Expression:
        left = self._unary()
        links = 0
        while (at := _LEVELS.get(self._peek(), 0)) >= level:
            links += 1
            if links > _CHAIN_MAX:
                raise SqlRefused(f"a chain has at most {_CHAIN_MAX} operators")
            sign = self._next().word
            left = Call("!=" if sign == "<>" else sign, (left, self._binary(at + 1)))
        return left

    def _unary(self) -> Expression:
        signs = []
        while self._peek() in {"-", "+", "~"}:
            signs.append(self._next().word)
            if len(signs) > _CHAIN_MAX:
                raise SqlRefused(f"a chain has at most {_CHAIN_MAX} operators")
        value = self._postfixed(self._primary())
        for sign in reversed(signs):
            value = Call(f"unary {sign}", (value,))
        return value

    def _postfixed(self, value: Expression) -> Expression:
        steps = 0
        while True:
            if self._take("."):
                value = Member(value, Constant(self._name()))
            elif self._take("["):
                value = Member(value, self._expression())
                self._expect("]")
            else:
                return value
            steps += 1
            if steps > _CHAIN_MAX:
                raise SqlRefused(f"a path has at most {_CHAIN_MAX} steps")

    def _primary(self) -> Expression:  # noqa: PLR0911  one for each kind
        token = self._next()
        match token.word:
            case "(number)":
                return Constant(number_of(token.text))
            case "(text)":
                return Constant(text_of(token.text))
            case "(parameter)":
                return Constant(self._parameter(token.text))
            case "(":
                return self._parenthesized()
            case "[":
                return ArrayLiteral(tuple(self._list("]")))
            case "{":
                return self._object()
            case _ if token.kind == "name":
                return self._named(token)
        raise self._syntax_error(token)

    def _parameter(self, name: str) -> Any:
        if name not in self._parameters:
            raise SqlRefused(f"parameter {name} has no value")
        return self._parameters[name]

    def _parenthesized(self) -> Expression:
        if self._peek() == "SELECT":
            return self._subquery("VALUE")
        inner = self._expression()
        self._expect(")")
        return inner

    def _subquery(self, kind: str) -> Subquery:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise SqlRefused(f"a query nests at most {DEPTH_MAX} expressions")
        select = self._subselect()
        self._depth -= 1
        self._expect(")")
        return Subquery(kind, select)

    def _object(self) -> ObjectLiteral:
        names: list[str] = []
        values: list[Expression] = []
        while not self._take("}"):
            if names:
                self._expect(",")
            token = self._next()
            if token.kind not in {"text", "name"}:
                raise self._syntax_error(token)
            names.append(text_of(token.text) if token.kind == "text" else token.text)
            self._expect(":")
            values.append(self._expression())
        return ObjectLiteral(tuple(names), tuple(values))

    def _named(self, token: Token) -> Expression:
        word = token.word
        if self._peek() == "(" and word not in _CLAUSES:
            return self._call(word)
        if token.text in self._aliases:
            return Alias(token.text)
        if word in _CONSTANTS:
            return Constant(_CONSTANTS[word])
        if word == "UDF" and self._peek() == ".":
            raise SqlRefused("user-defined functions are not served here")
        if word in _CLAUSES:
            raise self._syntax_error(token)
        raise SqlRefused(f"Identifier {token.text!r} could not be resolved.")

    def _call(self, name: str) -> Expression:
        self._expect("(")
        if name in {"EXISTS", "ARRAY"}:
            return self._subquery(name)
        start = self._tokens[self._at].start
        arguments = self._list(")")
        if name not in AGGREGATES:
            return checked_call(name, tuple(arguments))
        if len(arguments) != 1:
            raise SqlRefused(f"The {name} function requires 1 argument(s).")
        end = self._tokens[self._at - 1].start
        return Aggregate(name, arguments[0], self._text[start:end].strip())

    def _list(self, end: str) -> list[Expression]:
        values: list[Expression] = []
        while not self._take(end):
            if values:
                self._expect(",")
            values.append(self._expression())
        return values

    def _is_alias(self) -> bool:
        token = self._tokens[self._at]
        return token.kind == "name" and token.word not in _CLAUSES

    def _peek(self, ahead: int = 0) -> str:
        return self._tokens[min(self._at + ahead, len(self._tokens) - 1)].word

    def _take(self, word: str) -> bool:
        if self._tokens[self._at].word != word:
            return False
        self._at += 1
        return True

    def _expect(self, word: str) -> None:
        if not self._take(word):
            raise self._syntax_error(self._tokens[self._at])

    def _next(self) -> Token:
        token = self._tokens[self._at]
        if token.kind == "end":
            raise self._syntax_error(token)
        self._at += 1
        return token

    def _name(self) -> str:
        token = self._next()
        if token.kind != "name":
            raise self._syntax_error(token)
        return token.text

    def _syntax_error(self, token: Token) -> SqlRefused:
        near = repr(token.text[:40]) if token.text else "the end"
        return SqlRefused(f"Syntax error, incorrect syntax near {near}.")
