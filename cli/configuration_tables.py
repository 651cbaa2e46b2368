"""Heads, values, versions and differences of configuration as tables."""

from collections.abc import Mapping
from typing import Any, Final

from cli.configuration_layers import Layer
from cli.configuration_values import format_setting
from cli.not_expected import is_pinned
from cli.options import Invocation
from cli.output import Column, Item, format_digest, format_time, note
from cli.unreleased import unreleased

HEAD_COLUMNS: Final = (
    Column("LAYER", lambda head: head["scope"]["layer"]),
    Column("ENVIRONMENT", "environment"),
    Column("MODULE", lambda head: head["scope"].get("moduleId")),
    Column("VERSION", "version"),
    Column("DRAFT", "draft"),
    Column("STATUS", "status"),
    Column("HASH", lambda head: format_digest(head["contentHash"])),
    Column("ID", "configurationId"),
)
VALUE_COLUMNS: Final = (Column("KEY", "key"), Column("VALUE", "value"))
LAYER_COLUMN: Final = Column("LAYER", "layer")
VERSION_COLUMNS: Final = (
    Column("VERSION", "version"),
    Column("STATUS", "status"),
    Column("BY", "publishedBy"),
    Column("AT", lambda version: format_time(version["publishedAt"])),
    Column("KEYS", lambda version: len(version["values"])),
    Column("HASH", lambda version: format_digest(version["contentHash"])),
    Column("COMMENT", "comment"),
)
_CHANGE_COLUMNS: Final = (
    Column("KEY", "key"),
    Column("CHANGE", "kind"),
    Column("BEFORE", lambda change: _shown(change, "before", absent="added")),
    Column("AFTER", lambda change: _shown(change, "after", absent="removed")),
)


def value_row(key: str, value: Any) -> dict[str, Any]:
    """Return one value as a row of a table."""
    return {"key": key, "value": format_setting(value)}


def named(head: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return *head* with the name of its environment, of *names* by id."""
    identity = head["scope"].get("environmentId")
    return {**head, "environment": names.get(identity, identity) if identity else None}


def show_published(invocation: Invocation, layer: Layer, answer: Mapping[str, Any]) -> None:
    """Show the head after a publish, or the difference that a dry run answered."""
    if layer.module and layer.environment_id:
        said = unreleased(invocation.client, layer.environment_id, layer.module)
        if said is not None:
            note(said)
    if "changes" in answer:
        show_difference(invocation, answer)
        return
    if not invocation.is_table:
        invocation.show(answer)
    else:
        names = {layer.environment_id or "": layer.environment or ""}
        invocation.show([named(answer, names)], HEAD_COLUMNS)
    if answer["draft"]:
        draft = answer["draft"]
        note(f"next:  runtimectl config publish {layer.options} --version {draft}")
    elif is_pinned(invocation.client, layer):
        note(
            f"{layer.module} is pinned: what runs keeps its version, and the module is given this"
            " with its next deployment"
        )
    else:
        note(f"next:  runtimectl config adoption {layer.options} --watch")


def difference_words(difference: Mapping[str, Any]) -> str:
    """Return in a few words what a publish changes."""
    changes = difference["changes"]
    names = ", ".join(change["key"] for change in changes[:5])
    more = f" and {len(changes) - 5} more" if len(changes) > 5 else ""  # noqa: PLR2004
    keys = f"{names}{more}" if changes else "no value, another schema"
    return f"version {difference['toVersion']}: {keys}"


def show_difference(invocation: Invocation, difference: Mapping[str, Any]) -> None:
    """Show what differs between two versions, key by key."""
    if not invocation.is_table:
        invocation.show(difference)
        return
    versions = f"version {difference['fromVersion']} and {difference['toVersion']}"
    empty = f"no value differs between {versions}"
    invocation.show(difference["changes"], _CHANGE_COLUMNS, empty=empty)


def _shown(change: Item, field: str, *, absent: str) -> str | None:
    return None if change["kind"] == absent else format_setting(change[field])
