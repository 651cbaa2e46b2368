"""One SQLite file: reads at once, writes in groups that share a commit.

The file is in WAL mode, where readers never wait for the writer. `group_commit` runs the writes,
`write_ahead_log` keeps the log short.

`Database(":memory:")` has no groups: work runs at once, one piece after the other, which keeps
tests on a virtual clock deterministic. It outlives the host object that uses it, so a test may
"kill" a host and start another over the same state.
"""

import sqlite3
import weakref
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, Literal, TypeVar

from local_cloud.sqlite.group_commit import QUICK_COMMIT_S, GroupCommit
from local_cloud.sqlite.sqlite_errors import TranslatedErrors
from local_cloud.sqlite.write_ahead_log import WriteAheadLog
from shared.persistence.disk_errors import translated_errors

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

MEMORY: Final = ":memory:"
_BUSY_S: Final = 30.0


class Database:
    """One SQLite file, or `:memory:`.

    Raises:
        Unavailable: the file is no database, is damaged, or its disk is full or read-only; from
            `write` then every piece of the group failed.
    """

    def __init__(
        self,
        path: Path | str,
        schema: str = "",
        *,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        quick_commit_s: float = QUICK_COMMIT_S,
    ) -> None:
        """Open *path* (parents are made) and run *schema*, a script that may run again.

        At `NORMAL` the last commits before a power failure may be lost, the file stays whole.
        Commits that take longer than *quick_commit_s* on average move to a thread; 0 moves all.
        """
        self._memory = str(path) == MEMORY
        self._synchronous = synchronous
        self.path = path
        self._translated = TranslatedErrors(path)
        if not self._memory:
            with translated_errors(Path(path).name):
                Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._writer = self._open()
        if schema:
            with self._translated:
                self._writer.executescript(schema)
        self._closed = False
        if self._memory:
            self._reader = self._writer
            return
        self._reader = self._open(read_only=True)
        log = WriteAheadLog(Path(path), self._open)
        self._groups = GroupCommit(self._writer, log, quick_commit_s)

    def _open(self, *, read_only: bool = False) -> sqlite3.Connection:
        """Return a connection that is closed at the latest when this database is collected."""
        with self._translated:
            connection = self._connect(read_only=read_only)
        # Python 3.13 warns of connections that are left to the garbage collector.
        weakref.finalize(self, connection.close).atexit = False
        return connection

    def _connect(self, *, read_only: bool = False) -> sqlite3.Connection:
        connection = sqlite3.connect(
            str(self.path), timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
        try:
            if not self._memory:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute(f"PRAGMA synchronous={self._synchronous}")
                # Checkpoints run beside the commits, not inside one.
                connection.execute("PRAGMA wal_autocheckpoint=0")
            if read_only:
                connection.execute("PRAGMA query_only=ON")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    @property
    def is_closed(self) -> bool:
        return self._closed

    def prepare(self, schema: str) -> None:
        """Run *schema*, a script that may run again, on a database that is already open."""
        if self._memory:
            self._writer.executescript(schema)
            return
        with self._translated, closing(self._connect()) as connection:
            connection.executescript("BEGIN IMMEDIATE;" + schema + "COMMIT;")

    def read(self, work: Work[T]) -> T:
        """Run *work*, which only reads, on the committed state."""
        with self._translated:
            return work(self._reader)

    async def write(
        self, work: Work[T], *, undoes_itself: bool = False, takes_long: bool = False
    ) -> T:
        """Run *work* in a transaction of its own; return its result once that is durable.

        *work* must not await, and may be called on another thread; unless it *takes_long* it must
        be quick, else reads and other code of the event loop wait for it too, not only writes.
        It is undone when it raises, at the cost of a savepoint; with *undoes_itself* it has changed
        nothing then, unless it raises sqlite3.Error.

        Raises:
            Unavailable: the file cannot be written.
        """
        if self._closed:
            msg = f"database {self.path} is closed"
            raise sqlite3.ProgrammingError(msg)
        if self._memory:
            with self._writer:  # commits, or rolls back where something is raised
                self._writer.execute("BEGIN IMMEDIATE")
                return work(self._writer)
        with self._translated:
            return await self._groups.join(work, undoes_itself=undoes_itself, takes_long=takes_long)

    def close(self) -> None:
        """Finish the queued writes, checkpoint and close. A closed database refuses writes."""
        if self._closed:
            return
        self._closed = True
        if not self._memory:
            self._groups.close()
            # Readers first: a truncating checkpoint waits for them.
            self._reader.close()
            with suppress(sqlite3.Error):
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._writer.close()
