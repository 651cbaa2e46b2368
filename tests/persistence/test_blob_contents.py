"""Contract of the Blob port: same cases, same results, every adapter."""

import asyncio
import shutil
import tracemalloc
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from local_cloud.blobs import FolderBlobs, MemoryBlobs
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.kernel.errors import Invalid, NotFound, Unavailable
from shared.persistence.azure_blobs import AzureBlobs
from shared.persistence.azure_tables import AzureTable
from shared.persistence.blobs import Blobs
from shared.persistence.storage_account import BLOCK_BYTES, StorageAccount
from shared.persistence.tables import TableRow
from tests.kit.storage_accounts import Emulator, connected
from tests.kit.storage_wire import wired_storage


@pytest.fixture(
    params=[
        "folder",
        "memory",
        pytest.param("azurite", marks=pytest.mark.real),
        pytest.param("local-cloud", marks=pytest.mark.real),
    ]
)
async def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Blobs]:
    if request.param == "azurite":
        served = request.getfixturevalue("azurite")
        account = StorageAccount(connection_string=served.connection_string())
        async with connected(account) as storage:
            yield storage.blobs
    elif request.param == "local-cloud":
        async with (
            wired_storage(tmp_path) as served,
            connected(StorageAccount(connection_string=served.connection_string())) as storage,
        ):
            yield storage.blobs
    elif request.param == "memory":
        yield MemoryBlobs(SystemClock())
    else:
        yield FolderBlobs(tmp_path / "container")


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


@pytest.mark.parametrize(
    "size", [BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 7]
)
async def test_a_large_blob_is_read_back_in_chunks(blobs: Blobs, size: int) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    parts = [content[start : min(start + 700_001, size)] for start in range(0, size, 700_001)]

    assert await blobs.put("a", chunks(*parts)) == size
    read = [chunk async for chunk in await blobs.open("a")]

    assert await blobs.size("a") == size
    assert b"".join(read) == content[:size]


async def test_one_chunk_may_be_larger_than_any_block(blobs: Blobs) -> None:
    content = bytes(range(251)) * 40_000

    await blobs.put("a", chunks(b"x", content, b"y"))

    assert await whole(blobs, "a") == b"x" + content + b"y"


@pytest.mark.parametrize(
    "name", ["a b", "a%20b", "a#b?c", "a+b&c=d", "\u00e9/\u540d", "a'b\"", "a.", "x" * 255, "a:b|c"]
)
async def test_a_name_is_kept_as_it_is(blobs: Blobs, name: str) -> None:
    await blobs.put(name, chunks(b"12"))

    assert [blob.name for blob in await blobs.list_stored(name)] == [name]
    assert await whole(blobs, name) == b"12"
    await blobs.delete(name)
    assert await blobs.size(name) is None


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


async def test_blobs_are_listed_page_by_page_while_they_are_deleted(blobs: Blobs) -> None:
    for name in ("a/one", "a/two", "b"):
        await blobs.put(name, chunks(b"12"))

    listed: list[str] = []
    async for page in blobs.pages("a/"):
        listed += [blob.name for blob in page]
        for blob in page:
            await blobs.delete(blob.name)

    assert sorted(listed) == ["a/one", "a/two"]
    assert [blob.name for blob in await blobs.list_stored("")] == ["b"]


