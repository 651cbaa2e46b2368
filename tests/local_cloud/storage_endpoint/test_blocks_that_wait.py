"""Blocks wait for their list below the container, and not for ever."""

import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from local_cloud.blobs import FolderBlobs
from local_cloud.storage_endpoint.blob_files import BLOCKS_KEPT, BlobFiles
from local_cloud.storage_endpoint.errors import StorageRefused
from shared.kernel.clock import SystemClock

DAY = timedelta(days=1)


def opened(folder: Path) -> BlobFiles:
    return BlobFiles(FolderBlobs(folder), SystemClock())


async def content(whole: bytes) -> AsyncIterator[bytes]:
    yield whole


def anything(_: object) -> None:
    """Accept whatever is there."""


def age(folder: Path, by: timedelta) -> None:
    """Make what waits in *folder* so much older."""
    at = (SystemClock().now() - by).timestamp()
    for path in (folder / ".blocks").iterdir():
        os.utime(path, (at, at))


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def content_of(folder: Path, name: str) -> bytes:
    return (folder / name).read_bytes()


@pytest.mark.parametrize("by", [BLOCKS_KEPT - DAY, BLOCKS_KEPT + DAY], ids=["days", "over-a-week"])
async def test_blocks_are_kept_for_a_week(tmp_path: Path, by: timedelta) -> None:
    await opened(tmp_path).stage("a/b", "01", content(b"one"))
    age(tmp_path, by)
    files = opened(tmp_path)

    if by > BLOCKS_KEPT:
        with pytest.raises(StorageRefused, match="block list is invalid"):
            await files.commit("a/b", ["01"], anything)
    else:
        await files.commit("a/b", ["01"], anything)
        assert content_of(tmp_path, "a/b") == b"one"


async def test_a_put_drops_what_waits_for_its_name(tmp_path: Path) -> None:
    files = opened(tmp_path)
    await files.stage("a", "01", content(b"one"))
    await files.put("a", content(b"whole"), anything)

    with pytest.raises(StorageRefused, match="block list is invalid"):
        await files.commit("a", ["01"], anything)
    assert content_of(tmp_path, "a") == b"whole"


async def test_the_list_of_a_commit_may_come_again_until_the_blob_changes(tmp_path: Path) -> None:
    files = opened(tmp_path)
    await files.stage("a", "01", content(b"one"))
    first = await files.commit("a", ["01"], anything)

    assert await opened(tmp_path).commit("a", ["01"], anything) == first
    await files.put("a", content(b"whole"), anything)
    with pytest.raises(StorageRefused):
        await files.commit("a", ["01"], anything)


async def test_a_block_may_stand_twice_in_a_list(tmp_path: Path) -> None:
    files = opened(tmp_path)
    await files.stage("a", "01", content(b"one"))
    await files.stage("a", "02", content(b"two"))

    await files.commit("a", ["01", "02", "01"], anything)

    assert content_of(tmp_path, "a") == b"onetwoone"


@pytest.mark.parametrize(("there", "name"), [("a", "a/b"), ("a/b", "a")])
async def test_no_blob_is_named_as_the_folder_of_another(
    tmp_path: Path, there: str, name: str
) -> None:
    files = opened(tmp_path)
    await files.put(there, content(b"x"), anything)

    with pytest.raises(StorageRefused, match="does not serve a blob whose name"):
        await files.put(name, content(b"y"), anything)
    with pytest.raises(StorageRefused, match="does not serve a blob whose name"):
        await files.stage(name, "01", content(b"y"))
    assert content_of(tmp_path, there) == b"x"
    await files.delete(there, anything)
    await files.put(name, content(b"y"), anything)
    assert content_of(tmp_path, name) == b"y"


async def test_nothing_of_the_blocks_is_a_blob(tmp_path: Path) -> None:
    files = opened(tmp_path)
    await files.stage("a", "01", content(b"one"))
    await files.put("b", content(b"whole"), anything)

    shown, is_more = await files.page("", "", 10)

    assert [blob.name for blob in shown] == ["b"]
    assert not is_more
    assert [blob.name for blob in await FolderBlobs(tmp_path).list_stored("")] == ["b"]


async def test_a_put_that_is_refused_leaves_no_bytes(tmp_path: Path) -> None:
    def refuse(_: object) -> None:
        raise StorageRefused(409, "BlobAlreadyExists", "The specified blob already exists.")

    files = opened(tmp_path)
    with pytest.raises(StorageRefused):
        await files.put("a/b", content(b"one"), refuse)

    assert files_in(tmp_path) == []
