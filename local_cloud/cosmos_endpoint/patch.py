"""Partial updates of a document.

https://learn.microsoft.com/azure/cosmos-db/partial-document-update
"""

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from local_cloud.cosmos_endpoint.document_form import SYSTEM_PROPERTIES
from local_cloud.cosmos_endpoint.errors import CosmosError, bad_request
from local_cloud.cosmos_endpoint.query.values import is_number, number

OPERATIONS_MAX: Final = 10
PATH_MAX: Final = 2_000
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")
_ESCAPES: Final = re.compile(r"~([01])?")
Steps = Sequence[str]


@dataclass(frozen=True)
class PatchOperation:
    """One step of a patch; `number` counts from 1, as messages do."""

    number: int
    kind: str
    path: Steps
    value: Any = None
    source: Steps = ()
    """Where MOVE takes its value from."""

    def refused(self, reason: str) -> CosmosError:
        return bad_request(f"For Operation({self.number}): {reason}")


@dataclass(frozen=True)
class Patch:
    """What a PATCH request asks for; `condition` begins with FROM."""

    operations: Sequence[PatchOperation]
    condition: str | None = None


def patch_of(body: object, keys: Sequence[Sequence[str]]) -> Patch:
    """Return the patch that a request's *body* is, a list or an object with `operations`.

    *keys* are the paths of the container's partition key, which stays as it is.

    Raises:
        CosmosError: 400.
    """
    asked: Mapping[str, Any] = body if isinstance(body, Mapping) else {"operations": body}
    operations, condition = asked.get("operations"), asked.get("condition")
    if not isinstance(operations, list) or not 1 <= len(operations) <= OPERATIONS_MAX:
        raise bad_request(f"a patch has 1 to {OPERATIONS_MAX} operations")
    if condition is not None and not isinstance(condition, str):
        raise bad_request("a patch's condition is text")
    fixed = [("id",), *(tuple(path) for path in keys), *((name,) for name in SYSTEM_PROPERTIES)]
    return Patch(
        [_operation(number, each, fixed) for number, each in enumerate(operations, 1)], condition
    )


def _operation(number: int, asked: object, fixed: Sequence[Steps]) -> PatchOperation:
    if not isinstance(asked, Mapping):
        raise bad_request(f"For Operation({number}): an operation is an object")
    kind = str(asked.get("op"))[:40].lower()
    kind = "incr" if kind == "increment" else kind
    if kind not in _APPLY:
        raise bad_request(f"For Operation({number}): there is no operation {kind!r}")
    source: Steps = ()
    if kind == "move":
        source = _steps(number, asked.get("from"), fixed)
    elif kind != "remove" and "value" not in asked:
        raise bad_request(f"For Operation({number}): {kind} has a value")
    path = _steps(number, asked.get("path"), fixed)
    return PatchOperation(number, kind, path, asked.get("value"), source)


def _steps(number: int, path: object, fixed: Sequence[Steps]) -> Steps:
    if not isinstance(path, str) or not path.startswith("/") or not 1 < len(path) <= PATH_MAX:
        raise bad_request(f"For Operation({number}): a path begins with /, got {str(path)[:80]!r}")
    if any(match[1] is None for match in _ESCAPES.finditer(path)):
        raise bad_request(f"For Operation({number}): ~ in a path is ~0, and / is ~1")
    steps = tuple(
        _ESCAPES.sub(lambda match: "~/"[int(match[1])], part) for part in path[1:].split("/")
    )
    for key in fixed:
        if steps == tuple(key[: len(steps)]) or tuple(key) == steps[: len(key)]:
            raise bad_request(f"For Operation({number}): {path[:80]!r} cannot be patched")
    return steps


def patched(document: Mapping[str, Any], patch: Patch) -> dict[str, Any]:
    """Return *document* with the operations done in their order. Raises CosmosError (400)."""
    # What is not a part of it must not be: a value may go to two places, and is changed in one.
    changed = copy.deepcopy(dict(document))
    for operation in patch.operations:
        _APPLY[operation.kind](changed, operation)
    return changed


def _parent(document: Any, steps: Steps, operation: PatchOperation) -> Any:
    """Return the object or array that holds what *steps* lead to."""
    value = document
    for step in steps[:-1]:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and _INDEX.fullmatch(step) and int(step) < len(value):
            value = value[int(step)]
        else:
            raise operation.refused(
                f"{operation.kind} needs an existing parent, no path found beyond {step!r}"
            )
    if not isinstance(value, dict | list):
        raise operation.refused(f"{steps[-1]!r} is no part of an object or array")
    return value


def _key(parent: Any, step: str, operation: PatchOperation) -> Any:
    """Return the name or index in *parent* that *step* stands for; it need not be there."""
    if isinstance(parent, dict):
        return step
    if step == "-":
        return len(parent)
    if not _INDEX.fullmatch(step) or int(step) > len(parent):
        raise operation.refused(f"{step!r} is no index of an array of {len(parent)} items")
    return int(step)


def _has(parent: Any, key: Any) -> bool:
    return key in parent if isinstance(parent, dict) else key < len(parent)


def _put(parent: Any, key: Any, value: Any, *, inserts: bool) -> None:
    if isinstance(parent, list) and (inserts or key == len(parent)):
        parent.insert(key, value)
    else:
        parent[key] = value


def _add(document: Any, operation: PatchOperation) -> None:
    parent = _parent(document, operation.path, operation)
    key = _key(parent, operation.path[-1], operation)
    _put(parent, key, copy.deepcopy(operation.value), inserts=True)


def _set(document: Any, operation: PatchOperation) -> None:
    parent = _parent(document, operation.path, operation)
    key = _key(parent, operation.path[-1], operation)
    _put(parent, key, copy.deepcopy(operation.value), inserts=False)


def _replace(document: Any, operation: PatchOperation) -> None:
    parent, key = _existing(document, operation.path, operation)
    parent[key] = copy.deepcopy(operation.value)


def _remove(document: Any, operation: PatchOperation) -> None:
    parent, key = _existing(document, operation.path, operation)
    del parent[key]


def _existing(document: Any, steps: Steps, operation: PatchOperation) -> tuple[Any, Any]:
    parent = _parent(document, steps, operation)
    key = _key(parent, steps[-1], operation)
    if not _has(parent, key):
        raise operation.refused(
            f"{operation.kind.capitalize()} Operation can not be performed on a non-existent path"
        )
    return parent, key


def _increment(document: Any, operation: PatchOperation) -> None:
    if not is_number(operation.value):
        raise operation.refused("incr has a number as its value")
    parent = _parent(document, operation.path, operation)
    key = _key(parent, operation.path[-1], operation)
    if not _has(parent, key):
        _put(parent, key, operation.value, inserts=False)
        return
    if not is_number(parent[key]):
        raise operation.refused("incr can only be done on a number")
    total = number(parent[key] + operation.value)
    if not is_number(total):
        raise operation.refused("the sum is no number")
    parent[key] = total


def _move(document: Any, operation: PatchOperation) -> None:
    source = operation.source
    if operation.path[: len(source)] == source and operation.path != source:
        raise operation.refused("a value cannot be moved into itself")
    parent, key = _existing(document, source, operation)
    value = parent[key]
    del parent[key]
    target = _parent(document, operation.path, operation)
    _put(target, _key(target, operation.path[-1], operation), value, inserts=True)


_APPLY: Final[Mapping[str, Callable[[Any, PatchOperation], None]]] = {
    "add": _add,
    "incr": _increment,
    "move": _move,
    "remove": _remove,
    "replace": _replace,
    "set": _set,
}
