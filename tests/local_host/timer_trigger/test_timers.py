"""Timers over hours and restarts, on a virtual clock that begins at midnight."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import azure.functions as func
import pytest

from local_cloud.sqlite.database import MEMORY, Database
from tests.kit.hosting import ask, embedded, hosting, new_app, refusals
from tests.kit.virtual_time import run_virtual


@dataclass
class Timer:
    """A timer function that notes when it ran; it takes *lasting_s*, and fails when told so."""

    schedule: str = "0 0 * * * *"
    lasting_s: float = 0
    fails: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    runs: list[tuple[float, bool]] = field(default_factory=list)
    statuses: list[dict[str, str]] = field(default_factory=list)

    def app(self) -> func.FunctionApp:
        app = new_app()

        @app.timer_trigger(arg_name="t", schedule=self.schedule, **self.options)
        async def tick(t: func.TimerRequest) -> None:
            self.runs.append((asyncio.get_running_loop().time(), t.past_due))
            self.statuses.append(t.schedule_status)
            await asyncio.wait_for(_after(self.lasting_s), None)
            if self.fails:
                raise ValueError("tick")

        return app


async def _after(delay_s: float) -> None:
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    loop.call_later(delay_s, done.set_result, None)
    await done


async def running(timer: Timer, seconds: float, database: Database | None = None) -> None:
    async with hosting(embedded(timer.app()), database=database):
        await _after(seconds)


def test_a_timer_runs_at_each_occurrence() -> None:
    timer = Timer("0 */20 * * * *")

    run_virtual(running(timer, 3700))

    assert timer.runs == [(1200.0, False), (2400.0, False), (3600.0, False)]


def test_the_first_run_knows_when_the_next_was_due() -> None:
    timer = Timer()

    run_virtual(running(timer, 7300))

    assert timer.statuses == [
        {
            "Last": "0001-01-01T00:00:00+00:00",
            "Next": "2026-01-01T01:00:00+00:00",
            "LastUpdated": "2026-01-01T00:00:00+00:00",
        },
        {
            "Last": "2026-01-01T01:00:00+00:00",
            "Next": "2026-01-01T02:00:00+00:00",
            "LastUpdated": "2026-01-01T01:00:00+00:00",
        },
    ]


@pytest.mark.parametrize(
    ("schedule", "options"),
    [("*/30 * * * * *", {}), ("0 0 * * * *", {"use_monitor": False})],
    ids=["more-than-once-a-minute", "switched-off"],
)
def test_without_monitor_nothing_is_remembered(schedule: str, options: dict[str, Any]) -> None:
    timer = Timer(schedule, options=options)

    run_virtual(running(timer, 3601))

    assert timer.statuses[0] == {}


def test_a_failure_does_not_stop_the_schedule() -> None:
    timer = Timer(fails=True)

    run_virtual(running(timer, 7300))

    assert len(timer.runs) == 2


def test_a_timer_never_runs_twice_at_once() -> None:
    timer = Timer("0 * * * * *", lasting_s=150)

    run_virtual(running(timer, 600))

    assert [at for at, _ in timer.runs] == [60.0, 240.0, 420.0]


def test_run_on_startup_runs_at_once_and_is_not_late() -> None:
    timer = Timer(options={"run_on_startup": True})

    run_virtual(running(timer, 3601))

    assert timer.runs == [(0.0, False), (3600.0, False)]


def restarted(first: Timer, second: Timer, *, away_s: float) -> None:
    """Run a host for 1.5 hours, leave it off for *away_s*, run the next for 1 s."""

    async def main() -> None:
        database = Database(MEMORY)
        await running(first, 5400, database)
        await _after(away_s)
        await running(second, 1, database)

    run_virtual(main())


def test_missed_occurrences_are_one_late_run_however_many() -> None:
    second = Timer()

    restarted(Timer(), second, away_s=5 * 3600)

    assert second.runs == [(5400.0 + 5 * 3600, True)]


def test_nothing_missed_is_no_late_run() -> None:
    second = Timer()

    restarted(Timer(), second, away_s=60)

    assert second.runs == []


def test_a_changed_schedule_is_not_late() -> None:
    second = Timer("0 30 * * * *")

    restarted(Timer(), second, away_s=5 * 3600)

    assert second.runs == []


def test_late_wins_over_run_on_startup() -> None:
    second = Timer(options={"run_on_startup": True})

    restarted(Timer(), second, away_s=5 * 3600)

    assert [late for _, late in second.runs] == [True]


def test_a_run_that_was_cut_off_comes_again_as_late() -> None:
    second = Timer()

    async def main() -> None:
        database = Database(MEMORY)
        host = hosting(embedded(Timer(lasting_s=7200).app()), database=database, grace_s=1)
        async with host:
            await _after(3601)
        await running(second, 1, database)

    run_virtual(main())

    assert [late for _, late in second.runs] == [True]


def test_stopping_waits_for_a_run_within_the_grace() -> None:
    timer = Timer(lasting_s=5)
    ended: list[float] = []

    async def main() -> None:
        async with hosting(embedded(timer.app())):
            await _after(3601)
        ended.append(asyncio.get_running_loop().time())

    run_virtual(main())

    assert ended == [3605.0]


def test_a_timer_can_be_run_by_hand() -> None:
    timer = Timer()

    async def main() -> int:
        async with hosting(embedded(timer.app())) as host:
            answer = await ask(host, "POST", "/admin/functions/tick", body=b"{}")
            await _after(1)
            return answer.status

    assert run_virtual(main()) == 202
    assert timer.runs == [(0.0, False)]


def test_a_schedule_that_cannot_be_read_costs_its_function() -> None:
    async def main() -> str:
        async with hosting(embedded(Timer("every day").app())) as host:
            return refusals(host)["tick"]

    assert "neither NCRONTAB" in run_virtual(main())


def test_a_schedule_may_come_from_a_setting_and_a_zone() -> None:
    timer = Timer("%WHEN%")
    values = {"WHEN": "0 30 1 * * *", "WEBSITE_TIME_ZONE": "Europe/Berlin"}

    async def main() -> None:
        async with hosting(embedded(timer.app(), values=values)):
            await _after(3600)

    run_virtual(main())

    assert timer.runs == [(1800.0, False)]
