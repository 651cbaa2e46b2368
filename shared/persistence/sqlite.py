"""SQLite with group commit: many callers' transactions, one fsync.

One writer thread a database takes what is waiting, runs each piece of work inside its own
savepoint and commits once at `synchronous=FULL`; a caller is answered after that commit, so what
it was told is durable. One failing piece of work undoes only itself. Reads happen at once on the
caller's thread over a second connection (WAL: readers never wait for the writer).

`Database(":memory:")` has no thread: work runs at once, one piece after the other, which keeps
tests on a virtual clock deterministic. It outlives the host object that uses it, so a test may
"kill" a host and start another over the same state.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

MEMORY: Final = ":memory:"
_GROUP_MAX: Final = 256
"""Bounds the time the first caller of a group waits for the last."""
_CHECKPOINT_PAGES: Final = 2000
_BUSY_S: Final = 30.0


@dataclass(slots=True)
class _Pending:
    work: Work[Any]
    loop: asyncio.AbstractEventLoop
    answer: "asyncio.Future[Any]"


class Database:
    """One SQLite file, or `:memory:`.

    Raises:
        sqlite3.DatabaseError: from `open` when the file is no database; from `write` what the
            work raised, or what the commit raised (then every piece of the group failed).
    """

    def __init__(self, path: Path | str, schema: str = "") -> None:
        """Open *path* (parents are made) and run *schema*, a script that may run again."""
        self._memory = str(path) == MEMORY
        self.path = path
        if not self._memory:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._writer = self._connect()
        if schema:
            self._writer.executescript(schema)
        self._reader = self._writer if self._memory else self._connect(read_only=True)
        self._queue: queue.SimpleQueue[_Pending | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False
        if not self._memory:
            self._thread = threading.Thread(target=self._serve, name=f"sqlite {path}", daemon=True)
            self._thread.start()

    def _connect(self, *, read_only: bool = False) -> sqlite3.Connection:
        connection = sqlite3.connect(
            str(self.path), timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
        if not self._memory:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            # Checkpoints run in the idle moments of the writer thread, not inside a commit.
            connection.execute("PRAGMA wal_autocheckpoint=0")
        if read_only:
            connection.execute("PRAGMA query_only=ON")
        connection.execute("PRAGMA foreign_keys=ON")
        return connection

    def prepare(self, schema: str) -> None:
        """Run *schema*, a script that may run again, now; for whoever opens a database later."""
        if self._memory:
            self._writer.executescript(schema)
            return
        connection = self._connect()
        try:
            connection.executescript("BEGIN IMMEDIATE;" + schema + "COMMIT;")
        finally:
            connection.close()

    def read(self, work: Work[T]) -> T:
        """Run *work*, which only reads, on the committed state."""
        return work(self._reader)

    async def write(self, work: Work[T]) -> T:
        """Run *work* in a transaction of its own; return its result once that is durable.

        *work* must be quick, must not await, and may be called on another thread.
        """
        if self._closed:
            msg = f"database {self.path} is closed"
            raise sqlite3.ProgrammingError(msg)
        if self._memory:
            return self._run_alone(work)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._queue.put(_Pending(work, loop, answer))
        return await answer

    def _run_alone(self, work: Work[T]) -> T:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            result = work(self._writer)
        except BaseException:
            self._writer.execute("ROLLBACK")
            raise
        self._writer.execute("COMMIT")
        return result

    def _serve(self) -> None:
        written_pages = 0
        while True:
            first = self._queue.get()
            if first is None:
                return
            group = [first]
            stop = False
            while len(group) < _GROUP_MAX:
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
                if item is None:
                    stop = True
                    break
                group.append(item)
            written_pages += self._commit(group)
            if written_pages > _CHECKPOINT_PAGES and self._queue.empty():
                with suppress(sqlite3.OperationalError):
                    self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)")
                written_pages = 0
            if stop:
                return

    def _commit(self, group: list[_Pending]) -> int:
        connection = self._writer
        outcomes: list[tuple[_Pending, object, BaseException | None]] = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            for pending in group:
                connection.execute("SAVEPOINT work")
                try:
                    outcomes.append((pending, pending.work(connection), None))
                except BaseException as problem:  # noqa: BLE001  it belongs to the caller
                    connection.execute("ROLLBACK TO work")
                    outcomes.append((pending, None, problem))
                connection.execute("RELEASE work")
            connection.execute("COMMIT")
        except sqlite3.Error as problem:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            outcomes = [(pending, None, problem) for pending in group]
        _answer(outcomes)
        return len(group) * 4

    def close(self) -> None:
        """Finish what was queued, checkpoint and close. A closed database refuses writes."""
        if self._closed:
            return
        self._closed = True
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._reader.close()  # first: a truncating checkpoint waits for readers
            with suppress(sqlite3.OperationalError):
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._writer.close()


def _answer(outcomes: list[tuple[_Pending, object, BaseException | None]]) -> None:
    """Wake each waiting loop once, however many of its callers are answered."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Pending, object, BaseException | None]]]
    by_loop = {}
    for outcome in outcomes:
        by_loop.setdefault(outcome[0].loop, []).append(outcome)
    for loop, rows in by_loop.items():
        with suppress(RuntimeError):  # the loop ended while its caller waited: nobody is there
            loop.call_soon_threadsafe(_settle, rows)


def _settle(rows: list[tuple[_Pending, object, BaseException | None]]) -> None:
    for pending, result, problem in rows:
        if pending.answer.done():
            continue
        if problem is None:
            pending.answer.set_result(result)
        else:
            pending.answer.set_exception(problem)
