"""The shapes of what an API server answers, checked once: whoever reads on finds what it expects.

An aggregated API or a proxy before the server may answer anything.
"""

import gc
from typing import Any

from pydantic_core import from_json

from shared.kernel.dataclass import dataclass


class OddAnswer(ValueError):
    """An answer of another shape than what was asked for has."""


def decoded(content: bytes) -> Any:
    """Return the JSON in *content*. Raises ValueError.

    A page of a list is a hundred thousand containers and no cycle: the collector, which looks
    through all of them again and again while they come, would take as long as the decoder.
    """
    is_enabled = gc.isenabled()
    gc.disable()
    try:
        return from_json(content)
    finally:
        if is_enabled:
            gc.enable()


def mapping(value: Any) -> dict[str, Any]:
    """Return *value*. Raises OddAnswer: it is no JSON object."""
    if not isinstance(value, dict):
        raise OddAnswer("not a JSON object")
    return value


def named_object(value: Any) -> dict[str, Any]:
    """Return *value*, an object with a name, whose labels and annotations are texts.

    Raises:
        OddAnswer: it is something else.
    """
    metadata = mapping(mapping(value).get("metadata"))
    texts = [metadata.get("name"), metadata.get("namespace", "")]
    for part in ("labels", "annotations"):
        texts += mapping(metadata.get(part) or {}).values()
    if not all(isinstance(each, str) for each in texts):
        raise OddAnswer("not an object of Kubernetes")
    return mapping(value)


@dataclass(frozen=True)
class Page:
    """One page of a list; `following` asks for the next one, and is empty at the last."""

    items: list[dict[str, Any]]
    version: str
    following: str


def groups_of(answer: object) -> frozenset[str]:
    """Return the names of the API groups in *answer*. Raises OddAnswer: it has none."""
    groups = mapping(answer).get("groups")
    if not isinstance(groups, list):
        raise OddAnswer("not the groups that are served")
    return frozenset(str(mapping(each).get("name")) for each in groups)


def page_of(value: Any) -> Page:
    """Return the page of a list in *value*. Raises OddAnswer: it is no list of objects."""
    metadata, items = mapping(mapping(value).get("metadata")), value.get("items")
    version, following = metadata.get("resourceVersion"), metadata.get("continue") or ""
    if not (isinstance(items, list) and isinstance(version, str) and isinstance(following, str)):
        raise OddAnswer("not a list of objects")
    return Page([named_object(each) for each in items], version, following)


def change_of(value: Any) -> tuple[str, dict[str, Any]]:
    """Return the kind of a change of a watch, and its object or the Status of an ERROR.

    Raises:
        OddAnswer: it is no change of a watch.
    """
    kind, found = mapping(value).get("type"), mapping(value.get("object"))
    if not isinstance(kind, str):
        raise OddAnswer("not a change of a watch")
    if kind == "BOOKMARK":
        mapping(found.get("metadata"))
    elif kind != "ERROR":
        named_object(found)
    return kind, found


def causes_of(details: Any) -> tuple[dict[str, str], ...]:
    """Return the causes in the details of a Status, those that have the shape of one."""
    found = details.get("causes") if isinstance(details, dict) else None
    named = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    return tuple({key: str(value) for key, value in each.items()} for each in named)
