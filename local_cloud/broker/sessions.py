"""Sessions: who has which, and what comes of its messages when that ends.

A session is locked as a whole, in memory as all locks are. Its messages have locks of their own
that end with it: what was received and not settled is abandoned then.
https://learn.microsoft.com/azure/service-bus-messaging/message-sessions
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from local_cloud.broker import session_store
from local_cloud.broker.locks import Lock
from local_cloud.broker.message import Disposition, ReceivedMessage
from local_cloud.broker.namespace import Namespace
from local_cloud.broker.settlement import SettlementWriter
from shared.kernel.errors import TooLarge

STATE_MAX_BYTES = 256 * 1024


class SessionBusy(Exception):
    """Another receiver has the session: `SessionCannotBeLocked` in Service Bus."""


class SessionLost(Exception):
    """The session is not locked, or not by this receiver any more."""


class NoSession(Exception):
    """No session with messages became free in the time that was given."""


@dataclass(slots=True, eq=False)
class Session:
    """A session that a receiver has locked; `until_s` is monotonic."""

    queue: int
    name: str
    lock_s: float
    until_s: float
    on_lost: Callable[[], None] = field(default=lambda: None)
    """Called when the lock has run out."""


class Sessions:
    """The sessions of a namespace's entities that require them."""

    def __init__(self, namespace: Namespace, settlement_writer: SettlementWriter) -> None:
        self._namespace = namespace
        self._settlement_writer = settlement_writer
        self._held: dict[tuple[int, str], Session] = {}

    async def accept(self, path: str, name: str | None, wait_s: float) -> Session:
        """Lock the session *name*, or the next one that has messages and is free.

        Raises:
            NotFound: no such queue or subscription.
            SessionBusy: another receiver has *name*.
            NoSession: no session became free within *wait_s*.
        """
        queue = self._namespace.entities.number(path)
        if name is not None:
            if (queue, name) in self._held:
                raise SessionBusy(f"session {name[:128]!r} cannot be locked: a receiver has it")
            return self._lock(queue, name)
        try:
            async with asyncio.timeout(wait_s):
                return await self._next(queue)
        except TimeoutError:
            raise NoSession(f"no session of {path} became free in {wait_s:g} s") from None

    async def _next(self, queue: int) -> Session:
        arrivals = self._namespace.receivers.arrivals(queue)
        while True:
            count = arrivals.count
            ready = self._namespace.database.read(
                partial(session_store.ready, queue=queue, now=self._namespace.now())
            )
            for name in ready:
                if (queue, name) not in self._held:
                    return self._lock(queue, name)
            await arrivals.since(count)

    def _lock(self, queue: int, name: str) -> Session:
        lock_s = self._namespace.entities.settings(queue).lock_s
        session = Session(queue, name, lock_s, self._namespace.clock.monotonic_s() + lock_s)
        self._held[queue, name] = session
        self._namespace.timer.set(session.until_s)
        return session

    def held(self, path: str, name: str) -> Session:
        """Return the locked session *name* of *path*. Raises NotFound, SessionLost."""
        session = self._held.get((self._namespace.entities.number(path), name))
        if session is None or session.until_s <= self._namespace.clock.monotonic_s():
            raise SessionLost(f"session {name[:128]!r} is not locked")
        return session

    def locked_until(self, session: Session) -> float:
        """Return the epoch second at which the lock runs out."""
        left_s = session.until_s - self._namespace.clock.monotonic_s()
        return self._namespace.now() + left_s

    def renew(self, path: str, name: str) -> float:
        """Hold the session for its whole duration from now, until the returned epoch second.

        Raises:
            NotFound, SessionLost: it is not locked.
        """
        session = self.held(path, name)
        session.until_s = self._namespace.clock.monotonic_s() + session.lock_s
        return self.locked_until(session)

    async def lock_messages(self, session: Session, limit: int) -> Sequence[ReceivedMessage]:
        """Lock and return up to *limit* messages of *session* in order.

        Raises:
            SessionLost: the session is not locked by this receiver any more.
        """
        namespace = self._namespace
        if self._held.get((session.queue, session.name)) is not session:
            raise SessionLost(f"session {session.name[:128]!r} is not locked any more")
        messages = await namespace.database.write(
            partial(
                namespace.lock_ready,
                queue=session.queue,
                limit=limit,
                now=namespace.now(),
                session=session.name,
            )
        )
        namespace.hold(messages)
        return messages

    async def release(self, session: Session) -> None:
        """Let others have *session*; what its receiver has not settled is abandoned."""
        if self._held.get((session.queue, session.name)) is not session:
            return
        await self._abandon(session)
        del self._held[session.queue, session.name]
        self._namespace.receivers.notify([session.queue])

    async def _abandon(self, session: Session) -> None:
        messages = [
            lock.message for lock in self._namespace.locks.of_session(session.queue, session.name)
        ]
        await self._settlement_writer.settle(messages, Disposition.ABANDON)

    def take_expired(self, now_s: float) -> list[Lock]:
        """Remove the sessions that ran out; return the locks of their messages, removed too."""
        expired = [each for each in self._held.values() if each.until_s <= now_s]
        locks: list[Lock] = []
        for session in expired:
            del self._held[session.queue, session.name]
            locks += self._namespace.locks.take_session(session.queue, session.name, now_s)
            session.on_lost()
        self._namespace.receivers.notify({session.queue for session in expired})
        return locks

    def next_end_s(self) -> float:
        return min((session.until_s for session in self._held.values()), default=math.inf)

    # State

    def state(self, path: str, name: str) -> bytes | None:
        """Return what was kept of the session *name*. Raises NotFound, SessionLost."""
        session = self.held(path, name)
        return self._namespace.database.read(
            partial(session_store.state, queue=session.queue, session=name)
        )

    async def set_state(self, path: str, name: str, state: bytes | None) -> None:
        """Keep *state* with the session *name*; None removes it.

        Raises:
            NotFound, SessionLost: the session is not locked.
            TooLarge: over 256 KB.
        """
        session = self.held(path, name)
        if state is not None and len(state) > STATE_MAX_BYTES:
            raise TooLarge(f"a session state has at most {STATE_MAX_BYTES} bytes")
        await self._namespace.database.write(
            partial(
                session_store.set_state,
                queue=session.queue,
                session=name,
                state=state,
                now=self._namespace.now(),
            )
        )

    def names(
        self, path: str, skip: int, top: int, updated_after: float | None = None
    ) -> Sequence[str]:
        """Return names of sessions that have messages or a state, in order.

        With *updated_after*, in epoch seconds, those whose state was set later. Raises NotFound.
        """
        queue = self._namespace.entities.number(path)
        return self._namespace.database.read(
            partial(
                session_store.names, queue=queue, skip=skip, top=top, updated_after=updated_after
            )
        )
