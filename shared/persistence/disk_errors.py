"""Translates what a disk refuses to `Unavailable`: a repeat may succeed when there is space."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from shared.kernel.errors import Unavailable
from shared.kernel.full_disk import FULL

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_RETRY_AFTER_S: Final = 5.0
"""People or retention make space; a second is too soon."""


@contextmanager
def translated_errors(what: str) -> Iterator[None]:
    """Raise `Unavailable`, with the reason in words, where *what* cannot be written.

    Raises:
        Unavailable: the disk is full, read-only, gone or broken.
    """
    try:
        yield
    except OSError as problem:
        raise Unavailable(
            f"{what} cannot be written: {reason_of(problem)}", retry_after_s=_RETRY_AFTER_S
        ) from problem


def reason_of(problem: OSError) -> str:
    """Return why the disk refused, without the path, which callers need not know."""
    reason = os.strerror(problem.errno) if problem.errno else str(problem)
    return f"{FULL} ({reason})" if problem.errno in _FULL else reason
