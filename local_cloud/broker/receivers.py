"""What a receiver with free places is given the moment it is sent, and how it learns of the rest.

A message that finds a free place is stored already locked and handed over when that is durable: one
commit, no look for it. Nothing overtakes: while a queue holds something that is ready, its
receivers look there, and are given nothing directly.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence

from local_cloud.broker.message import ReceivedMessage
from local_cloud.notifications import Arrivals


class Mailbox:
    """One receiver's places at one queue. The receiver says how many are free."""

    def __init__(self, path: str, queue: int) -> None:
        self.path = path
        self.queue = queue
        self.messages: deque[ReceivedMessage] = deque()
        self.expected = 0
        """Messages on their way here: their commit is not durable yet."""
        self.has_backlog = True
        """The queue may hold something ready; until the receiver has looked, it may."""
        self.changed = asyncio.Event()
        self._free = 0

    @property
    def takes_more(self) -> bool:
        return self._free > 0 and not self.has_backlog

    def offer(self, places: int) -> None:
        """Take up to *places* more from now on, those on their way included."""
        self._free = max(0, places - self.expected)

    def expect(self, places: int = 1) -> None:
        """*places* messages are on their way here."""
        self._free -= places
        self.expected += places

    def put(self, message: ReceivedMessage) -> None:
        self.expected -= 1
        self.messages.append(message)
        self.changed.set()

    def disappoint(self) -> None:
        """What was on its way will not come."""
        self.expected -= 1
        self.changed.set()

    def fill(self, messages: Sequence[ReceivedMessage], *, expected: int) -> None:
        """Take what was found for *expected* places; fewer means that the queue is empty."""
        self.expected -= expected
        self.messages.extend(messages)
        self.has_backlog = self.has_backlog or len(messages) == expected
        self.changed.set()

    def notify(self) -> None:
        """Something became ready in the queue."""
        self.has_backlog = True
        self.changed.set()


class Receivers:
    """All who wait for messages, by queue number."""

    def __init__(self) -> None:
        self._mailboxes: dict[int, list[Mailbox]] = {}
        self._arrivals: dict[int, Arrivals] = {}

    def open(self, mailbox: Mailbox) -> None:
        self._mailboxes.setdefault(mailbox.queue, []).append(mailbox)

    def close(self, mailbox: Mailbox) -> None:
        self._mailboxes[mailbox.queue].remove(mailbox)
        mailbox.offer(0)

    def arrivals(self, queue: int) -> Arrivals:
        return self._arrivals.setdefault(queue, Arrivals())

    def place_at(self, queue: int) -> Mailbox | None:
        """Return a mailbox with a free place, each in turn; None when there is none."""
        mailboxes = self._mailboxes.get(queue)
        if mailboxes is None:
            return None
        for mailbox in mailboxes:
            if mailbox.takes_more:
                mailboxes.remove(mailbox)
                mailboxes.append(mailbox)
                return mailbox
        return None

    def wake(self, queues: Iterable[int]) -> None:
        """Tell who waits at *queues* that something became ready."""
        for queue in queues:
            for mailbox in self._mailboxes.get(queue, ()):
                mailbox.notify()
            if queue in self._arrivals:
                self._arrivals[queue].notify()
