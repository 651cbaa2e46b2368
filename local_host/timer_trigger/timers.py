"""The timer extension: schedules outlive restarts, and missed occurrences become one late run.

What is stored and when follows the Timers extension of the WebJobs SDK (ScheduleMonitor and
TimerListener): the status is updated after each run, also a failed one, and at start a missed
occurrence becomes one immediate run with `past_due`.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from azure.functions.timer import TimerRequest

from local_cloud.sqlite.database import Database
from local_host.apps.configuration import Configuration
from local_host.invocation.retry import invoke_with_retry
from local_host.model import (
    Extension,
    HostContext,
    IndexedFunction,
    Invocation,
    InvocationFailed,
    Invoker,
)
from local_host.timer_trigger.schedules import Schedule, ScheduleRefused, is_often, parse_schedule
from shared.kernel.clock import Clock, isoformat, parse_instant

_log = logging.getLogger("local_host.timers")
TRIGGER: Final = "timerTrigger"
_ZONE: Final = "WEBSITE_TIME_ZONE"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS timer_status (
  function TEXT PRIMARY KEY, last TEXT, next TEXT, updated TEXT NOT NULL
) WITHOUT ROWID;
"""
_NEVER: Final = "0001-01-01T00:00:00+00:00"
"""How .NET writes an instant that was never set."""
_SLEEP_MAX_S: Final = 300.0
"""A machine that was suspended finds its missed occurrence this soon after it wakes."""


@dataclass(frozen=True)
class TimerStatus:
    """The stored status of a timer. `last` is None until it has run on this schedule."""

    last: datetime | None
    next: datetime | None
    updated: datetime

    def shown(self) -> dict[str, str]:
        """Return it as `TimerRequest.schedule_status` has it."""
        return {
            "Last": _iso(self.last),
            "Next": _iso(self.next),
            "LastUpdated": _iso(self.updated),
        }


def _iso(instant: datetime | None) -> str:
    return _NEVER if instant is None else instant.astimezone(UTC).isoformat()


class TimerStatusTable:
    """The statuses of all timers in the host's database."""

    def __init__(self, database: Callable[[], Database]) -> None:
        self._database = database

    async def open(self) -> None:
        await self._database().write(lambda connection: connection.execute(_SCHEMA))

    def get(self, function: str) -> TimerStatus | None:
        row = self._database().read(
            lambda connection: connection.execute(
                "SELECT last, next, updated FROM timer_status WHERE function = ?", (function,)
            ).fetchone()
        )
        if row is None:
            return None
        last, following, updated = (parse_instant(text) if text else None for text in row)
        assert updated is not None, row
        return TimerStatus(last, following, updated)

    async def put(self, function: str, status: TimerStatus) -> None:
        values = (
            function,
            isoformat(status.last) if status.last else None,
            isoformat(status.next) if status.next else None,
            isoformat(status.updated),
        )

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO timer_status VALUES (?, ?, ?, ?)", values)

        await self._database().write(write)


def timers(context: HostContext, functions: Sequence[IndexedFunction]) -> Extension:
    """Return the extension that runs timer triggers."""
    statuses = TimerStatusTable(context.database)
    refusals: dict[str, str] = {}
    scheduled: list[Timer] = []
    for function in functions:
        if function.triggered_by(TRIGGER):
            try:
                zone = zone_of(context.configurations[function.app])
                schedule = parse_schedule(function.trigger.text("schedule"), zone)
            except ScheduleRefused as problem:
                refusals[function.name] = str(problem)
                continue
            scheduled.append(
                Timer(
                    function,
                    schedule,
                    statuses,
                    invoker=context.invoker,
                    clock=context.clock,
                )
            )
    listener = TimerListener(scheduled, statuses, grace_s=context.grace_s)
    return Extension(
        triggers=frozenset({TRIGGER}),
        listener=listener,
        is_singleton=True,
        refusals=refusals,
        manual={TRIGGER: listener.run_now},
    )


def zone_of(settings: Configuration) -> tzinfo:
    """Return the zone of an app's schedules: `WEBSITE_TIME_ZONE`, else UTC as in Azure.

    Raises:
        ScheduleRefused: the setting names no zone.
    """
    name = settings.values.get(_ZONE)
    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as problem:
        raise ScheduleRefused(
            f"{_ZONE} is {name!r}; write a name of the time zone database, Europe/Berlin say"
        ) from problem


