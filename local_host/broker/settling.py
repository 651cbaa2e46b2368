"""Settling: endings that come together are written together, and what they free is filled again."""

import asyncio
import sqlite3
from dataclasses import dataclass

from local_host.broker import ledger
from local_host.broker.ledger import Ending, Settlement
from local_host.broker.locks import Lock, LockLost
from local_host.broker.message import ReceivedMessage
from local_host.broker.namespace import Namespace


@dataclass(slots=True)
class _Waiting:
    lock: Lock
    settlement: Settlement
    answer: "asyncio.Future[bool]"


class Settler:
    """Writes settlements, one transaction at a time; what comes meanwhile is the next one."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None

    async def settle(
        self, message: ReceivedMessage, ending: Ending, reason: str = "", description: str = ""
    ) -> None:
        """Return when the ending of *message* is durable. Raises LockLost."""
        namespace = self._namespace
        lock = namespace.locks.take(message, namespace.clock.monotonic_s())
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        settlement = namespace.settlement(lock, ending, reason, description)
        self._waiting.append(_Waiting(lock, settlement, answer))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(), name="broker settler")
        if not await answer:
            raise LockLost(message)

    async def stop(self) -> None:
        """Return when everything that waits is written."""
        if self._writer is not None:
            await self._writer

    async def _write(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            settlements = [each.settlement for each in group]

            def work(
                connection: sqlite3.Connection, settlements: list[Settlement] = settlements
            ) -> list[bool]:
                return ledger.settle(connection, settlements)

            try:
                held = await self._namespace.database.write(work)
            except Exception as problem:  # noqa: BLE001  it belongs to those who wait
                self._give_up(group, problem)
                continue
            self._namespace.after_settling([each.lock for each in group], settlements)
            for each, is_held in zip(group, held, strict=True):
                if not each.answer.done():
                    each.answer.set_result(is_held)

    def _give_up(self, group: list[_Waiting], problem: Exception) -> None:
        """Leave what could not be settled to its lock, which will run out."""
        self._namespace.locks.restore(each.lock for each in group)
        self._namespace.alarm.set(self._namespace.locks.next_end_s())
        for each in group:
            if not each.answer.done():
                each.answer.set_exception(problem)