async def test_many_blobs_of_a_folder_are_in_several_pages(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    names = {f"blob-{number}" for number in range(5001)}
    for name in names:
        tmp_path.joinpath(name).touch()

    pages = [[blob.name for blob in page] async for page in blobs.pages("")]

    assert [len(page) for page in pages] == [5000, 1]
    assert {name for page in pages for name in page} == names


async def test_a_deleted_blob_is_gone_and_deleting_it_again_is_success(blobs: Blobs) -> None:
    await blobs.put("a/one", chunks(b"12"))
    await blobs.put("a/two", chunks(b"12"))

    await blobs.delete("a/one")
    await blobs.delete("a/one")
    await blobs.delete("b/none")

    assert await blobs.size("a/one") is None
    assert [blob.name for blob in await blobs.list_stored("")] == ["a/two"]


@pytest.mark.real
async def test_a_container_or_table_that_is_not_there_is_unavailable(emulator: Emulator) -> None:
    account = StorageAccount(connection_string=emulator.connection_string())
    blobs = AzureBlobs(account, "absent", SystemEntropy())
    table = AzureTable(account, "absent")

    for call in (
        lambda: blobs.list_stored(""),
        lambda: blobs.size("a"),
        lambda: blobs.open("a"),
        lambda: blobs.delete("a"),
        lambda: blobs.put("a", chunks(b"x")),
        lambda: blobs.put("a", chunks(b"x" * (BLOCK_BYTES + 1))),
        lambda: table.get("p", "1"),
        lambda: table.scan("p"),
        lambda: table.scan("p", newest_first=True),
        lambda: table.insert([TableRow("p", "1", {})]),
        lambda: table.upsert([TableRow("p", "1", {})]),
        lambda: table.delete_before("p", "1"),
    ):
        with pytest.raises(Unavailable):
            await call()
    await account.close()


@pytest.mark.long
@pytest.mark.real
async def test_a_blob_of_any_size_takes_the_memory_of_a_few_blocks(emulator: Emulator) -> None:
    account = StorageAccount(connection_string=emulator.connection_string())

    async def content() -> AsyncIterator[bytes]:
        for number in range(40):
            yield bytes([number]) * 1_000_000

    async with connected(account) as storage:
        await storage.blobs.put("warm", chunks(b"x" * (BLOCK_BYTES + 1)))
        tracemalloc.start()
        await storage.blobs.put("a", content())
        read = 0
        async for chunk in await storage.blobs.open("a"):
            read += len(chunk)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert read == 40_000_000
    assert peak < 6 * BLOCK_BYTES


@pytest.mark.real
async def test_of_two_puts_at_once_one_holds_whole(emulator: Emulator) -> None:
    account = StorageAccount(connection_string=emulator.connection_string())
    contents = [bytes([number]) * (2 * BLOCK_BYTES + number) for number in range(1, 4)]

    async with connected(account) as storage:
        ended = await asyncio.gather(
            *(storage.blobs.put("a", chunks(content)) for content in contents),
            return_exceptions=True,
        )
        held = await whole(storage.blobs, "a")

    assert held in [c for c, end in zip(contents, ended, strict=True) if isinstance(end, int)]
    assert all(isinstance(end, int | Unavailable) for end in ended)


@pytest.mark.real
async def test_a_put_that_is_overtaken_leaves_the_later_one(emulator: Emulator) -> None:
    account = StorageAccount(connection_string=emulator.connection_string())

    async with connected(account) as storage:

        async def slow() -> AsyncIterator[bytes]:
            yield b"x" * BLOCK_BYTES
            await storage.blobs.put("a", chunks(b"y" * (BLOCK_BYTES + 1)))
            yield b"x"

        with pytest.raises(Unavailable):
            await storage.blobs.put("a", slow())

        assert await whole(storage.blobs, "a") == b"y" * (BLOCK_BYTES + 1)


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


@pytest.mark.parametrize("size", [1, 3 * 1024 * 1024], ids=["short", "long"])
async def test_a_put_that_fails_changes_nothing(blobs: Blobs, size: int) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield b"half" * size
        raise ConnectionResetError

    await blobs.put("a", chunks(b"before"))
    with pytest.raises(ConnectionResetError):
        await blobs.put("a", breaking())
    with pytest.raises(ConnectionResetError):
        await blobs.put("b", breaking())

    assert await whole(blobs, "a") == b"before"
    assert await blobs.size("b") is None
    assert [blob.name for blob in await blobs.list_stored("")] == ["a"]


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