class Timer:
    """One function and its schedule."""

    def __init__(
        self,
        function: IndexedFunction,
        schedule: Schedule,
        statuses: TimerStatusTable,
        *,
        invoker: Invoker,
        clock: Clock,
    ) -> None:
        self.function = function
        self._schedule = schedule
        self._statuses = statuses
        self._invoker = invoker
        self._clock = clock
        self._is_monitored = function.trigger.flag("useMonitor", default=True) and not is_often(
            schedule
        )
        self._status: TimerStatus | None = None
        self.is_running = False
        self.is_stopping = False

    async def run(self) -> None:
        """Run on schedule until cancelled or stopping, beginning with what is due at once."""
        now = self._clock.now()
        is_late = await self._is_late(now) if self._is_monitored else False
        if is_late or self.function.trigger.flag("runOnStartup"):
            await self._fire(now, is_late=is_late, is_on_schedule=False)
        while not self.is_stopping and (due := self._schedule.after(self._clock.now())) is not None:
            await self._wait_until(due)
            await self._fire(self._clock.now(), is_late=False, is_on_schedule=True)

    async def _wait_until(self, due: datetime) -> None:
        while (left_s := (due - self._clock.now()).total_seconds()) > 0:
            await self._clock.sleep(min(left_s, _SLEEP_MAX_S))

    async def _is_late(self, now: datetime) -> bool:
        """Return whether an occurrence was missed; store a new timer or schedule first."""
        status = self._statuses.get(self.function.name)
        if status is None:
            status = TimerStatus(None, self._schedule.after(now), now)
            await self._statuses.put(self.function.name, status)
        else:
            base = status.last or status.updated
            expected = self._schedule.after(base)
            if status.next != expected:  # the schedule was changed
                if expected is not None and now > expected:
                    expected = self._schedule.after(now)
                status = TimerStatus(None, expected, base)
                await self._statuses.put(self.function.name, status)
        self._status = status
        return status.next is not None and now > status.next

    async def _fire(self, at: datetime, *, is_late: bool, is_on_schedule: bool) -> None:
        await self.invoke(is_late=is_late)
        if not self._is_monitored:
            return
        # A clock that runs ahead must not let the same occurrence count twice.
        due = self._status.next if self._status is not None else None
        if is_on_schedule and due is not None and due > at:
            at = due
        self._status = TimerStatus(at, self._schedule.after(at), at)
        await self._statuses.put(self.function.name, self._status)

    async def invoke(self, *, is_late: bool = False) -> None:
        """Run the function once, with its retries; a failure is logged and changes nothing."""
        status = self._status.shown() if self._status is not None else {}
        request = TimerRequest(
            past_due=is_late, schedule_status=status, schedule={"AdjustForDST": True}
        )
        self.is_running = True
        try:
            await invoke_with_retry(
                Invocation(self.function, {self.function.trigger.name: request}),
                invoker=self._invoker,
                clock=self._clock,
            )
        except InvocationFailed as failed:
            _log.error("%s failed: %s", self.function.name, failed.text, exc_info=failed.cause)
        finally:
            self.is_running = False


class TimerListener:
    """All timers of a host."""

    def __init__(
        self, scheduled: Sequence[Timer], statuses: TimerStatusTable, *, grace_s: float
    ) -> None:
        self._timers = scheduled
        self._statuses = statuses
        self._grace_s = grace_s
        self._tasks: dict[Timer, asyncio.Task[None]] = {}

    async def start(self) -> None:
        await self._statuses.open()
        for timer in self._timers:
            self._tasks[timer] = asyncio.create_task(timer.run(), name=timer.function.name)

    async def stop(self) -> None:
        """End what waits at once, give what runs the grace."""
        running = [task for timer, task in self._tasks.items() if timer.is_running]
        for timer, task in self._tasks.items():
            timer.is_stopping = True
            if not timer.is_running:
                task.cancel()
        if running:
            await asyncio.wait(running, timeout=self._grace_s)
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def run_now(self, function: IndexedFunction, _: str) -> None:
        """Run *function* outside its schedule, which is not changed by it."""
        timer = next(each for each in self._timers if each.function is function)
        await timer.invoke()
