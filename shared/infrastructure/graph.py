"""Resources of a stack: the graph that a program declares, and the record of what was made.

A property that another resource only has once it exists is written `${urn#output}` inside a string;
a property that is nothing but one reference becomes the output itself, of whatever type.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any, Final, NewType

from shared.kernel.dataclass import dataclass

Urn = NewType("Urn", str)
Properties = Mapping[str, Any]
"""A JSON object."""

_REFERENCE: Final = re.compile(r"\$\{(urn:pulumi:[^#}]+)#([A-Za-z0-9_.]+)\}")


class ResourceAction(StrEnum):
    """The action of a plan or a step on one resource, in Pulumi's words."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    SAME = "same"


@dataclass(frozen=True)
class Unresolved:
    """Stands for a value that is only known once *urn* exists."""

    urn: Urn
    output: str


@dataclass(frozen=True)
class ResourceIdentity:
    """The names of one resource of a stack."""

    urn: Urn
    type: str
    name: str


@dataclass(frozen=True)
class Resource(ResourceIdentity):
    """One resource of a stack with its properties."""

    properties: Properties


@dataclass(frozen=True)
class Node(Resource):
    """One declared resource.

    `dependencies` holds parent, `depends_on` and everything its properties refer to.
    `replace_on` names top-level properties whose change needs a new resource, `ignore` property
    paths (`tags.trace_id`) whose change counts as none.
    """

    dependencies: tuple[Urn, ...] = ()
    protected: bool = False
    replace_on: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True)
class RecordedResource(Resource):
    """One resource: its resolved properties, its outputs, and whether a step on it is open.

    `in_doubt` is written before a provider is called and cleared with its answer: what is in doubt
    may be as before, as intended, or in between, and is read before anything is done to it.
    """

    outputs: Mapping[str, Any] = field(default_factory=dict)
    dependencies: tuple[Urn, ...] = ()
    protected: bool = False
    in_doubt: ResourceAction | None = None

    @property
    def all_outputs(self) -> Mapping[str, Any]:
        """Return the outputs for references; one that no provider returns is as declared."""
        return {**self.properties, **self.outputs}


@dataclass(frozen=True)
class Graph:
    """All resources of a stack, each after what it depends on, and the stack's outputs."""

    nodes: tuple[Node, ...]
    outputs: Properties


def reference(to: Urn, output: str) -> str:
    """Return the text that stands for *output* of the resource *to* inside a property."""
    return f"${{{to}#{output}}}"


def resolve(value: Any, look_up: Callable[[Unresolved], Any]) -> Any:
    """Return *value* with each reference replaced by the result of *look_up*.

    A string with an `Unresolved` among other text becomes that `Unresolved`: nothing of it is
    known.
    """
    match value:
        case str():
            return _resolve_text(value, look_up)
        case Mapping():
            return {key: resolve(inner, look_up) for key, inner in value.items()}
        case list() | tuple():
            return [resolve(inner, look_up) for inner in value]
        case _:
            return value


def _resolve_text(text: str, look_up: Callable[[Unresolved], Any]) -> Any:
    whole = _REFERENCE.fullmatch(text)
    if whole:
        return look_up(Unresolved(Urn(whole[1]), whole[2]))
    values = {
        match[0]: look_up(Unresolved(Urn(match[1]), match[2]))
        for match in _REFERENCE.finditer(text)
    }
    for value in values.values():
        if isinstance(value, Unresolved):
            return value
    return _REFERENCE.sub(lambda match: str(values[match[0]]), text)


def digest(document: object) -> str:
    """Return the SHA-256 of *document* as canonical JSON: equal content, equal digest."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
