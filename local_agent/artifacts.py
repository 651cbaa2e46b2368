"""The artifact cache of this machine: fetch by digest, unpack safely, install once.

An archive is a zip. With `*.whl` files at its root it is a wheelhouse: it is installed without an
index into a virtual environment of its own (the pins of its `requirements.txt` if it has one, else
all wheels); its instances share that environment, and each starts in an empty folder. Any other zip
is a program: each instance runs in a folder of its own with a copy of it.

There are two digests. The artifact digest is of the uploaded bytes; the content digest is of the
unpacked files, so a live folder can be verified later without the archive.
"""

import asyncio
import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Final, Protocol

from local_agent.state_files import file_lock, write_atomically
from local_agent.wheel_installer import end_installers, install
from shared.kernel.concurrency import FairTurns
from shared.kernel.errors import NotFound
from shared.kernel.ids import TenantId
from shared.persistence.file_trees import remove_tree
from shared.persistence.plain_files import open_lock, open_plain, read_plain
from shared.surfaces.archives import ARCHIVE_BYTES_MAX, extract
from shared.surfaces.errors import BadArtifact
from shared.surfaces.spec import artifact_blob
from shared.surfaces.wheelhouses import wheels_of

AT_ONCE: Final = 4
"""How many artifacts are fetched and unpacked at a time; a tenant alone has half of the places."""
_ARCHIVE: Final = "archive-"
_HEX: Final = re.compile("[0-9a-f]{64}")
_LOG: Final = logging.getLogger(__name__)


class ArchiveSource(Protocol):
    """Where the archives are, by the names of `artifact_blob`."""

    async def open(self, name: str) -> AsyncIterator[bytes]:
        """Return the content of an archive, in chunks. Raises NotFound."""
        ...


@dataclass(frozen=True)
class UnpackedArtifact:
    """An artifact ready to run; `content` is a program to copy, or the virtual environment."""

    content: Path
    is_wheelhouse: bool
    files: tuple[str, ...]
    """The files of the archive, relative to `content`: a proof verifies these."""
    digest: str


