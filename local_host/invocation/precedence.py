"""Precedence of calls: somebody waits for each of them, and the loop is one."""

import asyncio
from collections import deque
from typing import Final

from local_host.invocation.timeouts import Timeouts

_PATIENCE_S: Final = 0.5
"""How long a call goes first, and how long a run waits: a call may wait for minutes itself."""
_BESIDE_CALLS: Final = 1
"""Other runs at once while a call goes first: what the call waits for may be one of them."""


class Precedence:
    """While calls are under way, runs that nobody waits for go one at a time."""

    def __init__(self) -> None:
        self._calls_first = 0
        self._running = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._calls = Timeouts[object](_PATIENCE_S, self._demote)
        self._timeouts = Timeouts[asyncio.Future[None]](_PATIENCE_S, self._resume)

    def begin_call(self, call: object) -> None:
        """Let *call* go first until `end_call`, or for half a second."""
        self._calls_first += 1
        self._calls.enter(call, asyncio.get_running_loop())

    def end_call(self, call: object) -> None:
        if self._calls.leave(call):
            self._demote(call)

    async def begin_run(self) -> None:
        """Return when a run that nobody waits for may begin; `end_run` must follow.

        Raises:
            CancelledError: the run is canceled; `end_run` must not follow.
        """
        if self._calls_first and self._running >= _BESIDE_CALLS:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            self._timeouts.enter(turn, turn.get_loop())
            try:
                await turn  # whoever resumes it counts it
            except asyncio.CancelledError:
                if not turn.cancelled():
                    self.end_run()
                raise
            finally:
                self._timeouts.leave(turn)
        else:
            self._running += 1

    def end_run(self) -> None:
        self._running -= 1
        if self._running < _BESIDE_CALLS:
            self._give_turn()

    def close(self) -> None:
        """Forget who goes first and who waits, whose tasks the host cancels."""
        self._calls.close()
        self._timeouts.close()

    def _demote(self, _call: object) -> None:
        self._calls_first -= 1
        if not self._calls_first:
            while self._waiting:
                self._resume(self._waiting.popleft())

    def _give_turn(self) -> None:
        while self._waiting:
            if self._resume(self._waiting.popleft()):
                return

    def _resume(self, turn: "asyncio.Future[None]") -> bool:
        """Let the run that waits for *turn* begin; return whether it still waited."""
        if turn.done():
            return False
        self._running += 1
        turn.set_result(None)
        return True
