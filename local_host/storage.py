"""The embedded storage and Cosmos accounts: one SQLite file a database, beside `host.db`."""

from pathlib import Path

from shared.kernel.clock import Clock
from shared.persistence.blobs import Blobs
from shared.persistence.sqlite import MEMORY, Database
from shared.persistence.sqlite_store import SqliteStore
from shared.persistence.store import Store
from shared.persistence.tables import Table


class LocalStorage:
    """Opens what apps ask for and keeps it open. Implements `Storage`."""

    def __init__(self, folder: Path, clock: Clock, *, in_memory: bool) -> None:
        self._folder = folder
        self._clock = clock
        self._in_memory = in_memory
        self._databases: dict[str, Database] = {}
        self._stores: dict[tuple[str, str], SqliteStore] = {}

    def store(self, database: str, container: str) -> Store:
        """Return the container, made when it is not there."""
        key = (database, container)
        if key not in self._stores:
            self._stores[key] = SqliteStore(self._database(database), container, self._clock)
        return self._stores[key]

    def _database(self, name: str) -> Database:
        if name not in self._databases:
            path = MEMORY if self._in_memory else self._folder / "cosmos" / f"{name}.db"
            self._databases[name] = Database(path)
        return self._databases[name]

    def table(self, name: str) -> Table:
        raise NotImplementedError(name)

    def blobs(self, container: str) -> Blobs:
        raise NotImplementedError(container)

    def close(self) -> None:
        for database in self._databases.values():
            database.close()
