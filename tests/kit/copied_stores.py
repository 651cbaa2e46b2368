"""A copy of the services' stores by SQLite's backup API, and putting it back."""

import sqlite3
from collections.abc import Iterable, Mapping

from local_cloud.storage import LocalStorage
from shared.contracts.storage import DATABASE

Copy = Mapping[str, sqlite3.Connection]


def copied(storage: LocalStorage, services: Iterable[str]) -> Copy:
    """Return the stores of *services* as they are now."""
    copies = {service: sqlite3.connect(":memory:") for service in services}
    for service, copy in copies.items():
        storage.store(DATABASE, service).database.read(lambda live, to=copy: live.backup(to))
    return copies


async def put_back(copies: Copy, storage: LocalStorage) -> None:
    """Have in *storage* what *copies* have, and nothing else."""
    for service, copy in copies.items():

        def replace(live: sqlite3.Connection, copy: sqlite3.Connection = copy) -> None:
            for table in _tables(copy):
                live.execute(f'DELETE FROM "{table}"')
                rows = copy.execute(f'SELECT * FROM "{table}"').fetchall()
                if rows:
                    values = ",".join("?" * len(rows[0]))
                    live.executemany(f'INSERT INTO "{table}" VALUES ({values})', rows)

        await storage.store(DATABASE, service).database.write(replace)


def _tables(copy: sqlite3.Connection) -> list[str]:
    named = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    return [name for (name,) in copy.execute(named)]
