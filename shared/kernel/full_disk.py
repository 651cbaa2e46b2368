"""How the local cloud says that its disk is full, in words that its adapters pass on."""

from typing import Final

FULL: Final = "the disk is full"


def reason_in(problem: BaseException) -> str:
    """Return `: the disk is full` where *problem* says so; else nothing.

    No other words of a service are passed on to callers: they may have addresses and keys.
    """
    return f": {FULL}" if FULL in str(problem) else ""
