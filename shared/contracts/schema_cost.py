"""A bound of what a check against a JSON Schema costs, known before any value is read. Pure.

A schema is a tenant's own and is checked in the process of all: one of a few hundred bytes could
refer to itself, or twice to the next of its definitions and so on, and take for ever.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from shared.contracts.validation import pointer
from shared.kernel.errors import Violation

CHECKS_MAX: Final = 10_000_000
"""Parts of a schema, with what they refer to, times parts of the values: a second at most."""
SIZE_MAX: Final = 20_000
"""Parts of a schema, with what they refer to."""
_WITHIN_MAX: Final = 64
_DEFINITIONS: Final = "#/$defs/"
_NOT_TAKEN: Final = ("$id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveRef")


class _Unsound(Exception):
    def __init__(self, at: str, message: str) -> None:
        super().__init__(message)
        self.violation = Violation("SchemaInvalid", at, message, "#/$defs/NAME, not recursive")


def cost_violation(schema: Mapping[str, Any]) -> Violation | None:
    """Return why *schema* may cost too much, or cannot be told to have an end; else None.

    A reference names a definition of the schema itself, and leads back to none that it is in.
    """
    try:
        size = size_of(schema)
    except _Unsound as unsound:
        return unsound.violation
    if size > SIZE_MAX:
        message = f"with what it refers to, a schema has at most {SIZE_MAX} parts"
        return Violation("SchemaTooCostly", "/schema", message, str(SIZE_MAX), str(size)[:20])
    return None


def is_too_costly(schema: Mapping[str, Any], values: Any) -> bool:
    """Return whether *values* are too many for *schema*, whose references are sound."""
    return size_of(schema) * sum(1 for _ in _parts(values, "")) > CHECKS_MAX


def size_of(schema: Mapping[str, Any]) -> int:
    """Return how many parts *schema* has, each with all the parts that it refers to."""
    known: dict[str, int] = {}
    return _size(schema, "/schema", schema, known, ())


def _size(
    part: Any, at: str, root: Mapping[str, Any], known: dict[str, int], within: tuple[str, ...]
) -> int:
    size = 0
    for place, each in _parts(part, at):
        size += 1
        if not isinstance(each, Mapping):
            continue
        for word in _NOT_TAKEN:
            if isinstance(each.get(word), str) and (word != "$id" or each is not root):
                raise _Unsound(f"{place}/{word}", f"{word} is not taken: refer to $defs")
        target = each.get("$ref")
        if isinstance(target, str):
            size += _size_of_target(target, f"{place}/$ref", root, known, within)
    return size


def _size_of_target(
    target: str, at: str, root: Mapping[str, Any], known: dict[str, int], within: tuple[str, ...]
) -> int:
    name = target.removeprefix(_DEFINITIONS).replace("~1", "/").replace("~0", "~")
    definitions = root.get("$defs")
    if not target.startswith(_DEFINITIONS) or not isinstance(definitions, Mapping):
        raise _Unsound(at, f"{target[:100]} is not read: a schema refers to its own $defs only")
    if name not in definitions:
        raise _Unsound(at, f"{target[:100]} is not in $defs")
    if len(within) >= _WITHIN_MAX:
        raise _Unsound(at, f"definitions refer to each other over at most {_WITHIN_MAX} others")
    if name in within:
        raise _Unsound(at, f"{target[:100]} leads back to itself: a schema has an end")
    if name not in known:
        place = pointer("schema", "$defs", name)
        known[name] = _size(definitions[name], place, root, known, (*within, name))
    return known[name]


def _parts(value: Any, at: str) -> Iterator[tuple[str, Any]]:
    """Yield *value* and all that is in it, each with its place."""
    waiting = [(at, value)]
    while waiting:
        place, each = waiting.pop()
        yield place, each
        if isinstance(each, Mapping):
            waiting += [(f"{place}{pointer(key)}", inner) for key, inner in each.items()]
        elif isinstance(each, list | tuple):
            waiting += [(f"{place}/{index}", inner) for index, inner in enumerate(each)]
