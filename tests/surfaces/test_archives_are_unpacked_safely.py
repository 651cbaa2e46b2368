"""An archive from outside cannot write outside its folder, nor fill the disk."""

import asyncio
import io
import stat
import struct
import zipfile
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from local_agent.artifacts import Artifacts, content_digest
from local_agent.state_files import file_lock
from shared.kernel.clock import SystemClock
from shared.kernel.ids import TenantId
from shared.surfaces.archives import ENTRIES_MAX, extract, refuse_unsafe_archive
from shared.surfaces.errors import BadArtifact
from shared.surfaces.spec import artifact_blob
from tests.kit.patience import PATIENCE_S
from tests.surfaces.harness import ACME
from tests.surfaces.local_process_harness import FolderBlobs, upload, zipped


def _entry(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = mode << 16
    return entry


def _archive(folder: Path, *entries: tuple[zipfile.ZipInfo, bytes]) -> Path:
    path = folder / "archive.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in entries:
            archive.writestr(entry, content)
    return path


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("../outside.py", id="up"),
        pytest.param("a/../../outside.py", id="up-from-within"),
        pytest.param("/tmp/outside.py", id="absolute"),
        pytest.param("..\\outside.py", id="backslash"),
        pytest.param("C:outside.py", id="drive"),
    ],
)
def test_a_path_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    archive = _archive(tmp_path, (_entry("fine.py"), b""), (_entry(name), b"print()"))

    with pytest.raises(BadArtifact, match="leads out"):
        extract(archive, tmp_path / "content")

    assert sorted(path.name for path in tmp_path.rglob("*")) == ["archive.zip"]


@pytest.mark.parametrize(
    "kind",
    [pytest.param(stat.S_IFLNK, id="link"), pytest.param(stat.S_IFCHR, id="device")],
)
def test_links_and_devices_are_refused(tmp_path: Path, kind: int) -> None:
    archive = _archive(tmp_path, (_entry("etc", kind | 0o777), b"/etc"))

    with pytest.raises(BadArtifact, match="link or device"):
        extract(archive, tmp_path / "content")


def test_size_is_counted_as_it_comes(tmp_path: Path) -> None:
    archive = _archive(tmp_path, (_entry("zeros"), bytes(4 << 20)))

    with pytest.raises(BadArtifact, match="larger"):
        extract(archive, tmp_path / "content", bytes_max=1 << 20)


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([("a", b"1"), ("a/b", b"2")], id="a-file-as-folder"),
        pytest.param([], id="nothing"),
    ],
)
def test_an_archive_that_makes_no_sense_is_refused(
    tmp_path: Path, entries: list[tuple[str, bytes]]
) -> None:
    archive = _archive(tmp_path, *((_entry(name), content) for name, content in entries))

    with pytest.raises(BadArtifact):
        extract(archive, tmp_path / "content")


def test_a_directory_of_very_many_entries_is_refused_before_it_is_listed() -> None:
    """`zipfile` would make an object of each: half a million take nine seconds."""
    entry = b"PK\1\2" + struct.pack("<6H3I5H2I", 20, 20, *[0] * 7, 1, *[0] * 6) + b"a"
    entries = entry * (ENTRIES_MAX + 1)
    # The count of the end record does not matter to `zipfile`, so it may be anything.
    end = b"PK\5\6" + struct.pack("<4H2IH", 0, 0, 1, 1, len(entries), 0, 0)

    with pytest.raises(BadArtifact, match=f"this one has {ENTRIES_MAX + 1} entries"):
        refuse_unsafe_archive(io.BytesIO(entries + end))


