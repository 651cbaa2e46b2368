"""The inline constraints of ASP.NET Core routes: each checks a value, none converts it."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

Check = Callable[[str], bool]


class ConstraintRefused(ValueError):
    """A constraint the host does not know or cannot read."""


_INT32: Final = range(-(2**31), 2**31)
_INT64: Final = range(-(2**63), 2**63)
_NUMBER: Final = re.compile(r"[+-]?(\d+(,\d{3})*(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_DECIMAL: Final = re.compile(r"[+-]?(\d+(,\d{3})*(\.\d*)?|\.\d+)")
_GUID: Final = re.compile(
    r"[0-9a-f]{32}|(?P<o>[{(])?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(?(o)[})])", re.IGNORECASE
)
_WHOLE: Final = re.compile(r"[+-]?\d+")


def _whole(within: range) -> Check:
    return lambda text: _WHOLE.fullmatch(text) is not None and int(text) in within


def _is_datetime(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return _DATE.fullmatch(text) is not None
    return True


_DATE: Final = re.compile(
    r"\d{1,2}/\d{1,2}/\d{4}( \d{1,2}:\d{2}(:\d{2})?( ?[ap]m)?)?", re.IGNORECASE
)

_PLAIN: Final[Mapping[str, Check]] = {
    "int": _whole(_INT32),
    "long": _whole(_INT64),
    "bool": lambda text: text.lower() in {"true", "false"},
    "guid": lambda text: _GUID.fullmatch(text) is not None,
    "datetime": _is_datetime,
    "decimal": lambda text: _DECIMAL.fullmatch(text) is not None,
    "double": lambda text: _NUMBER.fullmatch(text) is not None,
    "float": lambda text: _NUMBER.fullmatch(text) is not None,
    "alpha": lambda text: re.fullmatch("[a-z]*", text, re.IGNORECASE) is not None,
    "required": bool,
}
_WITH_ARGUMENTS: Final = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\)", re.DOTALL)


def constraint(kind: str) -> Check:
    """Return the check that *kind*, a constraint as written, stands for.

    Raises:
        ConstraintRefused: unknown, or its arguments cannot be read.
    """
    if kind in _PLAIN:
        return _PLAIN[kind]
    match = _WITH_ARGUMENTS.fullmatch(kind)
    if match is None:
        raise ConstraintRefused(
            f"there is no constraint {kind!r}; the host knows"
            f" {', '.join(sorted(_PLAIN))}, min(n), max(n), range(a,b), length(n), length(a,b),"
            " minlength(n), maxlength(n), regex(…)"
        )
    if match["name"] == "regex":
        return _regex(match["arguments"])
    try:
        bounds = [int(each) for each in match["arguments"].split(",")]
        return _bounded(match["name"], bounds)
    except (ValueError, TypeError) as problem:
        raise ConstraintRefused(f"cannot read the constraint {kind!r}") from problem


def _regex(text: str) -> Check:
    # Braces are doubled in a template; the expression matches anywhere unless it is anchored.
    try:
        pattern = re.compile(text.replace("{{", "{").replace("}}", "}"), re.IGNORECASE)
    except re.error as problem:
        raise ConstraintRefused(f"{text!r} is no regex: {problem}") from problem
    return lambda value: pattern.search(value) is not None


def _bounded(name: str, bounds: Sequence[int]) -> Check:
    low, high = bounds[0], bounds[-1]
    match name, len(bounds):
        case "min", 1:
            return _number_check(low, _INT64.stop)
        case "max", 1:
            return _number_check(_INT64.start, high)
        case "range", 2:
            return _number_check(low, high)
        case "length", 1 | 2:
            return lambda text: low <= len(text) <= high
        case "minlength", 1:
            return lambda text: len(text) >= low
        case "maxlength", 1:
            return lambda text: len(text) <= high
        case _:
            raise ValueError(name)


def _number_check(low: int, high: int) -> Check:
    return lambda text: _WHOLE.fullmatch(text) is not None and low <= int(text) <= high
