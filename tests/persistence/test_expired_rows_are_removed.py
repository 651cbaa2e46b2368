"""What nobody can see any longer leaves the file, a bounded piece at a time."""

from local_cloud.sqlite.database import MEMORY, Database
from local_cloud.sqlite.rows import PURGE_WALK
from local_cloud.sqlite.store import PURGE_EVERY_S, SqliteStore
from shared.persistence.store import BATCH_MAX_OPERATIONS, Create, Partition, Upsert
from tests.kit.stores import HandClock

HERE = Partition("tenant-a", "k1", "-")


async def test_one_writer_looks_at_a_bounded_number_of_rows_and_others_go_on() -> None:
    clock, database = HandClock(), Database(MEMORY)
    store = SqliteStore(database, "things", clock)

    def rows() -> int:
        count = database.read(lambda db: db.execute('SELECT count(*) FROM "things"').fetchone())
        return int(count[0])

    for first in range(0, 2 * PURGE_WALK, BATCH_MAX_OPERATIONS):
        brief = [Create(f"{first + n}", {}, ttl_s=1) for n in range(BATCH_MAX_OPERATIONS)]
        await store.batch(HERE, brief)
    left = []
    for _ in range(5):
        clock.pass_by(PURGE_EVERY_S)
        await store.batch(HERE, [Upsert("kept", {})])
        left.append(rows())

    assert left[0] > PURGE_WALK / 2
    assert left[-1] == 1
    database.close()


async def test_rows_that_expire_behind_the_walk_are_removed_by_the_next_one() -> None:
    clock, database = HandClock(), Database(MEMORY)
    store = SqliteStore(database, "things", clock)
    await store.batch(HERE, [Create("late", {}, ttl_s=3 * PURGE_EVERY_S)])

    for _ in range(6):
        clock.pass_by(PURGE_EVERY_S)
        await store.batch(HERE, [Upsert("kept", {})])

    rows = database.read(lambda db: db.execute('SELECT id FROM "things"').fetchall())
    assert rows == [("kept",)]
    database.close()
