"""The string functions.

https://learn.microsoft.com/azure/cosmos-db/nosql/query/system-functions#string-functions
"""

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from pydantic_core import SchemaError, SchemaValidator, core_schema

from local_cloud.cosmos_endpoint.query.errors import SqlRefused
from local_cloud.cosmos_endpoint.query.signatures import ANY_NUMBER, Function, of_text
from local_cloud.cosmos_endpoint.query.values import UNDEFINED, finite, is_number, number, whole

_REPLICATE_MAX: Final = 10_000
_TEXT_MAX: Final = 2 * 1024 * 1024
"""A bound on what CONCAT and REPLACE make, which may stand inside one another."""
_PATTERN_MAX: Final = 2_000
_WILDCARDS: Final = {"%": ".*", "_": "."}
_MODIFIERS: Final = frozenset("imsx")


def bounded_text(text: str) -> str:
    """Return *text* unless it is longer than a document may be. Raises SqlRefused."""
    if len(text) > _TEXT_MAX:
        raise SqlRefused(f"a text that a query makes has at most {_TEXT_MAX} characters")
    return text


def _test(test: Callable[[str, str], bool]) -> Function:
    """Return a test of two texts, whose third argument says whether case is ignored."""

    def apply(text: Any, part: Any, ignores_case: Any = False) -> Any:  # noqa: FBT002  SQL
        if not isinstance(text, str) or not isinstance(part, str):
            return UNDEFINED
        if not isinstance(ignores_case, bool):
            return UNDEFINED
        return test(text.lower(), part.lower()) if ignores_case else test(text, part)

    return Function(2, 3, apply)


def _contains_each(combine: Callable[..., bool], *, ignores_case: bool) -> Function:
    def apply(text: Any, *parts: Any) -> Any:
        if not all(isinstance(value, str) for value in (text, *parts)):
            return UNDEFINED
        if ignores_case:
            return combine(part.lower() in text.lower() for part in parts)
        return combine(part in text for part in parts)

    return Function(2, ANY_NUMBER, apply)


def _substring(text: Any, start: Any, length: Any) -> Any:
    first, count = whole(start), whole(length)
    if not isinstance(text, str) or first is None or count is None:
        return UNDEFINED
    return text[first : first + count] if first >= 0 and count > 0 else ""


def _right(text: Any, length: Any) -> Any:
    count = whole(length)
    if not isinstance(text, str) or count is None:
        return UNDEFINED
    return text[max(len(text) - count, 0) :] if count > 0 else ""


def _index_of(text: Any, part: Any, start: Any = 0) -> Any:
    first = whole(start)
    if not isinstance(text, str) or not isinstance(part, str) or first is None or first < 0:
        return UNDEFINED
    return text.find(part, first)


def _replicate(text: Any, count: Any) -> Any:
    times = whole(count)
    if not isinstance(text, str) or times is None or times < 0:
        return UNDEFINED
    return text * times if max(len(text), 1) * times <= _REPLICATE_MAX else UNDEFINED


def _replaced(text: str, part: str, by: str) -> Any:
    if not part:
        return UNDEFINED
    bounded_text(" " * min(len(text) + text.count(part) * len(by), _TEXT_MAX + 1))
    return text.replace(part, by)


def to_text(value: Any) -> str:
    """Return *value* as `ToString` does."""
    if isinstance(value, str):
        return value
    shown = number(value) if is_number(value) else value
    return json.dumps(shown, separators=(",", ":"), ensure_ascii=False)


def _parsed(*types: type) -> Function:
    """Return the function that reads JSON of one of *types* from a text."""

    def parse(text: str) -> Any:
        try:
            value = json.loads(text, parse_constant=_no_constant, parse_float=finite)
        except (ValueError, RecursionError):
            return UNDEFINED
        return value if type(value) in types else UNDEFINED

    return of_text(parse)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _joined(items: Any, between: Any) -> Any:
    if not isinstance(items, list) or not isinstance(between, str):
        return UNDEFINED
    if not all(isinstance(item, str) for item in items):
        return UNDEFINED
    bounded_text(" " * min(sum(map(len, items)) + len(between) * len(items), _TEXT_MAX + 1))
    return between.join(items)


def _split(text: str, at: str) -> Any:
    return text.split(at) if at else UNDEFINED


def like(text: Any, pattern: Any, escape: Any = "") -> Any:
    """Return whether *text* has the form of *pattern*: `%`, `_`, `[a-f]`, `[^a]`.

    https://learn.microsoft.com/azure/cosmos-db/nosql/query/keywords#like
    """
    if not all(isinstance(value, str) for value in (text, pattern, escape)):
        return UNDEFINED
    return _regex(_like_pattern(pattern, escape), "s").isinstance_python(text)


