"""`%NAME%` in bindings: replaced from app settings when a function is indexed.

`{property}` and `{rand-guid}` are left as they are: Azure fills them in for each invocation, in
input and output bindings only.
"""

from collections.abc import Mapping
from typing import Any


class ExpressionRefused(ValueError):
    """A `%` that is not closed, or names a setting that is not there."""


def resolve(text: str, values: Mapping[str, str]) -> str:
    """Return *text* with every `%NAME%` replaced from *values*.

    Raises:
        ExpressionRefused: says which name, and where to write it.
    """
    if "%" not in text:
        return text
    literal, *rest = text.split("%")
    if len(rest) % 2:
        raise ExpressionRefused(f"{text!r} has a % that is not closed; write %NAME%")
    parts = [literal]
    for name, following in zip(rest[::2], rest[1::2], strict=True):
        if name not in values:
            raise ExpressionRefused(
                f"%{name}% does not resolve to a value: add {name!r} to Values in"
                " local.settings.json, or to the environment"
            )
        parts += [values[name], following]
    return "".join(parts)


def resolve_all(properties: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """Return *properties* resolved at any depth; `connection` names a setting and is left alone."""
    return {
        key: value if key.lower() == "connection" else _resolved(value, values)
        for key, value in properties.items()
    }


def _resolved(value: Any, values: Mapping[str, str]) -> Any:
    match value:
        case str():
            return resolve(value, values)
        case list():
            return [_resolved(item, values) for item in value]
        case dict():
            return {key: _resolved(item, values) for key, item in value.items()}
        case _:
            return value
