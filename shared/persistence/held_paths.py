"""Notices that a file or folder was removed, or that another stands at its path.

Whoever works on in a folder that is gone writes where nobody will read, beside another who began
anew at the same path.
"""

import asyncio
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from shared.kernel.clock import Clock

INTERVAL_S: Final = 1.0


async def first_removed(paths: Sequence[Path], clock: Clock) -> Path:
    """Return the first of *paths* that is not what it was at the call; wait until one is not.

    Each is held open, so that nothing else is given its inode. A path that cannot be looked at for
    another reason than its absence, such as a disk that fails, counts as still there.
    """
    with ExitStack() as held:
        descriptors = {path: await asyncio.to_thread(_open, path) for path in paths}
        for descriptor in descriptors.values():
            if descriptor is not None:
                held.callback(os.close, descriptor)
        while True:
            for path, descriptor in descriptors.items():
                if descriptor is None or await asyncio.to_thread(_is_other, path, descriptor):
                    return path
            await clock.sleep(INTERVAL_S)


def _open(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None


def _is_other(path: Path, descriptor: int) -> bool:
    """Return whether *path* is absent, or another file than the open *descriptor* is."""
    try:
        return not os.path.samestat(path.stat(), os.fstat(descriptor))
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
