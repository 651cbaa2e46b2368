"""A receiver's link to one queue: its credit, as AMQP calls it, and the messages it was given.

A message that is sent while a link has credit is stored already locked, and handed over once that
is durable: one commit, and no query for it. Order is kept: while a queue holds something ready, its
receivers query it and are handed nothing directly.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from local_cloud.broker.message import ReceivedMessage


class ReceiverLink:
    """One receiver at one queue. The receiver says how many messages it can take."""

    def __init__(self, path: str, queue: int, *, is_handed: bool = True) -> None:
        """*is_handed* False: it queries always, as the receiver of one session does."""
        self.path = path
        self.queue = queue
        self.messages: deque[ReceivedMessage] = deque()
        self.expected = 0
        """Messages in transit to this link: their commit is not durable yet."""
        self.has_backlog = True
        """The queue may hold something ready. True until a query has shown that it does not."""
        self.changed = asyncio.Event()
        self._credit = 0
        self._is_handed = is_handed

    @property
    def has_credit(self) -> bool:
        return self._is_handed and self._credit > 0 and not self.has_backlog

    def grant_credit(self, messages: int) -> None:
        """Take up to *messages* more from now on, those in transit included."""
        self._credit = max(0, messages - self.expected)

    def expect(self, count: int = 1) -> None:
        """Take note that *count* messages are in transit to this link."""
        self._credit -= count
        self.expected += count

    def put(self, message: ReceivedMessage) -> None:
        self.expected -= 1
        self.messages.append(message)
        self.changed.set()

    def expect_fewer(self) -> None:
        """One message that was in transit will not come: its commit failed."""
        self.expected -= 1
        self.changed.set()

    def fill(self, messages: Sequence[ReceivedMessage], *, expected: int) -> None:
        """Take what a query for *expected* messages returned; fewer mean an empty queue."""
        self.expected -= expected
        self.messages.extend(messages)
        self.has_backlog = self.has_backlog or len(messages) == expected
        self.changed.set()

    def notify(self) -> None:
        """Take note that the queue holds something ready."""
        self.has_backlog = True
        self.changed.set()
