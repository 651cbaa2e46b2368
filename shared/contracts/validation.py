"""Parses JSON into a contract type, or refuses it with one violation per field.

Bytes are bounded before types are looked at: a refusal of each of 300,000 items would hold up every
other caller for seconds.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, to_json

from shared.contracts.patterns import words_of
from shared.contracts.shape import Command
from shared.kernel.errors import Invalid, Violation

DEPTH_MAX: Final = 32
"""Our deepest type has 9 levels; 32 leaves room for free JSON and for nothing hostile."""
ITEMS_MAX: Final = 1000
"""Of one array or object; the longest list of a command has 200."""
VALUES_MAX: Final = 10_000
"""Of a whole body: 50 components with 50 variables, 64 words of command and all their settings."""
DETAILS_MAX: Final = 50
MISTAKES_MAX: Final = 1000
"""To look at the mistakes of a body takes three times as long as to find them."""
RECEIVED_MAX: Final = 120
SEGMENT_MAX: Final = 128
"""Unknown field names come from the caller, so a pointer cuts them."""
SECRET_NAMES: Final = re.compile(
    r"secret|password|passwd|pwd|token|credential|connectionstring|apikey|privatekey|accesskey"
    r"|authorization|signature|\bsas\b|^pem$|^key$",
    re.IGNORECASE,
)
"""The value of a field with such a name, or below one, is never echoed.

The kind of a generator is: it is one of a few words, and a slip in it is to be seen.
"""
FREE_FORM: Final = frozenset({"values", "settings", "value", "generator", "command"})
"""Fields whose content is the caller's own and may be a secret under any name."""

_NOT_STRUCTURE: Final = bytes(set(range(256)) - set(b'"[]{}'))
_STEP: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_Model = TypeVar("_Model", bound=BaseModel)

_EXPECTED: Final = {
    "missing": "a value",
    "extra_forbidden": "no such field",
    "json_invalid": "JSON",
    "string_type": "a string",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_parsing": "true or false",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "tuple_type": "an array",
    "list_type": "an array",
    "dict_type": "an object",
    "mapping_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "timezone_aware": "an instant with Z or an offset",
    "datetime_from_date_parsing": "an ISO 8601 instant",
    "datetime_parsing": "an ISO 8601 instant",
    "datetime_type": "an ISO 8601 instant",
    "time_delta_parsing": "an ISO 8601 duration such as PT5M",
    "time_delta_type": "an ISO 8601 duration such as PT5M",
}
_CODES: Final = {
    "missing": "Required",
    "extra_forbidden": "UnknownField",
    "json_invalid": "MalformedJson",
    "enum": "NotAllowed",
    "literal_error": "NotAllowed",
    "string_pattern_mismatch": "PatternMismatch",
    "value_error": "RuleBroken",
}
_KINDS: Final = {type(None): "null", bool: "a boolean", int: "a number", float: "a number"}
_BOUNDS: Final = {
    "ge": "at least",
    "gt": "more than",
    "le": "at most",
    "lt": "less than",
}


