"""The names that Cosmos DB gives to databases and containers."""

import re
from typing import Final

from shared.kernel.errors import Invalid

_NAMEABLE: Final = r"[^/\\#?\x00-\x1f\x7f\ud800-\udfff]"
_CONTAINER: Final = re.compile(rf"(?!sqlite_){_NAMEABLE}{{1,255}}(?<! )", re.IGNORECASE)


def checked_container(name: str) -> str:
    """Return *name* if Cosmos DB would name a container so. Raises Invalid."""
    if not _CONTAINER.fullmatch(name):
        raise Invalid(
            "a container's name has 1 to 255 characters, none of / \\ # ? and no space at the end,"
            f" got {name[:80]!r}"
        )
    return name
