"""Opens files that a workload can replace: plain files only, never through a link.

A pipe in place of a file would make whoever opens it wait for ever, a link would lead to another
file, and a device may do anything when it is opened. What is no plain file counts as absent.
"""

import os
import stat
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from shared.persistence.durable_files import sync_folder
from shared.persistence.file_trees import remove_tree

READ_MAX: Final = 16 * 2**20
"""No document of ours is longer; a longer one is not ours."""
_SAFE: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class NotPlain(FileNotFoundError):
    """There is something else than a plain file."""


def open_plain(path: Path, flags: int = os.O_RDONLY) -> int:
    """Return a descriptor of the plain file *path*.

    Raises:
        NotPlain: there is something else.
        OSError: as `os.open`.
    """
    if not stat.S_ISREG(os.lstat(path).st_mode):  # some devices act when they are opened
        raise NotPlain(f"{path} is no plain file")
    try:
        descriptor = os.open(path, flags | _SAFE)
    except OSError as problem:
        raise NotPlain(f"{path} cannot be opened as a plain file: {problem}") from problem
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise NotPlain(f"{path} is no plain file")


def read_plain(path: Path, *, at_most: int = READ_MAX) -> bytes:
    """Return the content of the plain file *path*, and of a longer one what is at its end.

    Raises:
        OSError: as `open_plain`.
    """
    with os.fdopen(open_plain(path), "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - at_most))
        return file.read(at_most)


def append_to(path: Path) -> int:
    """Return a descriptor that appends to the plain file *path*, made anew where it is none."""
    flags = os.O_WRONLY | os.O_APPEND
    while True:
        try:
            return open_plain(path, flags)
        except NotPlain:
            remove(path)
        except FileNotFoundError:
            pass
        with suppress(FileExistsError):  # another process was quicker, and its file is as good
            return os.open(path, flags | os.O_CREAT | os.O_EXCL | _SAFE, 0o600)


def write_new(path: Path, content: bytes, *, is_durable: bool = False) -> None:
    """Write *content* to a new file *path*, whatever stood there."""
    remove(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        if is_durable:
            os.fsync(descriptor)


def write_private(path: Path, content: bytes, *, is_durable: bool = True) -> None:
    """Replace *path* by *content*, mode 0600; its folder is made, mode 0700.

    Readers find the old or the new content, whole, whoever else writes it at the same time.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = part_of(path)
    write_new(part, content, is_durable=is_durable)
    part.replace(path)
    if is_durable:
        sync_folder(path.parent)


def part_of(path: Path) -> Path:
    """Return where this thread writes what becomes *path*; no other has the same."""
    return path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.new")


def bound_log(path: Path, at_most: int) -> None:
    """Move the end of a log longer than *at_most* bytes to `<path>.1`, and begin it again.

    Who appends to it goes on with the same file; what comes between the two is lost.
    """
    with suppress(FileNotFoundError):
        descriptor = open_plain(path, os.O_RDWR)
        try:
            if os.fstat(descriptor).st_size > at_most:
                write_new(path.with_name(f"{path.name}.1"), read_plain(path, at_most=at_most))
                os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)


def open_lock(path: Path) -> int:
    """Return a descriptor of the lock file *path*, made where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return append_to(path)


def remove(path: Path) -> None:
    """Remove what stands at *path*, if anything does; the target of a link stays."""
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)
