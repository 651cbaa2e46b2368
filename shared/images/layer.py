"""One layer of an image: a compressed archive of files whose bytes follow from their content.

Names are sorted, times are 0, owners are root, and modes are 755 or 644, so that who builds, where
and when makes no difference.
https://github.com/opencontainers/image-spec/blob/main/layer.md
"""

import gzip
import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final, Protocol

from shared.kernel.dataclass import dataclass

COMPRESSION: Final = 6
_STICKY: Final = 0o1777
_SKIPPED: Final = frozenset({"__pycache__"})


@dataclass(frozen=True)
class TextFile:
    text: str
    is_program: bool = False


@dataclass(frozen=True)
class Link:
    """A symbolic link; `to` is its text."""

    to: str


@dataclass(frozen=True)
class Folder:
    """A folder by itself; with *is_scratch* everybody may write to it, as to /tmp."""

    is_scratch: bool = False


Entry = Path | TextFile | Link | Folder
"""A file of this machine, or what stands for one."""


@dataclass(frozen=True)
class Layer:
    """A layer in a file. `digest` is that of the file, `diff_id` that of what it unpacks to."""

    digest: str
    diff_id: str
    size: int


class _Sink(Protocol):
    def write(self, data: bytes, /) -> object: ...


class _Hashed(io.RawIOBase):
    """Passes on what is written, and knows its digest and its length."""

    def __init__(self, sink: _Sink) -> None:
        self._sink = sink
        self._total = hashlib.sha256()
        self.size = 0

    def write(self, data: "bytes | bytearray | memoryview", /) -> int:  # type: ignore[override]
        content = bytes(data)
        self._total.update(content)
        self._sink.write(content)
        self.size += len(content)
        return len(content)

    def writable(self) -> bool:
        return True

    @property
    def digest(self) -> str:
        return f"sha256:{self._total.hexdigest()}"


def files_below(root: Path, prefix: str = "") -> dict[str, Entry]:
    """Return the files and links below *root*, by their names below *prefix* in the image.

    Devices, pipes and sockets are left out, as are compiled files of Python.
    """
    entries: dict[str, Entry] = {}
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if name not in _SKIPPED]
        for name in (*files, *(each for each in names if (Path(folder) / each).is_symlink())):
            path = Path(folder) / name
            where = (PurePosixPath(prefix) / path.relative_to(root).as_posix()).as_posix()
            if path.is_symlink():
                entries[where] = Link(str(path.readlink()))
            elif path.is_file():
                entries[where] = path
    return entries


def write_layer(entries: Mapping[str, Entry], target: BinaryIO) -> Layer:
    """Write the layer of *entries*, by their names in the image, to *target*."""
    packed = _Hashed(target)
    with gzip.GzipFile("", "wb", COMPRESSION, packed, mtime=0) as compressed:
        plain = _Hashed(compressed)
        with tarfile.open(fileobj=plain, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            folders: set[str] = set()
            for name in sorted(entries):
                _put(name, entries[name], archive, folders)
    return Layer(packed.digest, plain.digest, packed.size)


def _put(name: str, entry: Entry, archive: tarfile.TarFile, folders: set[str]) -> None:
    for parent in reversed(PurePosixPath(name).parents):
        folder = parent.as_posix()
        if folder != "." and folder not in folders:
            folders.add(folder)
            archive.addfile(_folder(folder, 0o755))
    info = tarfile.TarInfo(name)
    match entry:
        case Link(to):
            info.type, info.linkname, info.mode = tarfile.SYMTYPE, to, 0o777
            archive.addfile(info)
        case Folder(is_scratch):
            folders.add(name)
            archive.addfile(_folder(name, _STICKY if is_scratch else 0o755))
        case TextFile(text, is_program):
            content = text.encode()
            info.size, info.mode = len(content), 0o755 if is_program else 0o644
            archive.addfile(info, io.BytesIO(content))
        case _:
            with entry.open("rb") as file:
                found = os.fstat(file.fileno())
                info.size = found.st_size
                info.mode = 0o755 if found.st_mode & stat.S_IXUSR else 0o644
                archive.addfile(info, file)


def _folder(name: str, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, mode
    return info
