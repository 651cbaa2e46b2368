"""An instance that restarts is told, with how it ended; again and again it is a crash loop."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function_apps.health.model.restarts import InstanceRestarts, record_restarts
from function_apps.health.ports import LOCAL_RULES
from shared.contracts.health import HealthDefaults
from shared.surfaces.observed_state import Instance
from tests.health.test_sweeps import watched
from tests.health.watching import Health, health
from tests.kit.memory_cluster import Behaviour
from tests.kit.told import WEB, component_of, ended, released, run
from tests.kit.virtual_time import EPOCH, run_virtual

FIRST = f"{WEB}-1-0"
SECOND = f"{WEB}-1-1"


def crash(made: Health, instance: str = FIRST, code: int = -9, reason: str = "Exited") -> None:
    made.world.crash(component_of(), instance, code, reason)


def events(made: Health) -> list[dict[str, object]]:
    return [each["payload"] for each in made.bench.sent.bodies("RuntimeInstancesRestarted")]


def test_the_reason_counts_all_instances_where_scaling_has_more_run_than_were_released() -> None:
    async def main() -> tuple[str, str]:
        made = await watched(WEB)
        (revision,) = made.world.component(component_of()).revisions.values()
        revision.instances.append(replace(revision.instances[0], id=f"{WEB}-1-2"))
        await made.sweep()
        health = await made.health()
        return health.status, health.reason

    assert run_virtual(main()) == ("Healthy", "3 of 3 instances pass")


def test_why_an_instance_cannot_start_stands_in_the_reason() -> None:
    problem = "data folder uploads is not there: put it back, or deploy again if it was deleted"

    async def main() -> str:
        made = await watched(WEB)
        made.world.lost.add(FIRST)
        made.prober.failing.add("/health")
        (revision,) = made.world.component(component_of()).revisions.values()
        made.world.behaviours[revision.spec.artifact] = Behaviour(unready_because=problem)
        await made.sweep()
        return (await made.health()).reason

    assert run_virtual(main()) == f"0 of 2 instances pass; {FIRST}: {problem}"


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        pytest.param(-9, "Exited", "ended by SIGKILL", id="killed"),
        pytest.param(3, "Exited", "exit status 3", id="exited"),
        pytest.param(0, "Exited", "exit status 0", id="ended-well"),
        pytest.param(-9, "MemoryExceeded", "memory limit exceeded", id="too-much-memory"),
        pytest.param(-15, "ProbeFailed", "liveness probe failed", id="not-live"),
        pytest.param(-70, "Exited", "ended by signal 70", id="a-signal-without-a-name"),
    ],
)
def test_one_restart_is_an_event_and_stands_in_the_reason_of_a_healthy_service(
    code: int, reason: str, words: str
) -> None:
    async def main() -> tuple[list[dict[str, object]], str, str]:
        made = await watched(WEB)
        crash(made, code=code, reason=reason)
        await made.sweep()
        health = await made.health()
        return events(made), health.status, health.reason

    (event,), status, said = run_virtual(main())

    assert event["restarted"] == [
        {"instance": FIRST, "restarts": 1, "lastExit": words, "isCrashLoop": False}
    ]
    assert status == event["status"] == "Healthy"
    assert (
        said == event["reason"] == f"2 of 2 instances pass; {FIRST} restarted once, last: {words}"
    )


def test_an_event_is_told_once_and_has_a_revision_of_its_own() -> None:
    async def main() -> tuple[int, list[int]]:
        made = await watched(WEB)
        for instance in (FIRST, SECOND):
            crash(made, instance)
        for _ in range(25):
            await made.sweep()
        told = [*made.told(), *events(made)]
        return len(events(made)), [int(str(each["revision"])) for each in told]

    count, revisions = run_virtual(main())

    assert count == 1
    assert len(revisions) == len(set(revisions))


def test_the_last_restart_leaves_the_reason_after_a_while() -> None:
    async def main() -> list[str]:
        made = await watched(WEB)
        crash(made)
        reasons = []
        for after_s in (30, 240, 90):
            await made.sweep(after_s)
            reasons.append((await made.health()).reason)
        return reasons

    noted, still, gone = run_virtual(main())

    assert FIRST in noted
    assert FIRST in still
    assert gone == "2 of 2 instances pass"


def test_three_restarts_in_five_minutes_are_degraded_although_it_is_ready_in_between() -> None:
    async def main() -> tuple[list[str], str, dict[str, object]]:
        made = await watched(WEB)
        found = []
        for _ in range(4):
            crash(made, code=1)
            await made.sweep()
            found.append((await made.health()).status.value)
        return found, (await made.health()).reason, events(made)[2]

    found, reason, event = run_virtual(main())

    assert found == ["Healthy", "Healthy", "Degraded", "Degraded"]
    assert f"{FIRST} restarted 4 times and is in a crash loop, last: exit status 1" in reason
    assert event["status"] == "Degraded"


def test_restarts_far_apart_are_no_crash_loop() -> None:
    async def main() -> list[str]:
        made, found = await watched(WEB), []
        for _ in range(8):
            crash(made)
            await made.sweep(after_s=180)
            found.append((await made.health()).status.value)
        return found

    assert set(run_virtual(main())) == {"Healthy"}


def test_one_restart_of_each_instance_is_no_crash_loop() -> None:
    async def main() -> str:
        made = await watched(WEB)
        for instance in (FIRST, SECOND, FIRST, SECOND):
            crash(made, instance)
            await made.sweep()
        return (await made.health()).status

    assert run_virtual(main()) == "Healthy"


def test_it_is_healthy_again_when_it_has_stayed_up_as_long_as_kubernetes_asks() -> None:
    async def main() -> list[tuple[float, str]]:
        made = await watched(WEB)
        for _ in range(3):
            crash(made)
            await made.sweep()
        began_s, found = made.app.service.clock.monotonic_s(), []
        for _ in range(24):
            await made.sweep()
            status = (await made.health()).status.value
            found.append((made.app.service.clock.monotonic_s() - began_s, status))
        return found

    found = run_virtual(main())

    assert [status for after_s, status in found if after_s < 600] == ["Degraded"] * 19
    assert [status for after_s, status in found if after_s > 660] == ["Healthy"] * 2
    assert found[-1][1] == "Healthy"


def test_with_local_rules_it_stays_up_for_a_minute_and_one_more_restart_is_a_loop_again() -> None:
    async def main() -> list[str]:
        made, found = await watched(WEB, rules=LOCAL_RULES), []
        for _ in range(3):
            crash(made)
            await made.sweep(after_s=2)
        for _ in range(40):
            await made.sweep(after_s=2)
            found.append((await made.health()).status.value)
        crash(made)
        await made.sweep(after_s=2)
        return [*found, (await made.health()).status.value]

    assert run_virtual(main()) == ["Degraded"] * 30 + ["Healthy"] * 10 + ["Degraded"]


def test_a_restart_within_that_time_begins_it_anew() -> None:
    async def main() -> str:
        made = await watched(WEB)
        for _ in range(3):
            crash(made)
            await made.sweep()
        await made.sweep(after_s=540)
        crash(made)
        for _ in range(18):
            await made.sweep()
        return (await made.health()).status

    assert run_virtual(main()) == "Degraded"


def test_a_crash_loop_that_answers_no_more_is_unhealthy() -> None:
    async def main() -> list[str]:
        made = await watched(WEB)
        made.prober.failing.add("/health")
        found = []
        for _ in range(6):
            crash(made)
            await made.sweep()
            found.append((await made.health()).status.value)
        return found

    assert run_virtual(main()) == ["Healthy", "Healthy", "Unhealthy", *["Unhealthy"] * 3]


def test_restarts_with_the_host_and_those_of_a_release_on_its_way_are_no_news() -> None:
    async def main() -> tuple[int, str]:
        made = health()
        await run(made.world, WEB)
        crash(made)
        await made.app.service.clock.sleep(5)
        await made.hear_all(ended(1, [released()], at=made.app.service.clock.now()))
        await made.sweep()
        made.world.stop()
        for _ in range(5):
            await made.sweep()
        return len(events(made)), (await made.health()).status

    assert run_virtual(main()) == (0, "Healthy")


def test_restarts_of_a_release_in_force_are_news_at_the_first_look() -> None:
    async def main() -> tuple[list[object], str]:
        made = await watched(WEB, sweeps=0)
        for _ in range(3):
            crash(made)
        await made.sweep()
        return [each["restarted"] for each in events(made)], (await made.health()).status

    told, status = run_virtual(main())

    assert told == [
        [{"instance": FIRST, "restarts": 3, "lastExit": "ended by SIGKILL", "isCrashLoop": True}]
    ]
    assert status == "Degraded"


def test_a_surface_that_cannot_be_read_forgets_no_restart() -> None:
    async def main() -> int:
        made = await watched(WEB)
        made.world.unreadable = "the surface is away"
        await made.sweep()
        crash(made)
        made.world.unreadable = ""
        await made.sweep()
        return len(events(made))

    assert run_virtual(main()) == 1


@given(st.lists(st.integers(min_value=0, max_value=5), max_size=40))
def test_what_is_kept_of_an_instance_is_bounded_and_counts_like_the_surface(
    steps: list[int],
) -> None:
    rules, known, total = HealthDefaults(), {}, 0
    for number, step in enumerate([0, *steps]):
        total += step
        now = EPOCH + timedelta(seconds=30 * number)
        instance = Instance("i", 1, True, True, now, restarts=total, exit_reason="Exited")
        known = record_restarts(known, [instance], now, rules)
        kept: InstanceRestarts = known["i"]
        assert kept.restarts == total
        assert len(kept.noticed_at) <= rules.crash_loop_restarts
        is_loop = sum(steps[max(0, number - 10) : number]) >= rules.crash_loop_restarts
        assert kept.is_crash_loop or not is_loop
