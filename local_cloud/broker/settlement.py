"""Settles messages: concurrent settlements share a commit, which also refills their links."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from local_cloud.broker import message_store
from local_cloud.broker.locks import Lock
from local_cloud.broker.message import Disposition, LockLost, ReceivedMessage
from local_cloud.broker.message_store import Settlement
from local_cloud.broker.namespace import Namespace
from local_cloud.broker.receiver_link import ReceiverLink


@dataclass(slots=True)
class _PendingSettlement:
    """Messages that one caller settles; the answer is those whose lock was lost."""

    locks: list[Lock]
    settlements: list[Settlement]
    lost: list[ReceivedMessage]
    answer: "asyncio.Future[list[ReceivedMessage]]"
    refill: ReceiverLink | None


_Settled = tuple[list[bool], list[tuple[ReceiverLink, list[ReceivedMessage]]]]


class SettlementWriter:
    """Writes settlements, one transaction at a time; the next one takes what came meanwhile."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._waiting: list[_PendingSettlement] = []
        self._writer: asyncio.Task[None] | None = None

    async def settle_one(
        self,
        message: ReceivedMessage,
        disposition: Disposition,
        reason: str = "",
        description: str = "",
    ) -> None:
        """Return when the disposition of *message* is durable. Raises LockLost."""
        if await self.settle([message], disposition, reason, description):
            raise LockLost(message)

    async def settle(
        self,
        messages: Sequence[ReceivedMessage],
        disposition: Disposition,
        reason: str = "",
        description: str = "",
        *,
        refill: ReceiverLink | None = None,
    ) -> Sequence[ReceivedMessage]:
        """Return when the settlements are durable, with the messages whose lock was lost.

        *refill* is given as many messages again, in the same commit, while its queue has a backlog.
        """
        namespace = self._namespace
        now_s = namespace.clock.monotonic_s()
        waiting = _PendingSettlement([], [], [], asyncio.get_running_loop().create_future(), refill)
        for message in messages:
            try:
                lock = namespace.locks.take(message, now_s)
            except LockLost:
                waiting.lost.append(message)
            else:
                waiting.locks.append(lock)
                waiting.settlements.append(
                    namespace.settlement(lock, disposition, reason, description, message.changes)
                )
        self._waiting.append(waiting)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(), name="broker settler")
        return await waiting.answer

    async def stop(self) -> None:
        """Return when everything that waits is written."""
        if self._writer is not None:
            await self._writer

    async def _write(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            settlements = [each for waiting in group for each in waiting.settlements]
            refills = _refills(group)
            try:
                held, filled = await self._settle(settlements, refills)
            except Exception as problem:  # noqa: BLE001  it belongs to those who wait
                self._fail(group, refills, problem)
                continue
            for link, messages in filled:
                self._namespace.hold(messages)
                link.fill(messages, expected=refills[link])
            self._namespace.after_settling(
                [lock for waiting in group for lock in waiting.locks], settlements
            )
            _resolve(group, held)

    async def _settle(
        self, settlements: list[Settlement], refills: Counter[ReceiverLink]
    ) -> _Settled:
        namespace = self._namespace
        now = namespace.now()

        def work(connection: sqlite3.Connection) -> _Settled:
            held = message_store.settle(connection, settlements)
            filled = [
                (link, namespace.lock_ready(connection, link.queue, places, now))
                for link, places in refills.items()
            ]
            return held, filled

        return await namespace.database.write(work)

    def _fail(
        self, group: list[_PendingSettlement], refills: Counter[ReceiverLink], problem: Exception
    ) -> None:
        """Hold the locks again; they run out and the messages are delivered again."""
        for link, places in refills.items():
            link.fill([], expected=places)
            link.notify()
        for waiting in group:
            self._namespace.locks.restore(waiting.locks)
            if not waiting.answer.done():
                waiting.answer.set_exception(problem)
        self._namespace.timer.set(self._namespace.locks.next_end_s())


def _refills(group: list[_PendingSettlement]) -> Counter[ReceiverLink]:
    """Return how many messages each link with a backlog is given again, and expect them."""
    refills: Counter[ReceiverLink] = Counter()
    for waiting in group:
        if waiting.refill is not None and waiting.refill.has_backlog:
            refills[waiting.refill] += 1
    for link, places in refills.items():
        link.has_backlog = False
        link.expect(places)
    return refills


def _resolve(group: list[_PendingSettlement], held: list[bool]) -> None:
    """Tell each caller which of its messages were lost."""
    is_held = iter(held)
    for waiting in group:
        lost = [lock.message for lock in waiting.locks if not next(is_held)]
        if not waiting.answer.done():
            waiting.answer.set_result(waiting.lost + lost)
