"""The embedded storage and Cosmos accounts: opens what is asked for by name, once.

`<folder>/databases/<database>/<container>.db` and `database.json`, `<folder>/tables/<name>.db`,
`<folder>/blobs/<container>/`. The memory variant keeps everything in this object, which may outlive
the host that uses it: so a test "kills" a host and starts another over the same state.
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

from local_cloud.blobs import FolderBlobs, MemoryBlobs
from local_cloud.sqlite.container_names import checked_container
from local_cloud.sqlite.database import MEMORY, Database
from local_cloud.sqlite.store import SqliteStore
from local_cloud.sqlite.table import SqliteTable
from shared.kernel.clock import Clock
from shared.kernel.errors import Invalid
from shared.persistence.blobs import Blobs

_FILE_NAME_MAX: Final = 240
_FACTS: Final = "database.json"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}")


class LocalStorage:
    """The `Storage` of an embedded host, over a folder or in memory."""

    def __init__(self, folder: Path, clock: Clock, *, in_memory: bool) -> None:
        self._folder = None if in_memory else folder
        self._clock = clock
        self._stores: dict[tuple[str, str], SqliteStore] = {}
        self._tables: dict[str, SqliteTable] = {}
        self._blobs: dict[str, Blobs] = {}
        self._databases: list[Database] = []
        self._facts: dict[str, Mapping[str, Any]] = {}

    def now_s(self) -> int:
        """Return whole epoch seconds of this account's clock."""
        return int(self._clock.now().timestamp())

    def store(self, database: str, container: str) -> SqliteStore:
        """Return the container, made empty when there is none. Raises Invalid for a bad name."""
        key = (database, container)
        if key not in self._stores:
            opened = self._open("databases", file_name(database), f"{file_name(container)}.db")
            self._stores[key] = SqliteStore(opened, container, self._clock)
        return self._stores[key]

    def table(self, name: str) -> SqliteTable:
        """Return the table, made empty when there is none. Raises Invalid for a bad name."""
        if name not in self._tables:
            opened = self._open("tables", f"{checked(name)}.db")
            self._tables[name] = SqliteTable(opened, name)
        return self._tables[name]

    def blobs(self, container: str) -> Blobs:
        """Return the container, made empty when there is none. Raises Invalid for a bad name."""
        if checked(container) not in self._blobs:
            self._blobs[container] = (
                MemoryBlobs(self._clock)
                if self._folder is None
                else FolderBlobs(self._folder / "blobs" / container)
            )
        return self._blobs[container]

    def has_table(self, name: str) -> bool:
        """Return whether the table is there, open or on disk. Raises Invalid for a bad name."""
        path = f"tables/{checked(name)}.db"
        return name in self._tables or (
            self._folder is not None and (self._folder / path).is_file()
        )

    def has_blobs(self, container: str) -> bool:
        """Return whether the container is there, open or on disk. Raises Invalid."""
        path = f"blobs/{checked(container)}"
        return container in self._blobs or (
            self._folder is not None and (self._folder / path).is_dir()
        )

    def containers(self, database: str) -> Sequence[str]:
        """Return the names of the containers that *database* has, open or on disk."""
        return sorted({name for known, name in self._containers() if known == database})

    def has_container(self, database: str, container: str) -> bool:
        if (database, container) in self._stores:
            return True
        path = self._database_folder(database)
        try:
            return path is not None and (path / f"{file_name(container)}.db").exists()
        except Invalid:
            return False

    def delete_container(self, database: str, container: str) -> None:
        """Close and delete a container; nothing may use its store afterwards."""
        store = self._stores.pop((database, container), None)
        if store is not None:
            self._databases.remove(store.database)
            store.database.close()
        path = self._database_folder(database)
        if path is not None:
            for ending in ("", "-wal", "-shm"):
                (path / f"{file_name(container)}.db{ending}").unlink(missing_ok=True)

    def database_names(self) -> Sequence[str]:
        """Return the databases that were created, or have a container."""
        names = {*self._facts, *(known for known, _ in self._containers())}
        if self._folder is not None:
            created = (self._folder / "databases").glob(f"*/{_FACTS}")
            names.update(unquote(path.parent.name) for path in created)
        return sorted(names)

    def has_database(self, name: str) -> bool:
        if name in self._facts or any(known == name for known, _ in self._stores):
            return True
        return name in self.database_names()

    def create_database(self, name: str, facts: Mapping[str, Any]) -> None:
        """Remember a database that need not have a container yet, and *facts* about it."""
        path = self._database_folder(name)
        if path is not None:
            path.mkdir(parents=True, exist_ok=True)
            (path / _FACTS).write_text(json.dumps(facts))
        self._facts[name] = facts

    def database_facts(self, name: str) -> Mapping[str, Any]:
        """Return what `create_database` was given; nothing for one that came with a container."""
        path = self._database_folder(name)
        if name not in self._facts and path is not None and (path / _FACTS).exists():
            self._facts[name] = json.loads((path / _FACTS).read_text())
        return self._facts.get(name, {})

    def delete_database(self, name: str) -> None:
        """Forget a database, whose containers must have been deleted before."""
        self._facts.pop(name, None)
        path = self._database_folder(name)
        if path is not None and path.exists():
            shutil.rmtree(path)

    def _database_folder(self, name: str) -> Path | None:
        """Return where a database is; None in memory, and for a name that none can have."""
        try:
            return None if self._folder is None else self._folder / "databases" / file_name(name)
        except Invalid:
            return None

    def _containers(self) -> Iterator[tuple[str, str]]:
        yield from self._stores
        if self._folder is not None:
            for path in (self._folder / "databases").glob("*/*.db"):
                yield unquote(path.parent.name), unquote(path.stem)

    def _open(self, *parts: str) -> Database:
        path = MEMORY if self._folder is None else self._folder.joinpath(*parts)
        opened = Database(path)
        self._databases.append(opened)
        return opened

    def close(self) -> None:
        """Finish what was queued and close every file; nothing may be asked for afterwards."""
        while self._databases:
            self._databases.pop().close()
        self._stores.clear()
        self._tables.clear()
        self._blobs.clear()
        self._facts.clear()


def checked(name: str) -> str:
    """Return *name* if it can stand for a file. Raises Invalid."""
    if not _NAME.fullmatch(name):
        raise Invalid(f"a table or blob container is named by letters, digits, - and _: {name!r}")
    return name


def file_name(name: str) -> str:
    """Return the file for the Cosmos database or container *name*. Raises Invalid."""
    encoded = quote(checked_container(name), safe=" ").replace(".", "%2E")
    if len(encoded) > _FILE_NAME_MAX:
        raise Invalid(
            f"{name[:80]!r} takes {len(encoded)} characters as a file's name, at most"
            f" {_FILE_NAME_MAX} fit here: choose a shorter one"
        )
    return encoded
