"""The locks of running deliveries. They live in memory: no lock outlives the host that gave it.

Renewing one is therefore free. The database knows only which token holds a row, so a host that was
replaced cannot settle anything.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from local_cloud.broker.message import LockLost, ReceivedMessage


@dataclass(slots=True)
class Lock:
    """A held lock; times are monotonic seconds."""

    message: ReceivedMessage
    lock_s: float
    until_s: float
    renewed_until_s: float
    """While earlier than this, a lock that runs out is renewed."""


class Locks:
    """The locks that are held, by token."""

    def __init__(self) -> None:
        self._held: dict[str, Lock] = {}

    def hold(self, lock: Lock) -> None:
        self._held[lock.message.lock_token] = lock

    def message(self, token: str, now_s: float) -> ReceivedMessage | None:
        """Return the message that *token* locks; None when nothing is locked by it any more."""
        lock = self._held.get(token)
        return None if lock is None or self._has_run_out(lock, now_s) else lock.message

    def take(self, message: ReceivedMessage, now_s: float) -> Lock:
        """Remove and return the lock of *message*. Raises LockLost."""
        lock = self._held.get(message.lock_token)
        if lock is None or self._has_run_out(lock, now_s):
            raise LockLost(message)
        return self._held.pop(message.lock_token)

    def renew(self, message: ReceivedMessage, now_s: float) -> None:
        """Hold the lock of *message* for its whole duration from now. Raises LockLost."""
        lock = self.take(message, now_s)
        lock.until_s = now_s + lock.lock_s
        self.hold(lock)

    def keep_renewed(self, message: ReceivedMessage, until_s: float) -> None:
        lock = self._held.get(message.lock_token)
        if lock is not None:
            lock.renewed_until_s = until_s

    def take_expired(self, now_s: float) -> list[Lock]:
        """Remove and return what ran out and is not renewed."""
        expired = [lock for lock in self._held.values() if self._has_run_out(lock, now_s)]
        for lock in expired:
            del self._held[lock.message.lock_token]
        return expired

    def of_session(self, queue: int, session: str) -> list[Lock]:
        return [
            lock
            for lock in self._held.values()
            if lock.message.queue == queue and lock.message.session_id == session
        ]

    def take_session(self, queue: int, session: str, now_s: float) -> list[Lock]:
        """Remove and return the locks of a session's messages, which have run out with it."""
        locks = self.of_session(queue, session)
        for lock in locks:
            lock.until_s = now_s
            del self._held[lock.message.lock_token]
        return locks

    def next_end_s(self) -> float:
        return min((lock.until_s for lock in self._held.values()), default=math.inf)

    def restore(self, locks: Iterable[Lock]) -> None:
        """Hold *locks* again: settling them failed, so they shall run out."""
        for lock in locks:
            self.hold(lock)

    @staticmethod
    def _has_run_out(lock: Lock, now_s: float) -> bool:
        if lock.until_s <= now_s < lock.renewed_until_s:
            lock.until_s = now_s + lock.lock_s
        return lock.until_s <= now_s
