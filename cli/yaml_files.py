"""YAML files that people write: read safely, one mapping a file."""

from pathlib import Path
from typing import Any, Final

from cli.exit_codes import ExitCode
from cli.failure import Failure

BYTES_MAX: Final = 1024 * 1024


def load_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping that *path* holds; what its fields mean is the server's to judge.

    Raises:
        Failure: absent, too large, not YAML, or not one mapping.
    """
    import yaml  # noqa: PLC0415  only who has a file waits for it

    try:
        if path.stat().st_size > BYTES_MAX:
            raise Failure(f"{path} is larger than {BYTES_MAX} bytes", ExitCode.USAGE)
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as unread:
        raise Failure(
            f"{path} cannot be read: {unread.strerror}", ExitCode.USAGE, fix="check the path"
        ) from unread
    except (yaml.YAMLError, UnicodeDecodeError) as wrong:
        raise Failure(
            f"{path} is not YAML: {wrong}", ExitCode.USAGE, fix="correct the line it names"
        ) from wrong
    if not isinstance(said, dict):
        raise Failure(
            f"{path}: expected a mapping, got {type(said).__name__}",
            ExitCode.USAGE,
            fix="begin with `releaseRef: …`, see examples/",
        )
    return said
