"""Values of a configuration as people type and read them: JSON where it parses, else text."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cli.exit_codes import ExitCode
from cli.failure import Failure

_EXAMPLE: Final = "runtimectl config set greeting=hello 'limits={\"items\": 20}'"


def parse_value(text: str) -> Any:
    """Return *text* as JSON where it is some, else as it stands."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def parse_assignments(texts: Sequence[str], *, as_text: bool) -> dict[str, Any]:
    """Return the values in *texts*, each `KEY=VALUE`.

    Raises:
        Failure: one is no assignment, or a key is given twice.
    """
    values: dict[str, Any] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise Failure(
                f"expected KEY=VALUE, got {text!r}",
                ExitCode.USAGE,
                remedy=f"write it like this: `{_EXAMPLE}`",
            )
        if key in values:
            raise Failure(
                f"{key} is given twice", ExitCode.USAGE, remedy=f"give one value of {key}"
            )
        values[key] = value if as_text else parse_value(value)
    return values


def refuse_inner_keys(values: Mapping[str, Any], known: Mapping[str, Any], layer: str) -> None:
    """Refuse a key of *values* that reads as a place in a mapping of *known*, those of *layer*.

    A key with dots is a key of its own; one that *known* has already is meant.

    Raises:
        Failure: there is one.
    """
    for key in values:
        parent, _, inner = key.partition(".")
        if inner and key not in known and isinstance(known.get(parent), Mapping):
            raise Failure(
                f"{key} would be a key of its own beside {parent}, a mapping: dots lead into none",
                ExitCode.USAGE,
                remedy=f"give {parent} with its other keys: '{parent}={{\"{inner}\": …}}', or edit "
                f"it: `runtimectl config edit {layer}`; a file may have both keys",
            )


def unfinished(values: Mapping[str, Any]) -> Sequence[str]:
    """Return the keys whose text begins as JSON does, which it was probably meant to be."""
    return [
        key
        for key, value in values.items()
        if isinstance(value, str)
        and value.startswith(("{", "[", '"'))
        and parse_value(value) == value
    ]


def format_setting(value: Any) -> str:
    """Return *value* as `set` takes it; of a flag and a secret reference what they are."""
    match value:
        case {"secret": str(name)} if len(value) == 1:
            return f"(secret {name})"
        case {"flag": Mapping() as flag} if len(value) == 1:
            rules = f", {len(flag['rules'])} rules" if flag.get("rules") else ""
            return f"(flag {flag.get('type')}, default {_compact(flag.get('default'))}{rules})"
        case str() if value and parse_value(value) == value and "\n" not in value:
            return value
        case _:
            return _compact(value)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
