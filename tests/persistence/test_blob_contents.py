"""Contract of the Blob port: same cases, same results, every adapter."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local_cloud.blobs import FolderBlobs, MemoryBlobs
from shared.kernel.errors import Invalid, NotFound
from shared.persistence.blobs import Blobs


@pytest.fixture(params=["folder", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param == "memory":
        return MemoryBlobs()
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
