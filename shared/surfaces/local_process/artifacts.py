"""Artifacts on this machine: fetched by digest, unpacked safely, installed once.

An archive is a zip. With `*.whl` files at its root it is a wheelhouse: installed without any
index into a virtual environment of its own (of `requirements.txt`, if there is one, else of all
wheels); instances share it and have an empty folder each. Any other zip is a program: each
instance runs in a folder of its own with a copy of it.

Two digests: the artifact's is of the uploaded bytes; the content's is of the files that came out
of it, so that a live folder can be compared again later without the archive.
"""

import asyncio
import fcntl
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from shared.kernel.errors import NotFound
from shared.persistence.blobs import Blobs
from shared.surfaces.archives import extract
from shared.surfaces.errors import BadArtifact
from shared.surfaces.spec import artifact_blob

ARCHIVE_BYTES_MAX: Final = 100 * 2**20
"""The API's bound for an upload (contracts, section 7)."""
INSTALL_S: Final = 300.0


@dataclass(frozen=True)
class Unpacked:
    """`content` is a program to copy, or the virtual environment itself."""

    content: Path
    is_wheelhouse: bool
    files: tuple[str, ...]
    """What came out of the archive, relative to `content`: what a proof looks at."""
    digest: str


def content_digest(folder: Path, files: tuple[str, ...]) -> str:
    """Return the digest of *files* in *folder*: names, executable bits, bytes; absent counts too.

    Files that a workload added are its own business and do not count.
    """
    total = hashlib.sha256()
    for name in files:
        path = folder / name
        try:
            with path.open("rb") as file:
                inner = hashlib.file_digest(file, "sha256").hexdigest()
            mode = "x" if path.stat().st_mode & stat.S_IXUSR else "-"
        except OSError:
            inner, mode = "absent", "-"
        total.update(f"{name}\0{mode}\0{inner}\n".encode())
    return f"sha256:{total.hexdigest()}"


class Artifacts:
    """The unpacked artifacts below *folder*, one folder per digest. Safe for several hosts."""

    def __init__(self, folder: Path, blobs: Blobs) -> None:
        self._folder = folder
        self._blobs = blobs

    def find(self, digest: str) -> Unpacked | None:
        """Return the artifact if it has been prepared whole."""
        place = self._place(digest)
        try:
            told = json.loads((place / "unpacked.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return Unpacked(
            place / "content", told["isWheelhouse"], tuple(told["files"]), told["digest"]
        )

    async def prepare(self, digest: str) -> Unpacked:
        """Return the artifact ready to run; the second time without work.

        Raises:
            BadArtifact: absent, not what its digest says, unsafe to unpack, or not installable.
        """
        found = self.find(digest)
        if found is not None:
            return found
        place = self._place(digest)
        place.mkdir(parents=True, exist_ok=True)
        archive = await self._fetch(digest, place)
        return await asyncio.to_thread(self._unpack, digest, archive)

    def copy(self, unpacked: Unpacked, folder: Path) -> None:
        """Give an instance its own *folder*: the program's files, or nothing for a wheelhouse."""
        shutil.rmtree(folder, ignore_errors=True)
        if unpacked.is_wheelhouse:
            folder.mkdir(parents=True)
        else:
            shutil.copytree(unpacked.content, folder)

    def _place(self, digest: str) -> Path:
        return self._folder / artifact_blob(digest)

    async def _fetch(self, digest: str, place: Path) -> Path:
        try:
            chunks = await self._blobs.open(artifact_blob(digest))
        except NotFound as absent:
            raise BadArtifact(f"no artifact {digest} was uploaded", target="/artifact") from absent
        # A name of its own: the same digest may be fetched twice at a time.
        handle, name = tempfile.mkstemp(suffix=".zip", dir=place)
        archive = place / name
        try:
            with os.fdopen(handle, "wb") as file:
                await _receive(chunks, digest, file)
        except BaseException:
            archive.unlink()
            raise
        return archive

    def _unpack(self, digest: str, archive: Path) -> Unpacked:
        place = self._place(digest)
        try:
            with _only_one(place / "lock"):
                found = self.find(digest)
                if found is not None:
                    return found
                return self._unpack_alone(place, archive)
        finally:
            archive.unlink(missing_ok=True)

    def _unpack_alone(self, place: Path, archive: Path) -> Unpacked:
        for leftover in ("content", "wheels"):
            shutil.rmtree(place / leftover, ignore_errors=True)
        content = place / "content"
        names = extract(archive, place / "wheels")
        wheels = [name for name in names if "/" not in name and name.endswith(".whl")]
        if wheels:
            _install(place / "wheels", wheels, content, self._folder / "installer")
            shutil.rmtree(place / "wheels")
        else:
            (place / "wheels").rename(content)
        files = tuple(sorted(_brought(content)))
        unpacked = Unpacked(content, bool(wheels), files, content_digest(content, files))
        told = {"isWheelhouse": bool(wheels), "files": files, "digest": unpacked.digest}
        draft = place / "unpacked.draft"
        draft.write_text(json.dumps(told), encoding="utf-8")
        draft.rename(place / "unpacked.json")
        return unpacked


async def _receive(chunks: AsyncIterator[bytes], digest: str, file: BinaryIO) -> None:
    seen, size = hashlib.sha256(), 0
    async for chunk in chunks:
        size += len(chunk)
        if size > ARCHIVE_BYTES_MAX:
            raise BadArtifact(f"{digest} is larger than {ARCHIVE_BYTES_MAX} bytes")
        seen.update(chunk)
        file.write(chunk)
    if f"sha256:{seen.hexdigest()}" != digest:
        raise BadArtifact(f"expected {digest}, the stored bytes are sha256:{seen.hexdigest()}")


def _brought(content: Path) -> Iterator[str]:
    for path in content.rglob("*"):
        if path.is_file() and not path.is_symlink() and "__pycache__" not in path.parts:
            yield path.relative_to(content).as_posix()


def base_python() -> str:
    """Return the interpreter under ours, so that a workload never sees the host's packages."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def _install(wheels: Path, names: list[str], target: Path, installer: Path) -> None:
    with _only_one(installer.with_suffix(".lock")):
        if not (installer / "complete").exists():
            shutil.rmtree(installer, ignore_errors=True)
            _run([base_python(), "-I", "-m", "venv", str(installer)], "make the installer")
            (installer / "complete").touch()
    _run([base_python(), "-I", "-m", "venv", "--without-pip", str(target)], "make the environment")
    wanted = ["--no-deps", *names]
    if (wheels / "requirements.txt").exists():
        wanted = ["--find-links", ".", "-r", "requirements.txt"]
    pip = [str(installer / "bin" / "python"), "-I", "-m", "pip", "--isolated"]
    _run(
        [*pip, "--python", str(target / "bin" / "python"), "install", "--no-index", "-q",
         "--disable-pip-version-check", "--no-cache-dir", *wanted],
        "install the wheels",
        folder=wheels,
    )  # fmt: skip


def _run(command: list[str], purpose: str, folder: Path | None = None) -> None:
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(folder or Path("/")), "LANG": "C.UTF-8"}
    try:
        done = subprocess.run(  # noqa: S603  our own command line
            command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, timeout=INSTALL_S,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, text=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        raise BadArtifact(f"it took longer than {INSTALL_S:.0f} s to {purpose}") from late
    if done.returncode:
        raise BadArtifact(f"could not {purpose}: {done.stdout.strip()[-500:]}")


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
