"""The bound of what an instance writes into its own folders, as of a pod's ephemeral storage.

Measured now and then, beside the loop: an instance may exceed it for as long as a look takes to
come, and files that it has deleted and still holds open are not seen.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from shared.kernel.clock import Clock
from shared.persistence.file_trees import measure

FOLDERS: Final = ("work", "home", "tmp")
"""Of an instance: what it has at its start is empty or a copy, and counts as well."""
BYTES_MAX: Final = 2 * 2**30
NAMES_MAX: Final = 200_000
INTERVAL_S: Final = 10.0
"""As a kubelet's."""
_REST: Final = 9
"""Times as long as a round took, so that looking takes a tenth of one processor at most."""
_LOOK_S: Final = 1.0
_FALL_BYTES: Final = 256 * 2**20
_FALL_NAMES: Final = 20_000
"""A disk that has lost so much since the last round is looked at again at once."""


def is_over(folder: Path) -> bool:
    """Return whether the scratch of the instance in *folder* is over its bound.

    Also when it cannot be measured, as it is too deep or closed to this user: nothing bounds it.
    """
    places = [folder / name for name in FOLDERS]
    return not measure(places, bytes_max=BYTES_MAX, names_max=NAMES_MAX).is_whole


class ScratchMeter:
    """Measures the scratch of all instances of a machine, one after the other."""

    def __init__(self, clock: Clock, root: Path, is_over: Callable[[Path], bool] = is_over) -> None:
        self._clock = clock
        self._root = root
        self._is_over = is_over
        self._folders: dict[str, Path] = {}
        self._over: set[str] = set()

    def exceeds(self, token: str, folder: Path) -> bool:
        """Return whether the start *token*, in *folder*, was over its bound.

        It is measured from the first time on that this is asked, until it is forgotten.
        """
        self._folders[token] = folder
        return token in self._over

    def forget(self, token: str) -> None:
        """Measure the start *token*, which has ended, no longer."""
        self._folders.pop(token, None)
        self._over.discard(token)

    async def run(self) -> None:
        """Measure those that were asked for, round after round, until canceled."""
        while True:
            began_s = self._clock.monotonic_s()
            for token, folder in list(self._folders.items()):
                if await asyncio.to_thread(self._is_over, folder) and token in self._folders:
                    self._over.add(token)
            await self._rest(self._clock.monotonic_s() - began_s)

    async def _rest(self, took_s: float) -> None:
        now_s = self._clock.monotonic_s()
        at_least_s, at_most_s = now_s + _REST * took_s, now_s + max(INTERVAL_S, _REST * took_s)
        free_bytes, free_names = await asyncio.to_thread(_free, self._root)
        while (now_s := self._clock.monotonic_s()) < at_most_s:
            await self._clock.sleep(min(_LOOK_S, at_most_s - now_s))
            left_bytes, left_names = await asyncio.to_thread(_free, self._root)
            if free_bytes - left_bytes > _FALL_BYTES or free_names - left_names > _FALL_NAMES:
                at_most_s = at_least_s


def _free(root: Path) -> tuple[int, int]:
    """Return the bytes and names that are free on the disk of *root*; 0 where it is gone."""
    try:
        disk = os.statvfs(root)
    except OSError:
        return 0, 0
    return disk.f_bfree * disk.f_frsize, disk.f_ffree
