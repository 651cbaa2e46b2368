"""Where files of secrets are on a machine whose instances have no mount namespaces.

That is a tmpfs of the platform's user which no workload is shown, so not /dev/shm: all of them have
that one. The sandbox lets an instance into its own folder there.
"""

import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import Final

from shared.persistence.file_trees import remove_tree

NO_MEMORY: Final = (
    "this machine has no memory for the files of secrets: no mount namespaces, and neither /run of"
    " root nor /run/user of another user is a tmpfs: give them as variables"
)
_MOUNTS: Final = Path("/proc/mounts")


@lru_cache(maxsize=1)
def memory_place() -> Path | None:
    """Return the tmpfs of this user; None where the machine has none."""
    user = os.geteuid()
    place = Path("/run") if user == 0 else Path(f"/run/user/{user}")
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return place if is_tmpfs(place, mounts) and os.access(place, os.W_OK) else None


def is_tmpfs(place: Path, mounts: str) -> bool:
    """Return whether *mounts*, as /proc/mounts has them, say that *place* is in memory."""
    kinds = [line.split()[2] for line in mounts.splitlines() if line.split()[1:2] == [str(place)]]
    return kinds[-1:] == ["tmpfs"]


def state_of(folder: Path) -> Path:
    """Return the state folder that *folder* is in, by the name of the surface's part of it."""
    return next((path.parent for path in folder.parents if path.name == "surface"), folder)


def folder_of_start(place: Path, instance: Path, token: str) -> Path:
    """Return the folder in *place* for the files of the start *token* in the folder *instance*."""
    return _of_state(place, state_of(instance)) / token


def prepare(folder: Path) -> None:
    """Make what is above *folder*, which `folder_of_start` gave."""
    folder.parent.mkdir(mode=0o700, exist_ok=True)


def forget_start(instance: Path, token: str) -> None:
    """Remove what the start *token*, which has ended, has left in memory."""
    if (place := memory_place()) is not None:
        remove_tree(folder_of_start(place, instance, token))


def forget_state(state: Path) -> None:
    """Remove what all starts of the state folder *state* have left in memory."""
    if (place := memory_place()) is not None:
        remove_tree(_of_state(place, state))


def _of_state(place: Path, state: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(state)).hexdigest()
    return place / f"factory-runtime-{digest[:16]}"
