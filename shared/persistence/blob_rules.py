"""What a blob may be named; every adapter makes the same check."""

from typing import Final

from shared.kernel.errors import Invalid

NAME_MAX: Final = 1024
PART_MAX_BYTES: Final = 255


def checked_name(name: str) -> str:
    """Return *name* if it can only lie inside its container. Raises Invalid."""
    parts = name.split("/")
    if (
        not 1 <= len(name) <= NAME_MAX
        or not name.isprintable()
        or "\\" in name
        or any(part.startswith(".") or not part for part in parts)
        or any(len(part.encode()) > PART_MAX_BYTES for part in parts)
    ):
        raise Invalid(
            f"a blob's name is 1 to {NAME_MAX} printable characters in parts joined by '/',"
            f" none empty or beginning with '.', got {name[:80]!r}"
        )
    return name
