"""Measures and removes folders that a workload filled: at a bounded cost, and never through a link.

Every step is taken from the descriptor of the folder above, so a folder that is exchanged for a
link on the way leads nowhere.
"""

import errno
import itertools
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from shared.kernel.dataclass import dataclass

DEPTH_MAX: Final = 100
"""Folders within folders: each keeps a descriptor open while it is measured."""
_BLOCK_BYTES: Final = 512
"""Of `st_blocks`, whatever the file system's own blocks are."""
_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""What says that a folder went away, or that something else is at its place."""
_Entry = os.stat_result | None
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Usage:
    """What folders take on the disk.

    `is_whole` is False where there may be more: too much to count, too deep, or closed to this
    user.
    """

    bytes: int = 0
    names: int = 0
    is_whole: bool = True


def measure(folders: Iterable[Path], *, bytes_max: int, names_max: int) -> Usage:
    """Return what *folders* take together, counted until one of the bounds is exceeded.

    A folder that is not there takes nothing; a file with several names counts once.
    """
    counted, names, is_whole = 0, 0, True
    linked: set[tuple[int, int]] = set()
    for folder in folders:
        for found in _walk(folder):
            if found is None:
                is_whole = False
                continue
            names += 1
            key = (found.st_dev, found.st_ino)
            if key not in linked:
                counted += found.st_blocks * _BLOCK_BYTES
            if found.st_nlink > 1:
                linked.add(key)
            if counted > bytes_max or names > names_max:
                return Usage(counted, names, is_whole=False)
    return Usage(counted, names, is_whole)


def _walk(folder: str | Path, above: int | None = None, depth: int = 1) -> Iterator[_Entry]:
    """Yield what is in *folder*, depth first; None for what cannot be read or is too deep."""
    try:
        opened = os.open(folder, _FOLDER, dir_fd=above)
    except OSError as refused:
        if refused.errno not in _GONE:
            yield None
        return
    try:
        with os.scandir(opened) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    yield entry.stat(follow_symlinks=False)
                if not entry.is_dir(follow_symlinks=False):
                    continue
                if depth < DEPTH_MAX:
                    yield from _walk(entry.name, opened, depth + 1)
                else:
                    yield None
    except OSError:
        yield None
    finally:
        os.close(opened)


def remove_tree(path: Path) -> None:
    """Remove the folder *path* with all that is in it, as far as this user may; safe to repeat.

    However deep it is, and whatever its modes forbid. What is deep is lifted to the top before it
    is removed, so that neither a path nor a recursion grows with it.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        while _remove_some(path):
            pass


def _remove_some(path: Path) -> bool:
    """Remove what can be removed of *path*; return whether it was something, and not all."""
    top = _open_to_change(path)
    try:
        folders, removed = _remove_files(top)
        numbers = itertools.count()
        for name in folders:
            removed += _lift(name, top, numbers)
    finally:
        os.close(top)
    with suppress(OSError):
        path.rmdir()
        return False
    return removed > 0


def _lift(name: str, top: int, numbers: Iterator[int]) -> int:
    """Move the folders in the folder *name* up to *top* and remove it; return what was changed."""
    changed = 0
    with suppress(OSError):
        folder = _open_to_change(name, top)
        try:
            inner, changed = _remove_files(folder)
            for child in inner:
                _let_change(child, folder)
                _move_up(child, folder, top, numbers)
                changed += 1
        finally:
            os.close(folder)
        os.rmdir(name, dir_fd=top)
        changed += 1
    return changed


def _move_up(name: str, folder: int, top: int, numbers: Iterator[int]) -> None:
    for number in numbers:
        try:
            os.rename(name, f".removed-{number}", src_dir_fd=folder, dst_dir_fd=top)
        except OSError as taken:
            if taken.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                raise
        else:
            return


def _remove_files(folder: int) -> tuple[list[str], int]:
    """Remove what is no folder in *folder*; return the folders, and how many were removed."""
    folders, removed = [], 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            else:
                with suppress(OSError):
                    os.unlink(entry.name, dir_fd=folder)
                    removed += 1
    return folders, removed


def _open_to_change(name: str | Path, above: int | None = None) -> int:
    """Return a descriptor of a folder whose content may be read and changed."""
    try:
        descriptor = os.open(name, _FOLDER, dir_fd=above)
    except PermissionError:
        _let_change(name, above)
        descriptor = os.open(name, _FOLDER, dir_fd=above)
    with suppress(PermissionError):
        os.fchmod(descriptor, 0o700)
    return descriptor


def _let_change(name: str | Path, above: int | None) -> None:
    """Let this user read and change a folder that its owner has closed, where it may."""
    if not hasattr(os, "O_PATH"):
        return
    descriptor = os.open(
        name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above
    )
    try:
        with suppress(OSError):
            # By its descriptor: by its name it could be a link by now.
            os.chmod(f"/proc/self/fd/{descriptor}", 0o700)  # noqa: PTH101
    finally:
        os.close(descriptor)
