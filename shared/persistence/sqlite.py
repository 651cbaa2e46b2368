"""SQLite with group commit: many callers' transactions, one fsync.

What waits for one turn of the event loop is one group: each piece of work runs on the loop's thread
(inside its own savepoint when there are several, so one failing piece undoes only itself), then one
commit at `synchronous=FULL` makes them durable together, and only then are the callers answered.
A commit on a quick disk takes less time than two thread switches, so it is done where it is; when
commits become slow they move to a thread, and the loop goes on while the next group gathers.
Reads happen at once over a second connection (WAL: readers never wait for the writer).

`Database(":memory:")` has no groups: work runs at once, one piece after the other, which keeps
tests on a virtual clock deterministic. It outlives the host object that uses it, so a test may
"kill" a host and start another over the same state.
"""

import asyncio
import sqlite3
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

MEMORY: Final = ":memory:"
_GROUP_MAX: Final = 256
"""Bounds the time the first caller of a group waits for the last."""
_CHECKPOINT_WORKS: Final = 500
"""About 2,000 pages: often enough to keep the WAL in memory, seldom enough not to matter."""
_WAL_PAGES_MAX: Final = 1_000
"""4 MB. Beyond it the rest of a checkpoint holds the next group back, so that the log begins anew:
a commit that makes the file longer takes half as long again as one that writes over it."""
QUICK_COMMIT_S: Final = 0.0005
"""What the loop may stand still for a commit; two thread switches under load cost about as much."""
_MEMORY_OF_COMMITS: Final = 0.2
_BUSY_S: Final = 30.0


@dataclass(slots=True)
class _Pending:
    work: Work[Any]
    loop: asyncio.AbstractEventLoop
    answer: "asyncio.Future[Any]"
    result: Any = None
    problem: BaseException | None = None


