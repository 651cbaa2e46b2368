"""Etags and places in the feed are numbers of rows, and rows go away: a number never comes back."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from local_cloud.sqlite.database import Database
from local_cloud.sqlite.rows import lsn_of
from local_cloud.sqlite.store import PURGE_EVERY_S, SqliteStore
from shared.persistence.store import Create, Delete, Partition, Replace
from tests.kit.stores import HandClock

HERE = Partition("tenant-a", "k1", "-")
OTHER = Partition("tenant-b", "k1", "-")


class Restarting:
    """A store over a file that is closed and opened again before each batch."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = HandClock()

    async def batch(self, *operations: Create | Delete | Replace) -> list[int]:
        database = Database(self.path)
        etags = await SqliteStore(database, "things", self.clock).batch(HERE, operations)
        database.close()
        return [lsn_of(etag) for etag in etags if etag is not None]

    def rows(self) -> int:
        connection = sqlite3.connect(self.path)
        (count,) = connection.execute('SELECT count(*) FROM "things"').fetchone()
        connection.close()
        return int(count)


async def test_the_number_of_the_last_document_is_not_free_when_it_is_deleted(
    tmp_path: Path,
) -> None:
    store = Restarting(tmp_path / "a.db")
    (first,) = await store.batch(Create("a", {}))
    await store.batch(Delete("a"))

    (second,) = await store.batch(Create("a", {}))

    assert second > first


async def test_numbers_used_up_beside_a_delete_stay_used(tmp_path: Path) -> None:
    store = Restarting(tmp_path / "a.db")
    await store.batch(Create("a", {}))
    created, *_ = await store.batch(Create("b", {}), Delete("a"))
    await store.batch(Delete("b"))

    (last,) = await store.batch(Create("c", {}))

    assert last > created


async def test_the_number_of_the_last_document_is_not_free_when_it_expires(tmp_path: Path) -> None:
    store = Restarting(tmp_path / "a.db")
    await store.batch(Create("kept", {}))
    (first,) = await store.batch(Create("brief", {}, ttl_s=1))
    store.clock.pass_by(PURGE_EVERY_S + 1)
    await store.batch(Delete("kept"))
    assert store.rows() == 0

    (second,) = await store.batch(Create("a", {}))

    assert second > first


async def test_a_refused_batch_leaves_the_numbers_as_they_were(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.db")
    store = SqliteStore(database, "things", HandClock())
    (first,) = await store.batch(HERE, [Create("a", {})])
    with pytest.raises(Exception, match="failed with status 409"):
        await store.batch(HERE, [Create("b", {}), Delete("b"), Create("a", {})])

    (second,) = await store.batch(HERE, [Create("b", {})])

    assert first is not None
    assert second is not None
    assert lsn_of(second) > lsn_of(first)
    database.close()


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda: [Delete("b")], id="the-last-was-deleted"),
        pytest.param(lambda: [Create("c", {}), Delete("c")], id="made-and-deleted-at-once"),
    ],
)
async def test_a_feed_read_to_its_end_misses_nothing_written_later(
    tmp_path: Path, end: Callable[[], list[Create | Delete]]
) -> None:
    database = Database(tmp_path / "a.db")
    store = SqliteStore(database, "things", HandClock())
    await store.batch(HERE, [Create("a", {}), Create("b", {})])
    await store.batch(HERE, end())
    places = {name: (await store.changes(name, None)).continuation for name in ("0", "1")}

    await store.batch(HERE, [Create("d", {})])
    await store.batch(OTHER, [Create("e", {})])

    later = [await store.changes(name, place) for name, place in places.items()]
    found = [document.id for page in later for document in page.documents]
    assert sorted(found) == ["d", "e"]
    database.close()
