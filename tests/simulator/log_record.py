"""What is seen of a run from within: its logs, kept instead of shown, and each settled message."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from shared.kernel.errors import Refused, Unavailable
from shared.messaging.dispatcher import Dispatcher
from shared.messaging.envelope import Envelope
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


@contextmanager
def settlements_noted(history: History) -> Iterator[None]:
    """Tell *history* of each message that a service handled or parked: no marker says of all."""
    settle = Dispatcher._settle

    async def settled(of: Dispatcher, envelope: Envelope, *more: object) -> bool:
        result = await settle(of, envelope, *more)  # type: ignore[arg-type]
        history.commits.handled.add((of.work.service, envelope.event_id))
        return result

    with patch.object(Dispatcher, "_settle", settled):
        yield
