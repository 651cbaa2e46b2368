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
_OF_NAMES: Final = (_TAG + "str", _TAG + "merge")


@cache
def loader_of_json(base: type[Any]) -> type[Any]:
    """Return the loader *base*, a safe one of PyYAML, for texts, numbers, truth values and null.

    What it loads is JSON, and it raises YAMLError only (and RecursionError). It bounds no depth, no
    number of values and no aliases. Names are texts: `on` would be the name `true` otherwise. None
    stands twice: the last would count, and nobody would see it.
    """
    from yaml.constructor import SafeConstructor  # noqa: PLC0415  slow to import

    constructors: dict[str | None, Callable[..., Any]] = {
        _TAG + "seq": SafeConstructor.construct_yaml_seq,
        _TAG + "map": _construct_mapping,
        **{_TAG + kind: _constructor(*how) for kind, how in _WRITTEN.items()},
        None: _refuse,
    }
    members = {"yaml_constructors": constructors, "yaml_multi_constructors": {}}
    return type("LoaderOfJson", (base,), members)


def _construct_mapping(loader: Any, node: Any) -> Any:
    from yaml.constructor import ConstructorError, SafeConstructor  # noqa: PLC0415  slow to import

    names = set[str]()
    for name, _ in node.value if node.id == "mapping" else ():
        if name.tag not in _OF_NAMES or name.id != "scalar":
            # Only a truth value is shown: another name may be a secret in the wrong place.
            shown = f" {name.value}" if name.tag == _TAG + "bool" else ""
            message = f"the name{shown} is no text in YAML: put it in quotes"
            raise ConstructorError(None, None, message, name.start_mark)
        if name.value in names:
            message = "a name stands twice in one mapping"
            raise ConstructorError(None, None, message, name.start_mark)
        names.add(name.value)
    return SafeConstructor.construct_yaml_map(loader, node)


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
