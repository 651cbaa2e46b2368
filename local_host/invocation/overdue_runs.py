"""Runs of plain functions that went on past `functionTimeout`: nothing can end a thread.

Azure ends the worker process instead. Here other apps live in the same one, so the thread is left,
said, and replaced: the functions of the app go on.
"""

import logging
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

THREAD_NAME: Final = "function"
"""How the names of the threads begin in which plain functions run."""
REPLACED_MAX: Final = 64
"""Threads that run on hold memory and take turns; behind so many, functions wait."""
_log = logging.getLogger("local_host")


class OverdueRuns:
    """The threads of *pool* that are lost to runs which do not end."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._size = pool._max_workers  # noqa: SLF001
        self._lock = threading.Lock()
        """Runs begin to be overdue in the loop, and end in their threads."""
        self._runs: dict[Future[Any], str] = {}

    def add(self, function: str, run: Future[Any]) -> None:
        """Count *run* of *function*, and give its place in the pool to another thread."""
        with self._lock:
            self._runs[run] = function
            self._resize()
        _log.error(
            "%s did not end at its timeout, and no thread can be ended from outside: it runs on;"
            " %d such runs hold threads until this host ends. Give what it waits for a timeout",
            function,
            len(self._runs),
        )
        run.add_done_callback(self._ended)

    def problems(self) -> Sequence[str]:
        """Return a sentence for each function with such runs."""
        return [
            f"{count} runs of {function} go on past their timeout, each in a thread of its own"
            for function, count in sorted(Counter(self._runs.copy().values()).items())
        ]

    def _ended(self, run: Future[Any]) -> None:
        with self._lock:
            function = self._runs.pop(run)
            self._resize()
        _log.warning("a run of %s has ended, long after its timeout", function)

    def _resize(self) -> None:
        # No public way: a pool cannot be told that a thread of it will never be free again.
        self._pool._max_workers = self._size + min(len(self._runs), REPLACED_MAX)  # noqa: SLF001
