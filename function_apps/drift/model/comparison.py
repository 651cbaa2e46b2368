"""The comparer: what is not as it is to be, property by property. Pure, and knows no surface.

A resource is a mapping of paths to JSON values. Equality comes first: of resources that are equal
nothing is looked at. Only those that differ are gone through, in the order of their paths.
Numbers are equal by their value (`1` and `1.0`), as JSON has it; a boolean is no number.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias, TypeGuard

from pydantic_core import from_json

from shared.contracts.drift import DriftKind
from shared.kernel.dataclass import dataclass

Json: TypeAlias = str | int | float | bool | Sequence["Json"] | Mapping[str, "Json"] | None
Resource: TypeAlias = Mapping[str, Json]
Resources: TypeAlias = Mapping[str, Resource]


class _Nothing:
    """Stands for a value that is not there, as None is a value of JSON."""


_NOTHING: Final = _Nothing()


@dataclass(frozen=True, slots=True)
class Change:
    """A property that is not as desired; `desired` or `actual` is None where there is no value."""

    path: str
    kind: DriftKind
    desired: Json
    actual: Json


def compare_all(desired: Resources, live: Resources) -> dict[str, list[Change]]:
    """Return the changes of each resource that is not as desired, by its name."""
    found = {}
    for name, wanted in desired.items():
        actual = live.get(name, {})
        if wanted != actual:
            found[name] = compare(wanted, actual)
    for name in live.keys() - desired.keys():
        found[name] = compare({}, live[name])
    return found


def compare_texts(
    desired: Mapping[str, bytes], live: Mapping[str, bytes]
) -> dict[str, list[Change]]:
    """Return the same of resources as JSON; of those that are equal nothing is parsed."""
    named = [name for name in {**desired, **live} if desired.get(name) != live.get(name)]
    return compare_all(_parsed(desired, named), _parsed(live, named))


def _parsed(texts: Mapping[str, bytes], names: Sequence[str]) -> Resources:
    return {name: from_json(texts[name]) for name in names if name in texts}


def compare(desired: Resource, live: Resource) -> list[Change]:
    """Return the changes of one resource, in the order of their paths."""
    return [] if desired == live else [*_of_mappings("", desired, live)]


def text_of(value: Json) -> str | None:
    """Return *value* as it is shown: a text as it is, anything else as JSON, None for nothing."""
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _of_mappings(
    prefix: str, desired: Mapping[str, Json], live: Mapping[str, Json]
) -> Iterator[Change]:
    for name in sorted({*desired, *live}):
        yield from _of_values(
            f"{prefix}{name}", desired.get(name, _NOTHING), live.get(name, _NOTHING)
        )


def _of_values(path: str, desired: Json | _Nothing, live: Json | _Nothing) -> Iterator[Change]:
    if isinstance(live, _Nothing):
        if not isinstance(desired, _Nothing):
            yield Change(path, DriftKind.MISSING, desired, None)
    elif isinstance(desired, _Nothing):
        yield Change(path, DriftKind.UNMANAGED, None, live)
    elif isinstance(desired, Mapping) and isinstance(live, Mapping):
        yield from _of_mappings(f"{path}/", desired, live)
    elif _is_list(desired) and _is_list(live):
        yield from _of_lists(path, desired, live)
    elif desired != live or isinstance(desired, bool) is not isinstance(live, bool):
        yield Change(path, DriftKind.CHANGED, desired, live)


def _of_lists(path: str, desired: Sequence[Json], live: Sequence[Json]) -> Iterator[Change]:
    """Yield the changes by position; a list of which only the order differs is one change."""
    if desired == live:
        return
    if sorted(map(repr, desired)) == sorted(map(repr, live)):
        yield Change(path, DriftKind.CHANGED, desired, live)
        return
    for index in range(max(len(desired), len(live))):
        yield from _of_values(
            f"{path}/{index}",
            desired[index] if index < len(desired) else _NOTHING,
            live[index] if index < len(live) else _NOTHING,
        )


def _is_list(value: Json) -> TypeGuard[Sequence[Json]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
