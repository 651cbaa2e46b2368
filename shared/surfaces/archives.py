"""What an archive must be before anyone keeps it: a zip of plain files that lead nowhere else.

Read from the directory of the archive only; a surface counts the bytes again as it unpacks.
"""

import stat
import zipfile
from pathlib import PurePosixPath
from typing import BinaryIO, Final

from shared.surfaces.errors import BadArtifact

FILES_MAX: Final = 20_000
CONTENT_BYTES_MAX: Final = 1024 * 2**20
_SHOWN: Final = 90


def refuse_unsafe_archive(archive: BinaryIO) -> None:
    """Refuse what no surface would unpack.

    Raises:
        BadArtifact: no zip, no files or too many, too large unpacked, a path that leads out of
            it, a link or a device.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = [entry for entry in opened.infolist() if not entry.is_dir()]
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError) as damaged:
        raise BadArtifact(f"expected a zip archive, and this is none: {damaged}") from damaged
    if not 1 <= len(entries) <= FILES_MAX:
        raise BadArtifact(f"an archive must have 1 to {FILES_MAX} files, this has {len(entries)}")
    size = sum(entry.file_size for entry in entries)
    if size > CONTENT_BYTES_MAX:
        raise BadArtifact(f"unpacked it is {size} bytes, at most {CONTENT_BYTES_MAX} are taken")
    for entry in entries:
        _refuse_unsafe(entry)


def _refuse_unsafe(entry: zipfile.ZipInfo) -> None:
    name = entry.filename
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or any(mark in name for mark in "\\:\0"):
        raise BadArtifact(f"the archive has a path that leads out of it: {name[:_SHOWN]!r}")
    if stat.S_IFMT(entry.external_attr >> 16) not in {0, stat.S_IFREG}:
        raise BadArtifact(f"the archive may hold files only, {name[:_SHOWN]!r} is a link or device")
