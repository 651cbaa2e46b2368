"""A disk of a few MiB, for tests of what happens when it is full, read-only or gone."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, mib: int = 4) -> Iterator[Path]:
    """Mount a disk of *mib* at *folder*; skips where the machine does not let us."""
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={mib}m", "none", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Fill *disk* to its last byte; return the file that can be deleted again."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError:
            return filler
    raise AssertionError("the disk has no end")


def make_read_only(disk: Path) -> None:
    _mount("-o", "remount,ro", str(disk))


def _mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this machine lets nobody mount: {done.stderr.strip()}")