class Database:
    """One SQLite file, or `:memory:`.

    Raises:
        sqlite3.DatabaseError: from `open` when the file is no database; from `write` what the
            work raised, or what the commit raised (then every piece of the group failed).
    """

    def __init__(
        self, path: Path | str, schema: str = "", *, quick_commit_s: float = QUICK_COMMIT_S
    ) -> None:
        """Open *path* (parents are made) and run *schema*, a script that may run again.

        Commits that take longer than *quick_commit_s* on average move to a thread; 0 moves all.
        """
        self._quick_commit_s = quick_commit_s
        self._memory = str(path) == MEMORY
        self.path = path
        if not self._memory:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._writer = self._keep()
        if schema:
            self._writer.executescript(schema)
        self._reader = self._writer if self._memory else self._keep(read_only=True)
        self._lock = threading.Lock()
        """Guards the two below."""
        self._waiting: deque[_Pending] = deque()
        self._owner: asyncio.AbstractEventLoop | None = None
        """The loop that will run the next group; None while nothing waits or is under way."""
        self._turn = threading.Lock()
        """Held from a group's first statement to the end of its commit."""
        self._threads = ThreadPoolExecutor(2, f"sqlite {path}")
        self._checkpointer: sqlite3.Connection | None = None
        self._commit_s = 0.0
        self._works_since_checkpoint = 0
        self._wal_is_long = False
        self._closed = False

    def _keep(self, *, read_only: bool = False) -> sqlite3.Connection:
        """Return a connection that lasts as long as this database, also when nobody closes it."""
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
                connection.execute("PRAGMA synchronous=FULL")
                # Checkpoints run beside the commits, not inside one.
                connection.execute("PRAGMA wal_autocheckpoint=0")
            if read_only:
                connection.execute("PRAGMA query_only=ON")
            connection.execute("PRAGMA foreign_keys=ON")
        except sqlite3.Error:
            connection.close()
            raise
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
        with self._lock:
            self._waiting.append(_Pending(work, loop, answer))
            is_owned = self._owner is not None and not self._owner.is_closed()
            if not is_owned:
                self._owner = loop
        if not is_owned:
            loop.call_soon(self._run_group)
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

    def _run_group(self) -> None:
        self._turn.acquire()  # free, unless a slow commit or another loop's group is under way
        group = self._take()
        if not group:
            self._turn.release()
            return
        self._work(group)
        if self._closed or (self._commit_s < self._quick_commit_s and not self._wal_is_long):
            self._finish(group)
        else:
            self._threads.submit(self._finish, group)

    def _take(self) -> list[_Pending]:
        with self._lock:
            waiting = self._waiting
            group = [waiting.popleft() for _ in range(min(len(waiting), _GROUP_MAX))]
            if not group:
                self._owner = None
            return group

    def _work(self, group: list[_Pending]) -> None:
        """Run each piece of *group*; what it did is in the open transaction, or undone."""
        connection = self._writer
        try:
            connection.execute("BEGIN IMMEDIATE")
            if len(group) == 1:
                _run(group[0], connection)
                if group[0].problem is not None:
                    connection.execute("ROLLBACK")
                return
            for pending in group:
                connection.execute("SAVEPOINT work")
                _run(pending, connection)
                if pending.problem is not None:
                    connection.execute("ROLLBACK TO work")
                connection.execute("RELEASE work")
        except sqlite3.Error as problem:
            self._fail(group, problem)

    def _finish(self, group: list[_Pending]) -> None:
        """Commit *group*, answer its callers and let the next one begin."""
        try:
            started = time.perf_counter()
            if self._writer.in_transaction:
                self._writer.execute("COMMIT")
            took_s = time.perf_counter() - started
            self._commit_s += _MEMORY_OF_COMMITS * (took_s - self._commit_s)
            if self._wal_is_long:
                self._checkpoint()
        except sqlite3.Error as problem:
            self._fail(group, problem)
        finally:
            self._turn.release()
        here = _running_loop()
        _answer(group, here)
        self._works_since_checkpoint += len(group)
        if self._works_since_checkpoint > _CHECKPOINT_WORKS and not self._closed:
            self._works_since_checkpoint = 0
            self._threads.submit(self._checkpoint)
        self._begin_next(here)

    def _fail(self, group: list[_Pending], problem: sqlite3.Error) -> None:
        with suppress(sqlite3.Error):
            self._writer.execute("ROLLBACK")
        for pending in group:
            pending.result, pending.problem = None, pending.problem or problem

    def _begin_next(self, here: asyncio.AbstractEventLoop | None) -> None:
        """Let the next group run behind the callers that were just answered: they may join it."""
        with self._lock:
            loop = self._waiting[0].loop if self._waiting else None
            self._owner = loop
        if loop is None:
            return
        try:
            if loop is here:
                loop.call_soon(self._run_group)
            else:
                loop.call_soon_threadsafe(self._run_group)
        except RuntimeError:  # that loop ended while its caller waited
            self._run_group()

    def _checkpoint(self) -> None:
        with suppress(sqlite3.OperationalError):
            if self._checkpointer is None:
                self._checkpointer = self._keep()
            found = self._checkpointer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            self._wal_is_long = not self._wal_is_long and found[1] > _WAL_PAGES_MAX

    def close(self) -> None:
        """Finish what was queued, checkpoint and close. A closed database refuses writes."""
        if self._closed:
            return
        self._closed = True
        self._threads.shutdown()
        if not self._memory:
            while self._waiting:
                self._run_group()
            # Readers first: a truncating checkpoint waits for them.
            self._reader.close()
            if self._checkpointer is not None:
                self._checkpointer.close()
            with suppress(sqlite3.OperationalError):
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._writer.close()


def _run(pending: _Pending, connection: sqlite3.Connection) -> None:
    try:
        pending.result = pending.work(connection)
    except BaseException as problem:  # noqa: BLE001  it belongs to the caller
        pending.problem = problem


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _answer(group: list[_Pending], here: asyncio.AbstractEventLoop | None) -> None:
    """Answer the callers on this loop at once, and wake each other loop once for all of its own."""
    elsewhere: dict[asyncio.AbstractEventLoop, list[_Pending]] = {}
    for pending in group:
        if pending.loop is here:
            _settle([pending])
        else:
            elsewhere.setdefault(pending.loop, []).append(pending)
    for loop, rows in elsewhere.items():
        with suppress(RuntimeError):  # the loop ended while its caller waited: nobody is there
            loop.call_soon_threadsafe(_settle, rows)


def _settle(group: list[_Pending]) -> None:
    for pending in group:
        if pending.answer.done():
            continue
        if pending.problem is None:
            pending.answer.set_result(pending.result)
        else:
            pending.answer.set_exception(pending.problem)
