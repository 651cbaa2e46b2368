"""Runs in the background: a task per run does its recorded steps until the run has ended.

A task holds only what is recorded too. A killed task is replaced by another, in this process or the
next; two tasks of one run, in two processes, end the run once.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from local_cloud.infrastructure.run_journal import RunJournal
from local_cloud.infrastructure.run_rules import failed
from local_cloud.infrastructure.state import StackRun, StackStates
from local_cloud.infrastructure.step_executor import StepExecutor
from shared.infrastructure.errors import RunNotActive
from shared.infrastructure.port import RUN_CANCELED, RunId
from shared.kernel.clock import Clock
from shared.kernel.errors import Refused, Unavailable
from shared.kernel.fence import StaleFence

STEP_ATTEMPTS: Final = 6
"""With pauses of 1, 2, 4, 8 and 16 s, half a minute; the next run goes on from there."""

_log = logging.getLogger(__name__)


@dataclass
class RunWorker:
    """Does one run. `trouble` says why the current step is tried again, else it is empty."""

    run_id: RunId
    states: StackStates
    executor: StepExecutor
    clock: Clock
    trouble: str = ""

    async def work(self) -> None:
        """Return when the run has ended, or when nothing can be recorded under its fence."""
        attempt = 1
        before: StackRun | None = None
        while True:
            try:
                run = await self._active_run()
                if run is None or run == before:
                    return
                await self._advance(run)
            except Unavailable as away:
                if attempt == STEP_ATTEMPTS:
                    await self._give_up(away)
                    return
                self.trouble = f"{away.message}; attempt {attempt} of {STEP_ATTEMPTS} failed"
                await self.clock.sleep(max(away.retry_after_s, 2.0 ** (attempt - 1)))
                attempt += 1
            else:
                attempt, self.trouble, before = 1, "", run

    async def _active_run(self) -> StackRun | None:
        return (await self.states.load(self.run_id.stack)).active_run(self.run_id.name)

    async def _advance(self, run: StackRun) -> None:
        """Do the next step of *run*, or record its end."""
        journal = RunJournal(self.states, self.run_id, run.fence)
        try:
            if run.is_cancel_requested:
                await self._fail(run, code=RUN_CANCELED, message="canceled between two steps")
            elif run.remaining:
                await self.executor.execute(run.remaining[0], journal)
            else:
                await journal.succeed()
        except (StaleFence, RunNotActive) as stale:
            # The run may have ended or have a newer fence by now; if not, a resource refused it.
            if await self._active_run() == run:
                await self._fail(run, code=stale.code, message=stale.message)
        except Refused as refused:
            message = f"{refused.message} ({refused.code})"
            await self._fail(run, code="StepFailed", message=message, cause=refused)
        except Unavailable:
            raise
        except Exception as defect:  # noqa: BLE001  a task has no caller to raise to
            _log.exception("run %s: a step ended with a defect", self.run_id)
            await self._fail(run, code="StepDefect", message=type(defect).__name__)

    async def _give_up(self, away: Unavailable) -> None:
        # If this cannot be recorded either, the next observer resumes the run.
        with suppress(Unavailable):
            run = await self._active_run()
            if run is not None:
                await self._fail(run, code=away.code, message=away.message)

    async def _fail(
        self, run: StackRun, *, code: str, message: str, cause: Refused | None = None
    ) -> None:
        journal = RunJournal(self.states, self.run_id, run.fence)
        # Another process may have ended the run, or another run may have superseded it.
        with suppress(StaleFence, RunNotActive):
            await journal.fail(failed(run, code, message, cause))


@dataclass
class BackgroundRuns:
    """The tasks of one engine. They end with the event loop on which they were started."""

    states: StackStates
    executor: StepExecutor
    clock: Clock
    _live: dict[RunId, tuple[RunWorker, asyncio.Task[None]]] = field(default_factory=dict)

    def resume(self, run_id: RunId) -> RunWorker:
        """Return the worker of *run_id*, started now where none is at work."""
        if run_id in self._live:
            worker, task = self._live[run_id]
            if not task.done():
                return worker
        worker = RunWorker(run_id, self.states, self.executor, self.clock)
        task = asyncio.create_task(worker.work(), name=f"run {run_id.name} of {run_id.stack}")
        self._live[run_id] = worker, task
        task.add_done_callback(lambda ended: self._forget(run_id, ended))
        return worker

    def _forget(self, run_id: RunId, task: asyncio.Task[None]) -> None:
        if self._live[run_id][1] is task:
            del self._live[run_id]
        if not task.cancelled() and (problem := task.exception()) is not None:
            _log.error("run %s stopped and will be resumed: %r", run_id, problem)
