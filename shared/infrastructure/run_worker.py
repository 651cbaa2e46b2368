"""Runs in the background: a task per run does its recorded steps until the run has ended.

A task holds nothing that is not recorded, so one that was killed is replaced by another, in this
process or the next; two tasks of one run, in two processes, end as one.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from shared.infrastructure.errors import RunUnknown
from shared.infrastructure.port import Run, RunId, StackName, Step, StepOutcome
from shared.infrastructure.run_journal import Journal
from shared.infrastructure.run_rules import failed
from shared.kernel.clock import Clock
from shared.kernel.errors import Refused, Unavailable
from shared.kernel.fence import Fence, StaleFence

STEP_ATTEMPTS: Final = 6
"""With pauses of 1, 2, 4, 8 and 16 s, so half a minute; the next run starts where this one ends."""

DoStep = Callable[[StackName, Step, Fence], Awaitable[StepOutcome]]

_log = logging.getLogger(__name__)


class RunWorker:
    """Does one run. `trouble` says why the current step is tried again, else it is empty."""

    def __init__(self, run_id: RunId, journal: Journal, do_step: DoStep, clock: Clock) -> None:
        self._run_id = run_id
        self._journal = journal
        self._do_step = do_step
        self._clock = clock
        self.trouble = ""

    async def work(self) -> None:
        attempt = 1
        while True:
            try:
                is_over = await self._advance()
            except Unavailable as away:
                if attempt == STEP_ATTEMPTS:
                    await self._give_up(away)
                    return
                self.trouble = f"{away.message}; attempt {attempt} of {STEP_ATTEMPTS} failed"
                await self._clock.sleep(max(away.retry_after_s, 2.0 ** (attempt - 1)))
                attempt += 1
            else:
                attempt, self.trouble = 1, ""
                if is_over:
                    return

    async def _advance(self) -> bool:
        """Do the next step, or record the end; return whether there is nothing more to do."""
        run = await self._active_run()
        if run is None:
            return True
        try:
            await self._do_next(run)
        except (StaleFence, RunUnknown) as overtaken:
            # The run may have ended or have a newer fence by now; if not, a resource refused it.
            if await self._active_run() == run:
                await self._fail(run, code=overtaken.code, message=overtaken.message)
        except Refused as refused:
            message = f"{refused.message} ({refused.code})"
            await self._fail(run, code="StepFailed", message=message, cause=refused)
        except Unavailable:
            raise
        except Exception as defect:  # noqa: BLE001  a task has no caller to raise to
            _log.exception("run %s: a step ended with a defect", self._run_id)
            await self._fail(run, code="StepDefect", message=type(defect).__name__)
        return False

    async def _active_run(self) -> Run | None:
        state = await self._journal.load(self._run_id.stack)
        return state.active_run(self._run_id.name)

    async def _do_next(self, run: Run) -> None:
        assert run.fence is not None, run.id
        stack = self._run_id.stack
        if run.is_cancel_requested:
            message = "canceled between two steps, as was asked"
            await self._fail(run, code="Canceled", message=message)
        elif run.remaining:
            await self._do_step(stack, run.remaining[0], run.fence)
        else:
            await self._journal.succeed(stack, run.id, run.fence)

    async def _give_up(self, away: Unavailable) -> None:
        # What cannot be recorded now either is left as it is: the next look resumes the run.
        with suppress(Unavailable):
            run = await self._active_run()
            if run is not None:
                await self._fail(run, code=away.code, message=away.message)

    async def _fail(
        self, run: Run, *, code: str, message: str, cause: Refused | None = None
    ) -> None:
        assert run.fence is not None, run.id
        end = failed(run, code=code, message=message, cause=cause)
        await self._journal.fail(self._run_id.stack, run.id, run.fence, end)


class BackgroundRuns:
    """The tasks of one engine; its owner's event loop ends them."""

    def __init__(self, journal: Journal, do_step: DoStep, clock: Clock) -> None:
        self._journal = journal
        self._do_step = do_step
        self._clock = clock
        self._live: dict[RunId, tuple[RunWorker, asyncio.Task[None]]] = {}

    def resume(self, run_id: RunId) -> RunWorker:
        """Return the worker of *run_id*, after starting one where none is at work."""
        if run_id in self._live:
            worker, task = self._live[run_id]
            if not task.done():
                return worker
        worker = RunWorker(run_id, self._journal, self._do_step, self._clock)
        task = asyncio.create_task(worker.work(), name=f"run {run_id.name} of {run_id.stack}")
        self._live[run_id] = worker, task
        task.add_done_callback(lambda ended: self._forget(run_id, ended))
        return worker

    def _forget(self, run_id: RunId, task: asyncio.Task[None]) -> None:
        if self._live[run_id][1] is task:
            del self._live[run_id]
        if not task.cancelled() and (problem := task.exception()) is not None:
            _log.error("run %s stopped and will be resumed: %r", run_id, problem)
