"""A process that commits commands until it is killed: prints each once it was acknowledged.

Run as `python -m tests.kit.store_writer DATABASE`.
"""

import asyncio
import sys
from pathlib import Path

from local_cloud.sqlite.database import Database
from local_cloud.sqlite.store import SqliteStore
from shared.kernel.clock import SystemClock
from shared.persistence.store import Create, Partition, Replace, Upsert

WRITERS = 8


async def commit_for_ever(store: SqliteStore, writer: int) -> None:
    here = Partition(f"tenant-{writer}", "k1")
    (etag,) = await store.batch(here, [Upsert("aggregate", {"n": -1})])
    n = 0
    while etag is not None:
        etag, *_ = await store.batch(
            here, [Replace("aggregate", {"n": n}, etag), Create(f"outbox/{n}", {"n": n})]
        )
        sys.stdout.write(f"{writer} {n}\n")
        sys.stdout.flush()
        n += 1


async def main(path: Path) -> None:
    store = SqliteStore(Database(path), "things", SystemClock())
    await asyncio.gather(*(commit_for_ever(store, writer) for writer in range(WRITERS)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