def parse(model: type[_Model], data: bytes) -> _Model:
    """Return *data*, JSON in UTF-8, as *model*; JSON types mean what they say (`"5"` is no 5).

    Commands and values refuse unknown fields, events and resources leave them out.

    Raises:
        Invalid: with a violation per field (at most 50).
    """
    _require_bounds(data)
    try:
        return model.model_validate_json(data, strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        raise invalid(error) from error


def read(model: type[_Model], value: object, *, at: str = "") -> _Model:
    """Return *value*, decoded JSON that stood at the pointer *at*, as *model*.

    For a part of something already parsed, such as an envelope's payload. A command is read as
    strictly as `parse` reads one; an event may come from others, and from versions before.

    Raises:
        Invalid: as `parse` does, with targets below *at*.
    """
    try:
        if issubclass(model, Command):
            text = to_json(value, by_alias=True)
            return model.model_validate_json(text, strict=True, by_alias=True, by_name=False)
        return model.model_validate(value, by_alias=True, by_name=False)
    except ValidationError as error:
        raise invalid(error, at=at) from error


def is_small(data: bytes) -> bool:
    """Return whether *data* is within all bounds, however its brackets and commas stand."""
    has_few_items = len(data) < 2 * ITEMS_MAX or data.count(b",") < ITEMS_MAX  # a sign, a comma
    return has_few_items and data.count(b"{") + data.count(b"[") <= DEPTH_MAX


def _require_bounds(data: bytes) -> None:
    """Refuse a body that is too deep, or has too much in it, or a name twice in one object."""
    _require_few_brackets(data)
    if data.count(b",") > VALUES_MAX and b"".join(data.split(b'"')[::2]).count(b",") > VALUES_MAX:
        raise _too_many_values()
    try:
        whole = _DECODER.decode(data.decode())
    except (ValueError, RecursionError):
        return  # it is no JSON, which the parser of the types says with its place
    if isinstance(whole, list):
        _require_few(whole)


def _checked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return one object of the body, checked with what it directly holds."""
    _require_few(pairs)
    named = dict(pairs)
    if len(named) < len(pairs):
        name = Counter(name for name, _ in pairs).most_common(1)[0][0]
        message = f"{name[:SEGMENT_MAX]!r} stands twice in one object"
        raise _refusal(message, "each name once", "twice", code="RepeatedField")
    for value in named.values():
        if isinstance(value, list):
            _require_few(value)
    return named


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_checked, parse_int=str, parse_float=str)


def _require_few(items: Sequence[object]) -> None:
    if len(items) > ITEMS_MAX:
        expected = f"at most {ITEMS_MAX} items in one array or object"
        raise _refusal("the body has too much in it", expected, str(len(items)), code="TooMany")


def _too_many_values() -> Invalid:
    expected = f"at most {VALUES_MAX} values"
    return _refusal("the body has too much in it", expected, "more", code="TooMany")


def _refusal(message: str, expected: str, received: str, *, code: str) -> Invalid:
    violation = Violation(code, "", message, expected, received)
    return Invalid(f"{message}: expected {expected}", code=code, details=[violation])


def _require_few_brackets(data: bytes) -> None:
    """Look at brackets outside strings only, without a copy when there are few of them."""
    if data.count(b"{") + data.count(b"[") <= DEPTH_MAX:
        return
    unescaped = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside_strings = b"".join(unescaped.translate(None, _NOT_STRUCTURE).split(b'"')[::2])
    looked_at = outside_strings[: 2 * VALUES_MAX]
    if any(depth > DEPTH_MAX for depth in accumulate(_STEP[byte] for byte in looked_at)):
        expected = f"at most {DEPTH_MAX} levels of nesting"
        raise _refusal("the body is nested too deep", expected, "more", code="TooDeep")
    if len(looked_at) < len(outside_strings):
        raise _too_many_values()


def invalid(error: ValidationError, *, at: str = "") -> Invalid:
    """Return *error* as a refusal; *at* is the JSON pointer of what was validated."""
    if (count := error.error_count()) > MISTAKES_MAX:
        expected = f"at most {MISTAKES_MAX} mistakes"
        return _refusal(
            "the body has more mistakes than are named", expected, str(count), code="TooMany"
        )
    errors = error.errors(include_url=False)
    own = [detail for detail in errors if not _follows(detail, errors)]
    details = [_violation(detail, at) for detail in own[:DETAILS_MAX]]
    first = details[0]
    more = f" (and {len(own) - 1} more)" if len(own) > 1 else ""
    where = first.target or "the body"
    return Invalid(f"{where}: {first.message}{more}", target=first.target, details=details)


def pointer(*segments: str | int) -> str:
    """Return *segments* as a JSON pointer (RFC 6901)."""
    return "".join(
        "/" + str(part)[:SEGMENT_MAX].replace("~", "~0").replace("/", "~1") for part in segments
    )


def _follows(detail: ErrorDetails, errors: list[ErrorDetails]) -> bool:
    """Return whether a list is only too short because pydantic left out its wrong items."""
    at = detail["loc"]
    return detail["type"] == "too_short" and any(
        len(other["loc"]) > len(at) and other["loc"][: len(at)] == at for other in errors
    )


def _violation(detail: ErrorDetails, at: str) -> Violation:
    kind = detail["type"]
    expected = _expected(detail)
    received = _received(detail)
    return Violation(
        code=_CODES.get(kind, "OutOfBounds" if _is_bound(detail) else "WrongType"),
        target=at + pointer(*detail["loc"]),
        message=_message(kind, expected, received),
        expected=expected,
        received=received,
    )


def _message(kind: str, expected: str, received: str) -> str:
    if kind == "missing":
        return "a value is missing"
    if kind == "extra_forbidden":
        return "there is no such field"
    is_structure = received.startswith(("an object", "an array"))
    if kind == "value_error" and is_structure:
        return expected
    return f"expected {expected}, received {received}"


def _context(detail: ErrorDetails) -> dict[str, Any]:
    return detail.get("ctx", {})


def _is_bound(detail: ErrorDetails) -> bool:
    return bool(_context(detail).keys() & {*_BOUNDS, "max_length", "min_length"})


def _expected(detail: ErrorDetails) -> str:
    context = _context(detail)
    match detail["type"]:
        case "string_pattern_mismatch":
            return words_of(context["pattern"])
        case "enum" | "literal_error":
            return f"one of {context['expected']}"
        case "value_error":
            return str(context["error"])
        case kind if kind in _EXPECTED:
            return _EXPECTED[kind]
        case _:
            bounds = [f"{words} {context[key]}" for key, words in _BOUNDS.items() if key in context]
            if "min_length" in context:
                bounds.append(f"at least {context['min_length']} long")
            if "max_length" in context:
                bounds.append(f"at most {context['max_length']} long")
            return " and ".join(bounds) or detail["msg"]


def _received(detail: ErrorDetails) -> str:
    if detail["type"] == "missing":
        return "nothing"
    if detail["type"] == "json_invalid":
        return str(_context(detail)["error"])
    names = [str(part) for part in detail["loc"]]
    value = detail["input"]
    if _is_hidden(names) or (isinstance(value, str) and _may_name_a_user(value)):
        return f"{_kind(value)} (not shown)"
    if isinstance(value, dict | list | tuple | BaseModel):
        return _kind(value)
    return shown(value)


def _is_hidden(names: Sequence[str]) -> bool:
    if names[-2:] == ["generator", "kind"]:
        return False
    return any(SECRET_NAMES.search(name) or name in FREE_FORM for name in names)


def _may_name_a_user(text: str) -> bool:
    """Return whether *text* may have a URL with a user in it, and so a password."""
    _, is_url, rest = text.partition("://")
    return bool(is_url) and "@" in rest


def shown(value: object) -> str:
    """Return *value* as a refusal shows it: JSON without what is absent, cut at a length."""
    encoded = to_json(value, exclude_none=True, inf_nan_mode="constants", serialize_unknown=True)
    text = encoded.decode()
    return text if len(text) <= RECEIVED_MAX else f"{text[:RECEIVED_MAX]}… ({len(text)} characters)"


def shown_text(text: str) -> str:
    """Return *text*, which is of no field, as a refusal shows it, unless it names a secret."""
    is_hidden = SECRET_NAMES.search(text) or _may_name_a_user(text)
    return f"{_kind(text)} (not shown)" if is_hidden else shown(text)


def _kind(value: object) -> str:
    match value:
        case str():
            return f"a string of {len(value)} characters"
        case list() | tuple():
            return f"an array of {len(value)}"
        case _:
            return _KINDS.get(type(value), "an object")