async def test_bytes_that_are_not_the_digest_are_refused(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    digest = upload(blobs, zipped({"a.py": "1"}))
    stored = blobs.folder / digest.replace(":", "/")
    stored.write_bytes(zipped({"a.py": "2"}))

    with pytest.raises(BadArtifact, match="stored bytes are"):
        await Artifacts(tmp_path / "artifacts", blobs).prepare(digest, ACME)
    with pytest.raises(BadArtifact, match="was uploaded"):
        await Artifacts(tmp_path / "artifacts", blobs).prepare("sha256:" + "0" * 64, ACME)


async def test_an_archive_that_is_refused_leaves_no_copy_behind(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    digest = upload(blobs, b"not a zip")
    (blobs.folder / artifact_blob(digest)).write_bytes(b"other bytes")

    for artifact in (digest, upload(blobs, b"not a zip either")):
        with pytest.raises(BadArtifact):
            await Artifacts(tmp_path / "artifacts", blobs).prepare(artifact, ACME)

    assert list((tmp_path / "artifacts").rglob("*.zip")) == []


async def test_what_is_no_zip_is_refused(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")

    with pytest.raises(BadArtifact, match="zip"):
        await Artifacts(tmp_path / "artifacts", blobs).prepare(upload(blobs, b"not a zip"), ACME)


async def test_an_interrupted_unpacking_is_done_again(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    digest = upload(blobs, zipped({"a.py": "1", "b/c.txt": "2"}))
    place = tmp_path / "artifacts" / digest.replace(":", "/")
    (place / "content").mkdir(parents=True)
    (place / "content" / "half").write_text("of an earlier attempt")

    unpacked = await Artifacts(tmp_path / "artifacts", blobs).prepare(digest, ACME)

    assert unpacked.files == ("a.py", "b/c.txt")
    assert not (unpacked.content / "half").exists()
    assert Artifacts(tmp_path / "artifacts", blobs).find(digest) == unpacked


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="another-document"),
        pytest.param(b'{"isWheelhouse": false, "digest": ""}', id="a-field-missing"),
        pytest.param(b'{"isWheelhouse": false, "files": 7, "digest": ""}', id="a-field-wrong"),
        pytest.param(b"\xff", id="bytes"),
    ],
)
async def test_an_artifact_whose_list_of_files_is_damaged_is_prepared_again(
    tmp_path: Path, damaged: bytes
) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    digest = upload(blobs, zipped({"a.py": "1"}))
    artifacts = Artifacts(tmp_path / "artifacts", blobs)
    unpacked = await artifacts.prepare(digest, ACME)
    (unpacked.content.parent / "unpacked.json").write_bytes(damaged)

    assert artifacts.find(digest) is None
    assert await artifacts.prepare(digest, ACME) == unpacked
    assert artifacts.find(digest) == unpacked


async def test_an_artifact_asked_for_twice_at_once_is_prepared_once(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    digest = upload(blobs, zipped({"a.py": "1"}))
    artifacts = Artifacts(tmp_path / "artifacts", blobs)

    first, second = await asyncio.gather(
        artifacts.prepare(digest, ACME), artifacts.prepare(digest, ACME)
    )

    assert first == second
    place = first.content.parent
    assert {path.name for path in place.iterdir()} == {"content", "lock", "unpacked.json"}


class Counted(FolderBlobs):
    """Counts the archives that were fetched."""

    fetched = 0

    async def open(self, name: str) -> AsyncIterator[bytes]:
        self.fetched += 1
        return await super().open(name)


async def test_slow_archives_of_one_tenant_stop_nobody_else(tmp_path: Path) -> None:
    blobs = Counted(tmp_path / "blobs")
    artifacts = Artifacts(tmp_path / "artifacts", blobs)
    slow = [upload(blobs, zipped({"a.py": str(number)})) for number in range(50)]
    with ExitStack() as held:
        for digest in slow:
            folder = tmp_path / "artifacts" / artifact_blob(digest)
            held.enter_context(file_lock(folder / "lock"))  # as if another took long with it
        waiting = [
            asyncio.ensure_future(artifacts.prepare(digest, ACME)) for digest in (*slow, *slow)
        ]
        while not blobs.fetched:
            await SystemClock().sleep(0.01)

        async with asyncio.timeout(PATIENCE_S):
            await artifacts.prepare(upload(blobs, zipped({"b.py": "1"})), TenantId("globex"))
            await asyncio.to_thread((tmp_path / "touched").touch)

    await asyncio.gather(*waiting)
    assert blobs.fetched == len(slow) + 1


async def test_an_artifact_is_prepared_to_its_end_when_who_asked_for_it_gives_up(
    tmp_path: Path,
) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    artifacts = Artifacts(tmp_path / "artifacts", blobs)
    digest = upload(blobs, zipped({"a.py": "1"}))
    with (
        file_lock(tmp_path / "artifacts" / artifact_blob(digest) / "lock"),
        pytest.raises(TimeoutError),
    ):
        await asyncio.wait_for(artifacts.prepare(digest, ACME), 0.1)

    while artifacts.find(digest) is None:
        await SystemClock().sleep(0.01)


def test_the_content_digest_sees_every_change_of_what_was_brought(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    before = content_digest(tmp_path, ("a", "b"))

    (tmp_path / "log-of-the-workload").write_text("its own")
    with_a_log = content_digest(tmp_path, ("a", "b"))
    (tmp_path / "a").chmod(0o755)
    executable = content_digest(tmp_path, ("a", "b"))
    (tmp_path / "b").unlink()
    missing = content_digest(tmp_path, ("a", "b"))

    assert before == with_a_log
    assert len({before, executable, missing}) == 3
