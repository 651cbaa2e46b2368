"""Files of secrets in a folder that is in memory, for the eyes of one user."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def write(folder: str, files: Mapping[str, str], owner: int | None) -> None:
    """Write *files*, texts by name, into *folder*, which has mode 0700; None: its owner is us."""
    paths = [folder]
    for name, text in files.items():
        paths.append(f"{folder}/{name}")
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        with open(os.open(paths[-1], flags, 0o600), "wb") as file:
            file.write(text.encode())
    for path in paths:
        if owner is not None:
            os.chown(path, owner, owner)


def remove(folder: str) -> None:
    """Remove *folder* with its files, as far as it is there."""
    try:
        for name in os.listdir(folder):
            os.unlink(f"{folder}/{name}")
        os.rmdir(folder)
    except OSError:
        pass  # the agent removes it too, and whoever wrote into it may be at it still
