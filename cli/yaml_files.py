"""Reads YAML files that people write, safely: one mapping per file."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from cli.exit_codes import ExitCode
from cli.failure import Failure

BYTES_MAX: Final = 1024 * 1024


def load_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in the file *path*; the server validates its fields.

    Raises:
        Failure: absent, too large, not YAML, or not one mapping.
    """
    import yaml  # noqa: PLC0415  slow to import

    try:
        if path.stat().st_size > BYTES_MAX:
            raise Failure(f"{path} is larger than {BYTES_MAX} bytes", ExitCode.USAGE)
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as unread:
        raise Failure(
            f"{path} cannot be read: {unread.strerror}", ExitCode.USAGE, remedy="check the path"
        ) from unread
    except (yaml.YAMLError, ValueError, RecursionError) as wrong:
        raise Failure(
            f"{path} is not YAML: {wrong}", ExitCode.USAGE, remedy="correct the line it names"
        ) from wrong
    if not isinstance(content, dict):
        raise Failure(
            f"{path}: expected a mapping, got {type(content).__name__}",
            ExitCode.USAGE,
            remedy="begin with `releaseRef: …`; `runtimectl init` writes one",
        )
    _require_json(path, content)
    return content


def line_of(path: Path, segments: Sequence[str]) -> int | None:
    """Return the line of *path* where the field at *segments* stands, or else what holds it."""
    import yaml  # noqa: PLC0415  slow to import

    node = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
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


def _require_json(path: Path, content: dict[str, Any]) -> None:
    """Refuse what YAML has and JSON has not: dates, infinities."""
    try:
        json.dumps(content, allow_nan=False)
    except (TypeError, ValueError) as foreign:
        raise Failure(
            f"{path} has a value that JSON does not have: {foreign}",
            ExitCode.USAGE,
            remedy="put dates and the like in quotes: version: '2026-11-28'",
        ) from foreign
