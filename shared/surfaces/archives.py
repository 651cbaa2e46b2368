"""Checks and unpacks archives: zips of plain files whose paths stay inside the archive's folder.

The service checks the directory of the archive only; a surface checks it again and counts the bytes
while it unpacks.
"""

import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final, cast

from shared.surfaces.errors import BadArtifact
from shared.surfaces.wheelhouses import refuse_unsafe_wheelhouse

ARCHIVE_BYTES_MAX: Final = 100 * 2**20
"""The bound of an upload (contracts, section 7), which no surface exceeds."""
FILES_MAX: Final = 20_000
ENTRIES_MAX: Final = 2 * FILES_MAX
"""With folders, which are entries too. To list half a million takes nine seconds."""
_ENTRY: Final = b"PK\x01\x02"
"""Begins each entry of the directory (APPNOTE.TXT, 4.3.12)."""
CONTENT_BYTES_MAX: Final = 1024 * 2**20
_SHOWN: Final = 90
_CHUNK: Final = 1 << 20


def refuse_unsafe_archive(archive: BinaryIO) -> None:
    """Refuse an archive that no surface would unpack.

    Raises:
        BadArtifact: not a zip, no files or too many, too large unpacked, a path that leaves the
            folder, a link or a device, requirements of wheels that are no pins.
    """
    with _open_zip(archive) as zip_file:
        _safe_entries(zip_file)


def extract(archive: Path, folder: Path, *, bytes_max: int = CONTENT_BYTES_MAX) -> list[str]:
    """Unpack *archive* into the new *folder*; return the names of its files.

    Raises:
        BadArtifact: unsafe as for `refuse_unsafe_archive`, damaged, or more bytes than
            *bytes_max*, counted while unpacking.
    """
    with archive.open("rb") as file, _open_zip(file) as zip_file:
        entries = _safe_entries(zip_file)
        bytes_left = bytes_max
        for entry in entries:
            bytes_left -= _extract_entry(zip_file, entry, folder, bytes_left)
    return [entry.filename for entry in entries]


class _BoundedDirectory:
    """A zip file whose directory is not given to `zipfile`, which reads it whole, if it is long."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size)
        if content.startswith(_ENTRY) and (count := content.count(_ENTRY)) > ENTRIES_MAX:
            raise BadArtifact(
                f"an archive must have 1 to {FILES_MAX} files, this one has {count} entries"
            )
        return content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def _open_zip(archive: BinaryIO) -> Iterator[zipfile.ZipFile]:
    """Open *archive*; every error that `zipfile` raises, then or later, becomes a BadArtifact."""
    try:
        with zipfile.ZipFile(cast("BinaryIO", _BoundedDirectory(archive))) as zip_file:
            yield zip_file
    except (
        zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, ValueError, zlib.error
    ) as damaged:  # fmt: skip
        raise BadArtifact(f"expected a complete zip archive: {damaged}") from damaged


def _safe_entries(zip_file: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    entries = [entry for entry in zip_file.infolist() if not entry.is_dir()]
    if not 1 <= len(entries) <= FILES_MAX:
        raise BadArtifact(
            f"an archive must have 1 to {FILES_MAX} files, this one has {len(entries)}"
        )
    size = sum(entry.file_size for entry in entries)
    if size > CONTENT_BYTES_MAX:
        raise BadArtifact(
            f"the archive unpacks to {size} bytes, at most {CONTENT_BYTES_MAX} are allowed"
        )
    for entry in entries:
        _refuse_unsafe(entry)
    refuse_unsafe_wheelhouse(zip_file, [entry.filename for entry in entries])
    return entries


def _refuse_unsafe(entry: zipfile.ZipInfo) -> None:
    name = entry.filename
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or any(mark in name for mark in "\\:\0"):
        raise BadArtifact(f"the archive has a path that leads out of its folder: {name[:_SHOWN]!r}")
    if stat.S_IFMT(entry.external_attr >> 16) not in {0, stat.S_IFREG}:
        raise BadArtifact(
            f"the archive may contain files only, {name[:_SHOWN]!r} is a link or device"
        )


def _extract_entry(
    zip_file: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path, bytes_max: int
) -> int:
    """Unpack *entry* below *folder*; return its size in bytes."""
    target = folder / PurePosixPath(entry.filename)
    size = 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with zip_file.open(entry) as source, target.open("xb") as file:
            while chunk := source.read(_CHUNK):
                size += len(chunk)
                if size > bytes_max:
                    raise BadArtifact("the unpacked archive is larger than allowed")
                file.write(chunk)
    except OSError as clash:
        raise BadArtifact(
            f"{entry.filename[:_SHOWN]!r} cannot be unpacked: {clash.strerror}"
        ) from clash
    target.chmod(0o755 if (entry.external_attr >> 16) & stat.S_IXUSR else 0o644)
    return size
