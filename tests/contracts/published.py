"""The published types, and JSON drawn from their own schemas, so that new types are covered."""

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel

import shared.contracts
from shared.contracts.commands import COMMANDS
from shared.contracts.events import EVENTS
from shared.contracts.shape import Command, Event, ForeignEvent, Resource, Value

Schema = Mapping[str, Any]
Named = Callable[[str], st.SearchStrategy[Any]]


def _modules() -> Iterator[Any]:
    for found in pkgutil.iter_modules(shared.contracts.__path__, "shared.contracts."):
        yield importlib.import_module(found.name)


SHAPES = (Value, Command, Event, ForeignEvent, Resource)
TYPES: tuple[type[BaseModel], ...] = tuple(
    kind
    for module in _modules()
    for kind in vars(module).values()
    if isinstance(kind, type)
    and issubclass(kind, Value)
    and kind.__module__ == module.__name__
    and kind not in SHAPES
    and not kind.__name__.startswith("_")
)
BODIES = tuple(kind for kind in TYPES if issubclass(kind, Command))
BY_NAME = {kind.__name__: kind for kind in TYPES}
PAYLOADS = tuple(BY_NAME[name] for name in EVENTS)
QUEUED = tuple(BY_NAME[name] for name in COMMANDS)
ANSWERS = tuple(kind for kind in TYPES if issubclass(kind, Resource))


@cache
def documents(kind: type[BaseModel]) -> st.SearchStrategy[Any]:
    """Return a strategy of JSON documents that *kind*'s schema allows."""
    schema = kind.model_json_schema()

    @cache
    def named(name: str) -> st.SearchStrategy[Any]:
        return _drawn(schema["$defs"][name], named)

    return _drawn(schema, named)


def model_nodes(document: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield where objects stand in *document*."""
    if isinstance(document, dict):
        yield at
        for name, value in document.items():
            yield from model_nodes(value, (*at, name))
    elif isinstance(document, list):
        for index, value in enumerate(document):
            yield from model_nodes(value, (*at, index))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)
_INSTANTS = st.sampled_from(
    ["2026-01-01T00:00:00Z", "2026-11-24T13:00:00.000001Z", "2026-06-30T23:59:59+02:00"]
)
_DURATIONS = st.sampled_from(["PT0.1S", "PT1S", "PT5M", "PT1H", "P1D", "PT0S"])


def _drawn(schema: Schema, named: Named) -> st.SearchStrategy[Any]:
    match schema:
        case {"$ref": str(reference)}:
            return named(reference.rsplit("/", 1)[1])
        case {"anyOf": options}:
            return st.one_of([_drawn(option, named) for option in options])
        case {"enum": values}:
            return st.sampled_from(values)
        case {"type": "object"}:
            return _object(schema, named)
        case {"type": "array", "items": items}:
            most = min(2, schema["maxItems"])
            return st.lists(_drawn(items, named), min_size=schema.get("minItems", 0), max_size=most)
        case _:
            return _scalar(schema)


def _scalar(schema: Schema) -> st.SearchStrategy[Any]:
    least, most = _bounds(schema)
    match schema.get("type"):
        case "string":
            return _string(schema)
        case "integer":
            return st.integers(int(least), int(most))
        case "number":
            return _number(schema)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case _:
            return _JSON


def _number(schema: Schema) -> st.SearchStrategy[Any]:
    least, most = _bounds(schema)
    if step := schema.get("multipleOf"):
        parts = round(1 / step)
        whole = st.integers(int(least * parts) + 1, int(most * parts) - 1)
        return whole.map(lambda number: number / parts)
    return st.floats(
        least,
        most,
        exclude_min="exclusiveMinimum" in schema,
        exclude_max="exclusiveMaximum" in schema,
    )


def _object(schema: Schema, named: Named) -> st.SearchStrategy[Any]:
    if "properties" not in schema:
        names = _string(schema.get("propertyNames", {}))
        patterns = schema.get("patternProperties", {})
        values = schema.get("additionalProperties", {})
        if patterns:
            ((pattern, values),) = patterns.items()
            names = _matching(pattern)
        return st.dictionaries(names, _drawn(values, named), max_size=2)
    required = set(schema.get("required", ()))
    fields = {name: _drawn(value, named) for name, value in schema["properties"].items()}
    return st.fixed_dictionaries(
        {name: value for name, value in fields.items() if name in required},
        optional={name: value for name, value in fields.items() if name not in required},
    )


def _string(schema: Schema) -> st.SearchStrategy[str]:
    if "pattern" in schema:
        most = schema.get("maxLength", 10_000)
        return _matching(schema["pattern"]).filter(lambda text: len(text) <= most)
    match schema.get("format"):
        case "date-time":
            return _INSTANTS
        case "duration":
            return _DURATIONS
        case _:
            return st.text(
                st.characters(codec="utf-8"),
                min_size=schema.get("minLength", 0),
                max_size=min(12, schema.get("maxLength", 12)),
            )


@cache
def _matching(pattern: str) -> st.SearchStrategy[str]:
    """Return text that *pattern* matches; without its anchors, which Python lets a newline pass."""
    inner = pattern.removeprefix("^").removesuffix("$")
    return st.from_regex(
        re.compile(inner, re.ASCII), fullmatch=True, alphabet=st.characters(codec="ascii")
    )


def _bounds(schema: Schema) -> tuple[float, float]:
    least = schema.get("minimum", schema.get("exclusiveMinimum", -(10**6)))
    most = schema.get("maximum", schema.get("exclusiveMaximum", 10**6))
    return least, most
