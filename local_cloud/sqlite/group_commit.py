"""Group commit: many callers' transactions, one fsync.

The writes of one turn of the event loop are a group. Each runs on the loop's thread, in a
savepoint of its own unless it undoes itself, so a failing write undoes only itself. One commit
makes the group durable, then its callers are answered.
A commit on a quick disk takes less time than two thread switches, so it is done on the loop; slow
commits move to a thread, and the loop goes on while the next group gathers. A write that takes long
is a group of its own on such a thread.
"""

import asyncio
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from local_cloud.sqlite.write_ahead_log import WriteAheadLog

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

QUICK_COMMIT_S: Final = 0.0005
"""How long a commit may block the loop; two thread switches under load take as long."""
_GROUP_MAX: Final = 256
"""Bounds the time the first caller of a group waits for the last."""
_WEIGHT_OF_LAST_COMMIT: Final = 0.2


@dataclass(slots=True)
class _Pending:
    work: Work[Any]
    loop: asyncio.AbstractEventLoop
    answer: "asyncio.Future[Any]"
    undoes_itself: bool
    takes_long: bool
    result: Any = None
    problem: BaseException | None = None

    def run(self, connection: sqlite3.Connection) -> None:
        try:
            self.result = self.work(connection)
        except BaseException as problem:  # noqa: BLE001  it belongs to the caller
            self.problem = problem

    def settle(self) -> None:
        """Answer the caller, on its own loop."""
        if self.answer.done():
            return
        if self.problem is None:
            self.answer.set_result(self.result)
        else:
            self.answer.set_exception(self.problem)


class GroupCommit:
    """The only writer of one database; callers may be on several event loops."""

    def __init__(
        self, connection: sqlite3.Connection, log: WriteAheadLog, quick_commit_s: float
    ) -> None:
        self._connection = connection
        self._log = log
        self._quick_commit_s = quick_commit_s
        self._commit_s = 0.0
        """A moving average."""
        self._lock = threading.Lock()
        """Guards the two below."""
        self._waiting: deque[_Pending] = deque()
        self._owner: asyncio.AbstractEventLoop | None = None
        """The loop that will run the next group; None while nothing waits or is under way."""
        self._closed = False

    def join(self, work: Work[T], *, undoes_itself: bool, takes_long: bool) -> "asyncio.Future[T]":
        """Add *work* to the next group; the future has its result once that is durable."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        with self._lock:
            self._waiting.append(_Pending(work, loop, answer, undoes_itself, takes_long))
            is_owned = self._owner is not None and not self._owner.is_closed()
            if not is_owned:
                self._owner = loop
        if not is_owned:
            loop.call_soon(self._run_group)
        return answer

    def _run_group(self) -> None:
        self._log.writing.acquire()  # free, unless a slow commit or another loop's is under way
        group = self._take()
        if not group:
            self._log.writing.release()
        elif group[0].takes_long and not self._closed:
            self._log.threads.submit(self._work_and_finish, group)
        else:
            self._work(group)
            self._commit(group)

    def _commit(self, group: list[_Pending]) -> None:
        if self._closed or (self._commit_s < self._quick_commit_s and not self._log.is_long):
            self._finish(group)
        else:
            self._log.threads.submit(self._finish, group)

    def _take(self) -> list[_Pending]:
        group: list[_Pending] = []
        with self._lock:
            while self._waiting and len(group) < _GROUP_MAX:
                if group and (group[0].takes_long or self._waiting[0].takes_long):
                    break
                group.append(self._waiting.popleft())
            if not group:
                self._owner = None
        return group

    def _work(self, group: list[_Pending]) -> None:
        """Run the writes of *group* in one transaction, which is left open."""
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            if len(group) == 1:
                group[0].run(connection)
                if group[0].problem is not None:
                    connection.execute("ROLLBACK")
                return
            for pending in group:
                if pending.undoes_itself:
                    pending.run(connection)
                    if isinstance(pending.problem, sqlite3.Error):
                        raise pending.problem
                    continue
                connection.execute("SAVEPOINT work")
                pending.run(connection)
                if pending.problem is not None:
                    connection.execute("ROLLBACK TO work")
                connection.execute("RELEASE work")
        except sqlite3.Error as problem:
            self._fail(group, problem)

    def _work_and_finish(self, group: list[_Pending]) -> None:
        self._work(group)
        self._finish(group)

    def _finish(self, group: list[_Pending]) -> None:
        """Commit *group*, answer its callers and let the next one begin."""
        try:
            started = time.perf_counter()
            if self._connection.in_transaction:
                self._connection.execute("COMMIT")
            took_s = time.perf_counter() - started
            self._commit_s += _WEIGHT_OF_LAST_COMMIT * (took_s - self._commit_s)
            self._log.shorten_if_long()
        except sqlite3.Error as problem:
            self._fail(group, problem)
        finally:
            self._log.writing.release()
        loop = _running_loop()
        _answer(group, loop)
        if not self._closed:
            self._log.count(len(group))
        self._begin_next(loop)

    def _fail(self, group: list[_Pending], problem: sqlite3.Error) -> None:
        with suppress(sqlite3.Error):
            self._connection.execute("ROLLBACK")
        for pending in group:
            pending.result, pending.problem = None, pending.problem or problem

    def _begin_next(self, running: asyncio.AbstractEventLoop | None) -> None:
        """Let the next group run behind the callers that were just answered: they may join it."""
        with self._lock:
            loop = self._waiting[0].loop if self._waiting else None
            self._owner = loop
        if loop is None:
            return
        try:
            if loop is running:
                loop.call_soon(self._run_group)
            else:
                loop.call_soon_threadsafe(self._run_group)
        except RuntimeError:  # that loop ended while its caller waited
            self._run_group()

    def close(self) -> None:
        """Finish the waiting writes; no write may be added afterwards."""
        self._closed = True
        self._log.close()
        while self._waiting:
            self._run_group()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _answer(group: list[_Pending], running: asyncio.AbstractEventLoop | None) -> None:
    """Answer the callers on this loop at once, and wake each other loop once for all of its own."""
    elsewhere: dict[asyncio.AbstractEventLoop, list[_Pending]] = {}
    for pending in group:
        if pending.loop is running:
            pending.settle()
        else:
            elsewhere.setdefault(pending.loop, []).append(pending)
    for loop, rows in elsewhere.items():
        with suppress(RuntimeError):  # the loop ended while its caller waited
            loop.call_soon_threadsafe(_settle, rows)


def _settle(group: list[_Pending]) -> None:
    for pending in group:
        pending.settle()
