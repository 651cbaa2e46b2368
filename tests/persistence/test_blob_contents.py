"""Contract of the Blob port: same cases, same results, every adapter."""

import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from local_cloud.blobs import FolderBlobs, MemoryBlobs
from shared.kernel.clock import SystemClock
from shared.kernel.errors import Invalid, NotFound, Unavailable
from shared.persistence.blobs import Blobs


@pytest.fixture(params=["folder", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param == "memory":
        return MemoryBlobs(SystemClock())
    return FolderBlobs(tmp_path / "container")


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def whole(blobs: Blobs, name: str) -> bytes:
    return b"".join([chunk async for chunk in await blobs.open(name)])


async def test_a_blob_is_read_back_whole(blobs: Blobs) -> None:
    size = await blobs.put("a/b.zip", chunks(b"one", b"", b"two" * 200_000))

    assert size == 600_003
    assert await blobs.size("a/b.zip") == 600_003
    assert await whole(blobs, "a/b.zip") == b"one" + b"two" * 200_000


async def test_blobs_are_listed_by_the_beginning_of_their_names_with_their_age(
    blobs: Blobs,
) -> None:
    before = SystemClock().now() - timedelta(seconds=1)
    for name in ("a/one", "a/b/two", "ab", "z"):
        await blobs.put(name, chunks(b"12"))

    listed = {blob.name: blob for blob in await blobs.list_stored("a")}

    assert set(listed) == {"a/one", "a/b/two", "ab"}
    assert listed["ab"].size_bytes == 2
    assert before <= listed["ab"].stored_at <= SystemClock().now() + timedelta(seconds=1)
    assert [blob.name for blob in await blobs.list_stored("a/b/")] == ["a/b/two"]
    assert await blobs.list_stored("none") == []


async def test_a_deleted_blob_is_gone_and_deleting_it_again_is_success(blobs: Blobs) -> None:
    await blobs.put("a/one", chunks(b"12"))
    await blobs.put("a/two", chunks(b"12"))

    await blobs.delete("a/one")
    await blobs.delete("a/one")
    await blobs.delete("b/none")

    assert await blobs.size("a/one") is None
    assert [blob.name for blob in await blobs.list_stored("")] == ["a/two"]


async def test_a_container_that_is_gone_has_no_list(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "container")
    shutil.rmtree(tmp_path / "container")

    with pytest.raises(Unavailable):
        await blobs.list_stored("")


async def test_an_empty_blob_is_a_blob(blobs: Blobs) -> None:
    await blobs.put("empty", chunks())

    assert await blobs.size("empty") == 0
    assert await whole(blobs, "empty") == b""


async def test_an_absent_blob_has_no_size_and_cannot_be_opened(blobs: Blobs) -> None:
    assert await blobs.size("absent") is None
    with pytest.raises(NotFound):
        await blobs.open("absent")


async def test_a_second_put_replaces_the_first(blobs: Blobs) -> None:
    await blobs.put("a", chunks(b"long content"))
    await blobs.put("a", chunks(b"short"))

    assert await whole(blobs, "a") == b"short"


async def test_a_put_that_fails_changes_nothing(blobs: Blobs) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    await blobs.put("a", chunks(b"before"))
    with pytest.raises(ConnectionResetError):
        await blobs.put("a", breaking())
    with pytest.raises(ConnectionResetError):
        await blobs.put("b", breaking())

    assert await whole(blobs, "a") == b"before"
    assert await blobs.size("b") is None


@pytest.mark.parametrize(
    "name",
    ["", "/a", "a/", "a//b", "..", "../a", "a/../../b", "a/./b", ".parts/x", "a\\..\\b", "a\0b",
     "a\nb", "x" * 1025, "y" * 300],
)  # fmt: skip
async def test_a_name_that_could_leave_its_container_is_refused(blobs: Blobs, name: str) -> None:
    with pytest.raises(Invalid):
        await blobs.put(name, chunks(b"x"))
    with pytest.raises(Invalid):
        await blobs.open(name)
    with pytest.raises(Invalid):
        await blobs.size(name)


async def test_a_folder_forgets_what_a_crash_left_half_written(tmp_path: Path) -> None:
    (tmp_path / ".parts").mkdir()
    (tmp_path / ".parts" / "left-over").write_bytes(b"half")

    FolderBlobs(tmp_path)

    assert list((tmp_path / ".parts").iterdir()) == []