def content_digest(folder: Path, files: tuple[str, ...]) -> str:
    """Return the digest of *files* in *folder*: names, executable bits, bytes, and absence.

    Files that a workload added do not count.
    """
    total = hashlib.sha256()
    for name in files:
        path = folder / name
        try:
            with os.fdopen(open_plain(path), "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                mode = "x" if os.fstat(file.fileno()).st_mode & stat.S_IXUSR else "-"
        except OSError:
            digest, mode = "absent", "-"
        total.update(f"{name}\0{mode}\0{digest}\n".encode())
    return f"sha256:{total.hexdigest()}"


class Artifacts:
    """The unpacked artifacts below *folder*, one folder per digest."""

    def __init__(self, folder: Path, archives: ArchiveSource) -> None:
        self._folder = folder
        self._archives = archives
        # Apart from the threads that everything else of the agent shares: unpacking takes minutes.
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="unpack")
        self._turns = FairTurns(AT_ONCE)
        self._preparing: dict[tuple[TenantId, str], asyncio.Task[UnpackedArtifact]] = {}

    def find(self, digest: str) -> UnpackedArtifact | None:
        """Return the artifact if it has been prepared; one that was damaged since has not."""
        folder = self._folder_of(digest)
        try:
            manifest = json.loads(read_plain(folder / "unpacked.json"))
            return UnpackedArtifact(
                folder / "content",
                manifest["isWheelhouse"],
                tuple(manifest["files"]),
                manifest["digest"],
            )
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    async def prepare(self, digest: str, tenant: TenantId) -> UnpackedArtifact:
        """Return the artifact ready to run; a repeat finds it prepared.

        What has to be fetched and unpacked waits for a turn of *tenant*, and goes on when nobody
        waits for it any longer. All who ask for one artifact meanwhile wait for the same.

        Raises:
            BadArtifact: absent, not of that digest, unsafe to unpack, or not installable.
        """
        prepared = await asyncio.to_thread(self.find, digest)
        if prepared is not None:
            return prepared
        # Not by the digest alone: another tenant would wait for the turns of this one.
        key = (tenant, digest)
        if key not in self._preparing:
            self._preparing[key] = asyncio.create_task(self._prepare(digest, tenant))
            self._preparing[key].add_done_callback(partial(self._end_preparing, key))
        return await asyncio.shield(self._preparing[key])

    def _end_preparing(
        self, key: tuple[TenantId, str], prepared: asyncio.Task[UnpackedArtifact]
    ) -> None:
        del self._preparing[key]
        if not prepared.cancelled() and prepared.exception() is not None:
            _LOG.info("%s cannot be prepared: %s", key[1], prepared.exception())

    async def _prepare(self, digest: str, tenant: TenantId) -> UnpackedArtifact:
        loop = asyncio.get_running_loop()
        async with self._turns.turn(tenant):
            with await loop.run_in_executor(self._threads, self._locked, fcntl.LOCK_SH):
                folder = self._folder_of(digest)
                folder.mkdir(parents=True, exist_ok=True)
                # Another tenant may fetch it at the same time, so each has a file of its own.
                with tempfile.NamedTemporaryFile(prefix=_ARCHIVE, dir=folder) as archive:
                    await self._fetch(digest, archive)
                    path = Path(archive.name)
                    return await loop.run_in_executor(self._threads, self._unpack, digest, path)

    def unpacked(self) -> list[str]:
        """Return the digests that have a folder, prepared or begun. Raises OSError."""
        try:
            names = [path.name for path in (self._folder / "sha256").iterdir()]
        except FileNotFoundError:
            return []
        return [f"sha256:{name}" for name in names if _HEX.fullmatch(name)]

    def remove(
        self, digests: Collection[str], read_needed: Callable[[], Collection[str] | None]
    ) -> None:
        """Remove the folders of *digests* that *read_needed* does not name, or none if it is None.

        Nothing while an artifact is being prepared. What is removed is gone at once, whole: a
        folder is moved away before it is deleted, and one that is left there is deleted next time.
        """
        removed = self._folder / "removed"
        with suppress(BlockingIOError), self._locked(fcntl.LOCK_EX | fcntl.LOCK_NB):
            needed = read_needed() if digests else None
            for digest in () if needed is None else {*digests} - {*needed}:
                folder = self._folder_of(digest)
                try:
                    removed.mkdir(exist_ok=True)
                    folder.rename(removed / folder.name)
                    _LOG.info("%s is removed: no revision here needs it", digest)
                except OSError as failed:
                    _LOG.warning("%s cannot be removed: %s", digest, failed)
        remove_tree(removed)

    def remove_leftovers(self) -> None:
        """End the installers that an agent left when it was killed, and remove their files and its.

        Nothing while an artifact is being prepared.
        """
        try:
            with self._locked(fcntl.LOCK_EX | fcntl.LOCK_NB):
                for archive in self._folder.glob(f"sha256/*/{_ARCHIVE}*"):
                    archive.unlink(missing_ok=True)
                end_installers(self._folder)
        except BlockingIOError:
            return
        except OSError as failed:
            _LOG.warning("leftovers of an installation stay: %s", failed)

    def _locked(self, kind: int) -> IO[str]:
        """Return the lock between those who prepare artifacts and who removes them, held."""
        file = os.fdopen(open_lock(self._folder / "lock"), "a")
        try:
            fcntl.flock(file, kind)
        except BaseException:
            file.close()
            raise
        return file

    def copy(self, unpacked: UnpackedArtifact, folder: Path) -> None:
        """Make the working *folder* of an instance: the program's files; none for a wheelhouse."""
        shutil.rmtree(folder, ignore_errors=True)
        if unpacked.is_wheelhouse:
            folder.mkdir(parents=True)
        else:
            shutil.copytree(unpacked.content, folder)

    def _folder_of(self, digest: str) -> Path:
        return self._folder / artifact_blob(digest)

    async def _fetch(self, digest: str, archive: IO[bytes]) -> None:
        try:
            chunks = await self._archives.open(artifact_blob(digest))
        except NotFound as absent:
            raise BadArtifact(f"no artifact {digest} was uploaded", target="/artifact") from absent
        received, size = hashlib.sha256(), 0
        async for chunk in chunks:
            size += len(chunk)
            if size > ARCHIVE_BYTES_MAX:
                raise BadArtifact(f"{digest} is larger than {ARCHIVE_BYTES_MAX} bytes")
            received.update(chunk)
            archive.write(chunk)
        archive.flush()
        if f"sha256:{received.hexdigest()}" != digest:
            raise BadArtifact(
                f"expected {digest}, the stored bytes are sha256:{received.hexdigest()}"
            )

    def _unpack(self, digest: str, archive: Path) -> UnpackedArtifact:
        folder = self._folder_of(digest)
        with file_lock(folder / "lock"):
            return self.find(digest) or self._unpack_locked(folder, archive)

    def _unpack_locked(self, folder: Path, archive: Path) -> UnpackedArtifact:
        for leftover in ("content", "wheels"):
            remove_tree(folder / leftover)
        content = folder / "content"
        names = extract(archive, folder / "wheels")
        wheels = wheels_of(names)
        if wheels:
            install(folder / "wheels", wheels, content, self._folder / "installer")
            shutil.rmtree(folder / "wheels")
        else:
            (folder / "wheels").rename(content)
        files = tuple(
            sorted(
                path.relative_to(content).as_posix()
                for path in content.rglob("*")
                if path.is_file() and not path.is_symlink() and "__pycache__" not in path.parts
            )
        )
        unpacked = UnpackedArtifact(content, bool(wheels), files, content_digest(content, files))
        manifest = {"isWheelhouse": bool(wheels), "files": files, "digest": unpacked.digest}
        write_atomically(folder / "unpacked.json", json.dumps(manifest).encode(), is_durable=False)
        return unpacked
