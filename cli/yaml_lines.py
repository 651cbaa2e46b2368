"""Finds the line of a YAML file in which a field stands."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def lines_of(path: Path, fields: Sequence[Sequence[str]]) -> Sequence[int | None]:
    """Return the line of *path* where each of *fields* stands, or else what holds it.

    A field is the names and indices on the way to it.
    """
    import yaml  # noqa: PLC0415  slow to import

    node = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
    return [_line_of(node, segments) for segments in fields]


def _line_of(node: Any, segments: Sequence[str]) -> int | None:
    line: int | None = None
    for segment in segments:
        entry = _entry(node, segment)
        if entry is None:
            break
        mark, node = entry
        line = mark.line + 1
    return line


def _entry(node: Any, segment: str) -> tuple[Any, Any] | None:
    """Return where the part of *node* called *segment* begins, and its value."""
    if isinstance(node.value, list) and node.id == "mapping":
        pairs = ((key.start_mark, value) for key, value in node.value if key.value == segment)
        return next(pairs, None)
    if node.id == "sequence" and segment.isdecimal() and int(segment) < len(node.value):
        value = node.value[int(segment)]
        return value.start_mark, value
    return None
