"""YAML that somebody else wrote, read as the values that JSON has and no others.

YAML has numbers to the base of 60, which take a square of their length to read, tags that raise
anything, dates and sets: all of them are refused, each with its place.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from math import isfinite
from typing import Any, Final

_TAG: Final = "tag:yaml.org,2002:"
_WRITTEN: Final[Mapping[str, tuple[re.Pattern[str], Callable[[str], Any]]]] = {
    "null": (re.compile(r"(?:~|null|Null|NULL)?"), lambda _: None),
    "bool": (
        re.compile(r"(?i:true|false|yes|no|on|off)"),
        lambda text: text.lower() in {"true", "yes", "on"},
    ),
    "int": (re.compile(r"[-+]?(?:0|[1-9][0-9]{0,18})"), int),
    "float": (
        re.compile(r"[-+]?(?:[0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})(?:[eE][-+]?[0-9]{1,3})?"),
        float,
    ),
    "str": (re.compile(r"[^\ud800-\udfff]*"), str),
}
"""How a value of each tag may be written, and what it is then."""
_MERGE: Final = _TAG + "merge"
_TAGS_OF_NAMES: Final = (_TAG + "str", _MERGE)


@cache
def loader_of_json(base: type[Any]) -> type[Any]:
    """Return the loader *base*, a safe one of PyYAML, for texts, numbers, truth values and null.

    What it loads is JSON, and it raises YAMLError only (and RecursionError). It bounds no depth, no
    number of values and no aliases. Names are texts: `on` would be the name `true` otherwise. No
    mapping has one twice: the last would count, and nobody would see it.
    """
    from yaml.constructor import SafeConstructor  # noqa: PLC0415  slow to import

    constructors: dict[str | None, Callable[..., Any]] = {
        _TAG + "seq": SafeConstructor.construct_yaml_seq,
        _TAG + "map": SafeConstructor.construct_yaml_map,
        **{_TAG + kind: _constructor(*how) for kind, how in _WRITTEN.items()},
        None: _refuse,
    }

    def get_single_node(loader: Any) -> Any:
        node = base.get_single_node(loader)
        _require_names(node)
        return node

    members = {
        "yaml_constructors": constructors,
        "yaml_multi_constructors": {},
        "get_single_node": get_single_node,
    }
    return type("LoaderOfJson", (base,), members)


def _require_names(root: Any) -> None:
    """Raise YAMLError where a mapping below *root* has a name that is no text, or one twice.

    Before a merge, `<<`, is written out: afterwards what it brings is among the names, and what the
    mapping says itself instead is no mistake.
    """
    from yaml.constructor import ConstructorError  # noqa: PLC0415  slow to import

    nodes, seen = [root] if root is not None else [], set[int]()
    while nodes:
        node = nodes.pop()
        if node.id == "scalar" or id(node) in seen:
            continue
        seen.add(id(node))
        if node.id == "sequence":
            nodes.extend(node.value)
            continue
        names = set[str]()
        for name, value in node.value:
            if name.id != "scalar" or name.tag not in _TAGS_OF_NAMES:
                message = f"the name{_shown(name)} is no text in YAML: put it in quotes"
                raise ConstructorError(None, None, message, name.start_mark)
            if name.value in names:
                message = "a name stands twice in one mapping"
                raise ConstructorError(None, None, message, name.start_mark)
            if name.tag != _MERGE:
                names.add(name.value)
            nodes.append(value)


def _shown(name: Any) -> str:
    """Return a truth value that is a name; any other may be a secret in the wrong place."""
    written, _ = _WRITTEN["bool"]
    return f" {name.value}" if name.id == "scalar" and written.fullmatch(name.value) else ""


def _constructor(written: re.Pattern[str], value: Callable[[str], Any]) -> Callable[..., Any]:
    def construct(loader: Any, node: Any) -> Any:
        text = loader.construct_scalar(node)
        if not written.fullmatch(text):
            _refuse(loader, node)
        made = value(text)
        if isinstance(made, float) and not isfinite(made):
            _refuse(loader, node)
        return made

    return construct


def _refuse(_loader: Any, node: Any) -> Any:
    """Refuse *node*, without a word of what it has. Raises YAMLError."""
    from yaml.constructor import ConstructorError  # noqa: PLC0415  slow to import

    message = "it is no value that JSON has: a text such as a date is put in quotes"
    raise ConstructorError(None, None, message, node.start_mark)
