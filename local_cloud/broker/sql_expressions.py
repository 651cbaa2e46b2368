"""Reads the SQL of subscription rules, as far as conditions go, into a function of a message.

A value is text, a number, a boolean or None, which stands for NULL and for *unknown*: what a
message lacks, and what comes of it. `NOT`, `AND` and `OR` follow three-valued logic.
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-messaging-sql-filter
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from local_cloud.broker.sql_operators import BINARY, Value, is_like, negated, opposite
from shared.kernel.errors import Invalid

LENGTH_MAX: Final = 1024
"""Of a condition, as in Service Bus."""
_DEPTH_MAX: Final = 32
SYSTEM_PROPERTIES: Final[Mapping[str, str]] = {
    "messageid": "message_id", "label": "subject", "subject": "subject", "to": "to",
    "replyto": "reply_to", "correlationid": "correlation_id", "contenttype": "content_type",
    "sessionid": "session_id", "replytosessionid": "reply_to_session_id",
}  # fmt: skip
"""What `sys.` reaches, by its name in lower case."""
_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      | '(?P<text>(?:[^']|'')*)'
      | \[(?P<bracketed>(?:[^\]]|\]\])+)\]
      | "(?P<quoted>(?:[^"]|"")+)"
      | (?P<word>[A-Za-z_][A-Za-z0-9_@\#$]*)
      | (?P<sign><>|!=|>=|<=|[=<>+\-*/%(),.])
    )""",
    re.VERBOSE,
)
_KEYWORDS: Final = frozenset(
    ["AND", "OR", "NOT", "IS", "NULL", "IN", "LIKE", "ESCAPE", "EXISTS", "TRUE", "FALSE"]
)  # fmt: skip
_COMPARISONS: Final = ("=", "<>", "!=", ">", ">=", "<", "<=")

