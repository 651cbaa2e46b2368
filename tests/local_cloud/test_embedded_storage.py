"""The embedded account opens each part once, keeps parts apart, and finds them after a restart."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local_cloud.storage import LocalStorage
from shared.kernel.errors import Invalid
from shared.persistence.store import Create, Partition
from shared.persistence.tables import TableRow
from tests.kit.stores import HandClock

HERE = Partition("tenant-a", "k1", "-")


@pytest.fixture(params=["folder", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path, HandClock(), in_memory=request.param == "memory")


def test_a_part_is_opened_once(storage: LocalStorage) -> None:
    assert storage.store("runtime", "a") is storage.store("runtime", "a")
    assert storage.table("audit") is storage.table("audit")
    assert storage.blobs("artifacts") is storage.blobs("artifacts")
    storage.close()


async def test_containers_of_equal_names_in_two_databases_are_apart(
    storage: LocalStorage,
) -> None:
    await storage.store("one", "a").batch(HERE, [Create("x", {})])

    assert await storage.store("two", "a").read(HERE, "x") is None
    assert storage.database_names() == ["one", "two"]
    assert storage.containers("one") == ["a"]
    storage.close()


@pytest.mark.parametrize("name", ["", "../a", "a/b", ".a", "a.db", "a b"])
def test_a_table_or_blob_container_has_a_plain_name(storage: LocalStorage, name: str) -> None:
    for open_part in (lambda: storage.table(name), lambda: storage.blobs(name)):
        with pytest.raises(Invalid):
            open_part()


@pytest.mark.parametrize(
    "name", ["", "../a", "a\\b", "a#", "a?", "a ", "a\x00", "sqlite_a", "x" * 256]
)
def test_a_name_that_cosmos_db_gives_nothing_is_refused(storage: LocalStorage, name: str) -> None:
    for open_part in (lambda: storage.store(name, "a"), lambda: storage.store("a", name)):
        with pytest.raises(Invalid):
            open_part()


@pytest.mark.parametrize("name", [".", "..", "a.db", "a b", 'a"b', "%2E", "{a}", "größe", "a'b;--"])
async def test_a_name_that_cosmos_db_gives_is_kept_in_a_file_of_its_own(
    tmp_path: Path, name: str
) -> None:
    storage = LocalStorage(tmp_path, HandClock(), in_memory=False)
    await storage.store(name, name).batch(HERE, [Create("x", {})])
    storage.close()

    again = LocalStorage(tmp_path, HandClock(), in_memory=False)

    assert again.database_names() == [name]
    assert again.containers(name) == [name]
    assert await again.store(name, name).read(HERE, "x") is not None
    again.close()


async def test_everything_is_found_again_after_a_restart(tmp_path: Path) -> None:
    async def content() -> AsyncIterator[bytes]:
        yield b"zip"

    before = LocalStorage(tmp_path, HandClock(), in_memory=False)
    await before.store("runtime", "a").batch(HERE, [Create("x", {"n": 1})])
    await before.table("audit").insert([TableRow("p", "r", {})])
    await before.blobs("artifacts").put("a", content())
    before.close()

    after = LocalStorage(tmp_path, HandClock(), in_memory=False)

    assert after.containers("runtime") == ["a"]
    assert await after.store("runtime", "a").read(HERE, "x") is not None
    assert await after.table("audit").get("p", "r") is not None
    assert await after.blobs("artifacts").size("a") == 3
    after.close()


async def test_a_database_outlives_a_restart_without_a_container_and_goes_with_all_it_has(
    tmp_path: Path,
) -> None:
    storage = LocalStorage(tmp_path, HandClock(), in_memory=False)
    storage.create_database("shop", {"_ts": 5})
    await storage.store("shop", "a").batch(HERE, [Create("x", {})])
    storage.close()

    again = LocalStorage(tmp_path, HandClock(), in_memory=False)
    assert again.database_names() == ["shop"]
    assert again.database_facts("shop") == {"_ts": 5}
    assert again.has_container("shop", "a")
    again.delete_container("shop", "a")
    assert again.database_names() == ["shop"]
    assert await again.store("shop", "a").read(HERE, "x") is None
    again.delete_container("shop", "a")
    again.delete_database("shop")
    assert (again.database_names(), list((tmp_path / "databases").iterdir())) == ([], [])
    again.close()
