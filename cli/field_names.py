"""Names of fields as people wrote them: an option of the command, or a place in their file."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

from cli.typed import option_for

_OF_WHAT_IF: Final = "/policy/"


def field_name(pointer: str, *, is_missing: bool = False) -> str:
    """Return the option that sets the field at *pointer*, else its path, `components[0].port`.

    Empty for the whole of the request. The policy of a what-if is what people wrote.
    """
    if pointer.startswith(_OF_WHAT_IF):
        pointer = pointer.removeprefix(_OF_WHAT_IF[:-1])
    if option := option_for(pointer, is_missing=is_missing):
        return option
    name = ""
    for segment in pointer_parts(pointer):
        if segment.isdecimal():
            name += f"[{segment}]"
        else:
            name += f".{segment}" if name else segment
    return name


def pointer_parts(pointer: str) -> list[str]:
    """Return the segments of a JSON pointer (RFC 6901)."""
    segments = pointer.split("/")[1:]
    return [segment.replace("~1", "/").replace("~0", "~") for segment in segments]


def similar_field(name: str) -> str | None:
    """Return the field of a release or an environment that *name* was probably meant to be."""
    from shared.contracts.deployments import Deploy  # noqa: PLC0415  slow to import
    from shared.contracts.environments import ProvisionEnvironment  # noqa: PLC0415

    names = {"artifact", "environment"}
    for model in (Deploy, ProvisionEnvironment):
        names.update(_properties(model.model_json_schema()))
    folded = name.replace("_", "").replace("-", "").casefold()
    same = [known for known in names if known.casefold() == folded]
    return next(iter(same or get_close_matches(name, sorted(names), n=1)), None)


def _properties(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        yield from schema.get("properties", {})
        for part in schema.values():
            yield from _properties(part)