Condition = Callable[[Any], Value]
"""What a condition is of a message: an object with the fields of `SYSTEM_PROPERTIES`' values and
with `application_properties`."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str

    def is_sign(self, *texts: str) -> bool:
        return self.kind in {"sign", "keyword"} and self.text in texts


_END: Final = _Token("end", "the end")


def condition(text: str) -> Condition:
    """Return what *text* says. Raises Invalid, naming the place."""
    if len(text) > LENGTH_MAX:
        raise Invalid(f"the condition has {len(text)} characters, expected at most {LENGTH_MAX}")
    reader = _Reader(_tokens(text))
    read = reader.disjunction()
    reader.expect_end()
    return read


def _tokens(text: str) -> Sequence[_Token]:
    tokens, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise Invalid(f"SQL condition, character {at + 1}: {text[at : at + 10]!r} is unknown")
        kind = str(match.lastgroup)
        token = match[kind]
        if kind == "word" and token.upper() in _KEYWORDS:
            kind, token = "keyword", token.upper()
        elif kind == "text":
            token = token.replace("''", "'")
        elif kind in {"bracketed", "quoted"}:
            kind, token = "word", token.replace("]]", "]").replace('""', '"')
        tokens.append(_Token(kind, token))
        at = match.end()
    return tokens


class _Reader:
    """Reads tokens by descent: what binds loosest comes first."""

    def __init__(self, tokens: Sequence[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else _END

    def _take(self, *texts: str) -> str | None:
        token = self._next
        if token.is_sign(*texts):
            self._at += 1
            return token.text
        return None

    def _expect(self, text: str) -> None:
        if self._take(text) is None:
            raise Invalid(f"SQL condition: expected {text}, found {self._next.text[:40]!r}")

    def expect_end(self) -> None:
        if self._next is not _END:
            raise Invalid(f"SQL condition: expected the end, found {self._next.text[:40]!r}")

    def disjunction(self) -> Condition:
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise Invalid(f"SQL condition: more than {_DEPTH_MAX} conditions in each other")
        left = self._conjunction()
        while self._take("OR"):
            left = _binary("OR", left, self._conjunction())
        self._depth -= 1
        return left

    def _conjunction(self) -> Condition:
        left = self._negation()
        while self._take("AND"):
            left = _binary("AND", left, self._negation())
        return left

    def _negation(self) -> Condition:
        is_negated = False
        while self._take("NOT"):
            is_negated = not is_negated
        read = self._predicate()
        # Twice negated is once read: unknown stays unknown either way.
        return _applied(opposite, read) if is_negated else read

    def _predicate(self) -> Condition:
        if self._take("EXISTS"):
            self._expect("(")
            value = self._primary()
            self._expect(")")
            return lambda message: value(message) is not None
        left = self._sum()
        if sign := self._take(*_COMPARISONS):
            return _binary(sign, left, self._sum())
        if self._take("IS"):
            wants_value = self._take("NOT") is not None
            self._expect("NULL")
            return lambda message: (left(message) is not None) is wants_value
        is_negated = self._take("NOT") is not None
        if self._take("IN"):
            read = self._member_of(left)
        elif self._take("LIKE"):
            read = self._like(left)
        elif is_negated:
            raise Invalid("SQL condition: expected IN or LIKE after NOT")
        else:
            return left
        return _applied(opposite, read) if is_negated else read

    def _member_of(self, left: Condition) -> Condition:
        self._expect("(")
        read = _binary("=", left, self._sum())
        while self._take(","):
            read = _binary("OR", read, _binary("=", left, self._sum()))
        self._expect(")")
        return read

    def _like(self, left: Condition) -> Condition:
        pattern = self._sum()
        escape = self._sum() if self._take("ESCAPE") else lambda _message: ""
        return lambda message: is_like(left(message), pattern(message), escape(message))

    def _sum(self) -> Condition:
        left = self._product()
        while sign := self._take("+", "-"):
            left = _binary(sign, left, self._product())
        return left

    def _product(self) -> Condition:
        left = self._signed()
        while sign := self._take("*", "/", "%"):
            left = _binary(sign, left, self._signed())
        return left

    def _signed(self) -> Condition:
        is_negative = False
        while sign := self._take("+", "-"):
            is_negative = is_negative is not (sign == "-")
        read = self._primary()
        return _applied(negated, read) if is_negative else read

    def _primary(self) -> Condition:
        if self._take("("):
            read = self.disjunction()
            self._expect(")")
            return read
        token = self._next
        self._at += 1
        constants: dict[str, Value] = {"TRUE": True, "FALSE": False, "NULL": None}
        if token.kind == "keyword" and token.text in constants:
            return _constant(constants[token.text])
        if token.kind == "number":
            return _constant(_number(token.text))
        if token.kind == "text":
            return _constant(token.text)
        if token.kind == "word":
            return self._property(token.text)
        raise Invalid(f"SQL condition: expected a value, found {token.text[:40]!r}")

    def _property(self, name: str) -> Condition:
        scope = ""
        if self._take("("):
            return self._function(name)
        if self._take("."):
            scope, token = name.lower(), self._next
            self._at += 1
            if token.kind not in {"word", "keyword"}:
                raise Invalid(f"SQL condition: expected a property after {name[:40]}.")
            name = token.text
        if scope == "sys":
            return _system_property(name)
        if scope not in {"", "user"}:
            raise Invalid(f"SQL condition: {scope[:40]!r} is no scope, expected sys or user")
        return lambda message: _user_property(message.application_properties, name)

    def _function(self, name: str) -> Condition:
        if name.lower() not in {"p", "property"}:
            raise Invalid(f"SQL condition: function {name[:40]!r} is not served here")
        token = self._next
        self._at += 1
        self._expect(")")
        if token.kind not in {"word", "text"}:
            raise Invalid("SQL condition: expected the name of a property")
        return lambda message: _user_property(message.application_properties, token.text)


def _constant(value: Value) -> Condition:
    return lambda _message: value


def _applied(function: Callable[[Value], Value], read: Condition) -> Condition:
    return lambda message: function(read(message))


def _binary(sign: str, left: Condition, right: Condition) -> Condition:
    function = BINARY[sign]
    return lambda message: function(left(message), right(message))


def _number(text: str) -> Value:
    if text.lower().startswith("0x"):
        return int(text, 16)
    return int(text) if text.isdecimal() else float(text)


def _system_property(name: str) -> Condition:
    field = SYSTEM_PROPERTIES.get(name.lower())
    if field is None:
        known = ", ".join(SYSTEM_PROPERTIES)
        raise Invalid(f"SQL condition: sys.{name[:40]} is not served here; served: {known}")
    return lambda message: getattr(message, field, "") or None


def _user_property(properties: Mapping[str, Any], name: str) -> Value:
    """Return a property whatever the case of its name, None where there is none."""
    if name in properties:
        return _plain(properties[name])
    for key, value in properties.items():
        if key.lower() == name.lower():
            return _plain(value)
    return None


def _plain(value: Any) -> Value:
    return value if isinstance(value, str | bool | int | float) else None
