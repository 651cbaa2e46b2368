"""Reads YAML files that people write, safely: one mapping per file."""

from pathlib import Path
from typing import Any, Final

from cli.exit_codes import ExitCode
from cli.failure import Failure
from shared.kernel.yaml_values import loader_of_json

BYTES_MAX: Final = 1024 * 1024
VALUES_MAX: Final = 100_000
"""With aliases written out, as they are in JSON."""
_WORDS: Final = {type(None): "nothing", str: "text", list: "a list"}


def load_yaml(
    path: Path, *, begins: str = "begin with `releaseRef: …`; `runtimectl init` writes one"
) -> dict[str, Any]:
    """Return the mapping in the file *path*; the server validates its fields.

    *begins* says what a file of its kind begins with.

    Raises:
        Failure: absent, too large, not YAML, or not one mapping.
    """
    import yaml  # noqa: PLC0415  slow to import

    try:
        if path.stat().st_size > BYTES_MAX:
            raise Failure(f"{path} is larger than {BYTES_MAX} bytes", ExitCode.USAGE)
        text = path.read_text(encoding="utf-8")
        loader = loader_of_json(yaml.SafeLoader)(text)
        node = loader.get_single_node()
        if _count_values(node, {}) > VALUES_MAX:
            raise Failure(f"{path} has more than {VALUES_MAX} values", ExitCode.USAGE)
        content = loader.construct_document(node) if node else None
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
            f"{path}: expected a mapping, got {_WORDS.get(type(content), 'a value')}",
            ExitCode.USAGE,
            remedy=begins,
        )
    return content


def _count_values(node: Any, counted: dict[int, int]) -> int:
    """Return how many values *node* has, aliases written out."""
    if node is None or isinstance(node.value, str):
        return 1
    if id(node) not in counted:
        parts = [value for _, value in node.value] if node.id == "mapping" else node.value
        counted[id(node)] = 1 + sum(_count_values(part, counted) for part in parts)
    return counted[id(node)]