@lru_cache(maxsize=64)
def _like_pattern(pattern: str, escape: str) -> str:
    """Return the regular expression of a LIKE *pattern*."""
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        sign = pattern[at]
        at += 1
        if escape and sign == escape and at < len(pattern):
            parts.append(_literal(pattern[at]))
            at += 1
        elif sign in _WILDCARDS:
            parts.append(_WILDCARDS[sign])
        elif sign == "[" and (end := pattern.find("]", at)) > at:
            parts.append(_class_of(pattern[at:end]))
            at = end + 1
        else:
            parts.append(_literal(sign))
    return rf"\A{''.join(parts)}\z"


def _class_of(text: str) -> str:
    negated = text.startswith("^") and len(text) > 1
    text = text[1:] if negated else text
    ranges: list[str] = []
    at = 0
    while at < len(text):
        if text[at + 1 : at + 2] == "-" and at + 2 < len(text):
            ranges.append(f"{_literal(text[at])}-{_literal(text[at + 2])}")
            at += 3
        else:
            ranges.append(_literal(text[at]))
            at += 1
    return f"[{'^' if negated else ''}{''.join(ranges)}]"


def _literal(sign: str) -> str:
    return sign if sign.isalnum() else rf"\x{{{ord(sign):x}}}"


def _regex_match(text: str, pattern: str, modifiers: str = "") -> Any:
    if not _MODIFIERS.issuperset(modifiers):
        return UNDEFINED
    return _regex(pattern, "".join(sorted(set(modifiers)))).isinstance_python(text)


@lru_cache(maxsize=64)
def _regex(pattern: str, modifiers: str) -> SchemaValidator:
    """Return what searches for *pattern*.

    Python's own engine may search for hours, and holds everything up meanwhile; the one inside
    pydantic takes time in proportion to the text, and has no look-around and back references.
    """
    if len(pattern) > _PATTERN_MAX:
        raise SqlRefused(f"a pattern has at most {_PATTERN_MAX} characters")
    written = f"(?{modifiers}){pattern}" if modifiers else pattern
    try:
        return SchemaValidator(core_schema.str_schema(pattern=written))
    except SchemaError as problem:
        raise SqlRefused(f"this pattern is not served here: {pattern[:80]!r}") from problem


TEXT_FUNCTIONS: Final[Mapping[str, Function]] = {
    "CONCAT": of_text(lambda *texts: bounded_text("".join(texts)), 2, ANY_NUMBER),
    "CONTAINS": _test(lambda text, part: part in text),
    "CONTAINS_ALL_CI": _contains_each(all, ignores_case=True),
    "CONTAINS_ALL_CS": _contains_each(all, ignores_case=False),
    "CONTAINS_ANY_CI": _contains_each(any, ignores_case=True),
    "CONTAINS_ANY_CS": _contains_each(any, ignores_case=False),
    "ENDSWITH": _test(str.endswith),
    "INDEX_OF": Function(2, 3, _index_of),
    "LASTINDEXOF": of_text(str.rfind, 2),
    "LEFT": Function(2, 2, lambda text, count: _substring(text, 0, count)),
    "LENGTH": of_text(len),
    "LIKE": Function(2, 3, like),
    "LOWER": of_text(str.lower),
    "LTRIM": of_text(str.lstrip, 1, 2),
    "REGEXMATCH": of_text(_regex_match, 2, 3),
    "REPLACE": of_text(_replaced, 3),
    "REPLICATE": Function(2, 2, _replicate),
    "REVERSE": of_text(lambda text: text[::-1]),
    "RIGHT": Function(2, 2, _right),
    "RTRIM": of_text(str.rstrip, 1, 2),
    "STARTSWITH": _test(str.startswith),
    "STRINGEQUALS": _test(str.__eq__),
    "STRINGJOIN": Function(2, 2, _joined),
    "STRINGSPLIT": of_text(_split, 2),
    "STRINGTOARRAY": _parsed(list),
    "STRINGTOBOOLEAN": _parsed(bool),
    "STRINGTONULL": _parsed(type(None)),
    "STRINGTONUMBER": _parsed(int, float),
    "STRINGTOOBJECT": _parsed(dict),
    "SUBSTRING": Function(3, 3, _substring),
    "TOSTRING": Function(1, 1, to_text),
    "TRIM": of_text(str.strip, 1, 2),
    "UPPER": of_text(str.upper),
    "||": of_text(lambda *texts: bounded_text("".join(texts)), 2),
}
