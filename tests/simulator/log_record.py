"""What the platform wrote to its logs in a run, kept instead of shown: thousands of refusals."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from shared.kernel.errors import Refused, Unavailable
from tests.kit.mortal import Killed
from tests.simulator.history import History

_EXPECTED = (Unavailable, Refused, Killed)


class _Record(logging.Handler):
    def __init__(self, history: History) -> None:
        super().__init__(logging.WARNING)
        self._history = history

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        self._history.logged.append(text)
        problem = record.exc_info[1] if record.exc_info else None
        if problem is not None and not isinstance(problem, _EXPECTED):
            self._history.broke("1", f"a defect was logged: {text[:200]} {problem!r}"[:500])


@contextmanager
def logs_kept(history: History) -> Iterator[None]:
    """Keep in *history* what is logged while this is entered."""
    root, handler = logging.getLogger(), _Record(history)
    before, root.handlers = root.handlers, [handler]
    try:
        yield
    finally:
        root.handlers = before
