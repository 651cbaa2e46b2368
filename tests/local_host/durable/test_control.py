"""Terminate, suspend, resume, rewind, restart and purge."""

from collections.abc import Generator
from datetime import timedelta
from typing import Any

import pytest

from local_host.durable import records
from local_host.durable.client import CommandRefused
from local_host.durable.history import EventType
from local_host.durable.records import AlreadyExists
from tests.kit.task_hub import TaskHub, durable_app, task_hub
from tests.kit.virtual_time import run_virtual

Steps = Generator[Any, Any, Any]
app = durable_app()
runs: list[str] = []
broken: set[str] = set()


@app.activity_trigger(input_name="x")
def note(x: str) -> str:
    runs.append(x)
    if x in broken:
        raise ValueError(x)
    return x


@app.orchestration_trigger(context_name="context")
def steps(context: Any) -> Steps:
    first = yield context.call_activity("note", "first")
    yield context.create_timer(context.current_utc_datetime + timedelta(minutes=1))
    second = yield context.call_activity("note", "second")
    return [first, second]


@app.orchestration_trigger(context_name="context")
def with_child(context: Any) -> Steps:
    before = yield context.call_activity("note", "before")
    inner = yield context.call_sub_orchestrator("steps", None, "child")
    return [before, inner]


@app.orchestration_trigger(context_name="context")
def waiting(context: Any) -> Steps:
    first = yield context.wait_for_external_event("One")
    second = yield context.wait_for_external_event("Two")
    return [first, second]


@pytest.fixture(autouse=True)
def _clean() -> None:
    runs.clear()
    broken.clear()


async def under_way(hub: TaskHub, name: str = "steps") -> None:
    await hub.start(name)
    await hub.pass_time(1)


def test_a_terminated_instance_is_never_invoked_again() -> None:
    async def main() -> TaskHub:
        async with task_hub(app) as hub:
            await under_way(hub)
            await hub.client.terminate("i", "enough")
            await hub.pass_time()
            return hub

    hub = run_virtual(main())
    assert hub.instance().status == records.TERMINATED
    assert hub.instance().output == '"enough"'
    assert runs == ["first"]


def test_terminating_a_parent_leaves_its_child_running() -> None:
    async def main() -> TaskHub:
        async with task_hub(app) as hub:
            await under_way(hub, "with_child")
            await hub.client.terminate("i", "enough")
            await hub.pass_time()
            return hub

    hub = run_virtual(main())
    assert hub.instance().status == records.TERMINATED
    assert hub.instance("child").status == records.COMPLETED


def test_nothing_is_scheduled_while_suspended_and_everything_is_handed_over_after() -> None:
    async def main() -> tuple[list[str], str, Any]:
        async with task_hub(app) as hub:
            await under_way(hub)
            await hub.client.suspend("i", "wait")
            await hub.pass_time(3600)
            during = list(runs)
            status = hub.instance().status
            await hub.client.resume("i", "go")
            return during, status, await hub.output()

    during, status, output = run_virtual(main())
    assert (during, status) == (["first"], records.SUSPENDED)
    assert output == ["first", "second"]


def test_events_that_come_during_a_suspension_are_kept_in_order() -> None:
    async def main() -> Any:
        async with task_hub(app) as hub:
            await under_way(hub, "waiting")
            await hub.client.suspend("i", "wait")
            await hub.client.raise_event("i", "Two", "2")
            await hub.client.raise_event("i", "One", "1")
            await hub.pass_time(5)
            await hub.client.resume("i", "go")
            return await hub.output()

    assert run_virtual(main()) == [1, 2]


def test_a_suspended_instance_can_be_terminated() -> None:
    async def main() -> str:
        async with task_hub(app) as hub:
            await under_way(hub)
            await hub.client.suspend("i", "wait")
            await hub.client.terminate("i", "enough")
            await hub.pass_time(1)
            return hub.instance().status

    assert run_virtual(main()) == records.TERMINATED


def test_a_rewound_instance_repeats_only_what_failed() -> None:
    async def main() -> Any:
        broken.add("second")
        async with task_hub(app) as hub:
            await under_way(hub)
            await hub.output()
            assert hub.instance().status == records.FAILED
            broken.clear()
            await hub.client.rewind("i", "repaired")
            return await hub.output()

    assert run_virtual(main()) == ["first", "second"]
    assert runs == ["first", "second", "second"]


def test_rewinding_a_parent_rewinds_the_child_that_failed() -> None:
    async def main() -> Any:
        broken.add("second")
        async with task_hub(app) as hub:
            await under_way(hub, "with_child")
            await hub.output()
            broken.clear()
            await hub.client.rewind("i", "repaired")
            return await hub.output()

    assert run_virtual(main()) == ["before", ["first", "second"]]
    assert runs == ["before", "first", "second", "second"]


def test_a_restart_takes_the_same_input_under_a_new_id_or_its_own() -> None:
    async def main() -> tuple[str, str]:
        async with task_hub(app) as hub:
            await hub.result("steps", {"n": 1})
            other = await hub.client.restart("i", with_new_id=True)
            same = await hub.client.restart("i", with_new_id=False)
            assert hub.instance(other).input == hub.instance(same).input
            return other, same

    other, same = run_virtual(main())
    assert len(other) == 32
    assert same == "i"


def test_a_finished_instance_can_be_purged_and_an_unfinished_one_cannot() -> None:
    async def main() -> tuple[int, int]:
        async with task_hub(app) as hub:
            await under_way(hub)
            early = await hub.client.purge("i")
            await hub.output()
            late = await hub.client.purge("i")
            assert hub.client.status("i") is None
            assert hub.events() == []
            return early, late

    assert run_virtual(main()) == (0, 1)


@pytest.mark.parametrize("command", ["terminate", "suspend", "resume"])
def test_a_finished_instance_takes_no_command(command: str) -> None:
    async def main() -> int:
        async with task_hub(app) as hub:
            await hub.result("steps")
            with pytest.raises(CommandRefused) as refused:
                await getattr(hub.client, command)("i", "too late")
            return refused.value.status

    assert run_virtual(main()) == 410


@pytest.mark.parametrize(
    ("state", "status"), [("running", 400), ("completed", 410), ("unknown", 404)]
)
def test_only_a_failed_instance_can_be_rewound(state: str, status: int) -> None:
    async def main() -> int:
        async with task_hub(app) as hub:
            await under_way(hub)
            if state == "completed":
                await hub.output()
            with pytest.raises(CommandRefused) as refused:
                await hub.client.rewind("nobody" if state == "unknown" else "i", "why not")
            return refused.value.status

    assert run_virtual(main()) == status


def test_an_id_in_use_is_refused_and_a_suspended_one_is_in_use() -> None:
    async def main() -> None:
        async with task_hub(app) as hub:
            await under_way(hub)
            with pytest.raises(AlreadyExists, match="already exists"):
                await hub.start("steps")
            await hub.client.suspend("i", "")
            await hub.pass_time(1)
            with pytest.raises(AlreadyExists, match="Suspended already exists"):
                await hub.start("steps")

    run_virtual(main())


@pytest.mark.parametrize("instance_id", ["a/b", "a\\b", "a#b", "a?b", "a\nb", "@a", "x" * 257])
def test_an_instance_id_that_the_extension_refuses_is_refused(instance_id: str) -> None:
    async def main() -> CommandRefused:
        async with task_hub(app) as hub:
            with pytest.raises(CommandRefused) as refused:
                await hub.start("steps", None, instance_id)
            return refused.value

    assert run_virtual(main()).status == 400


def test_a_suspension_is_part_of_history() -> None:
    async def main() -> list[int]:
        async with task_hub(app) as hub:
            await under_way(hub, "waiting")
            await hub.client.suspend("i", "wait")
            await hub.pass_time(1)
            await hub.client.resume("i", "go")
            await hub.pass_time(1)
            return [e["EventType"] for e in hub.events()]

    kinds = run_virtual(main())
    assert kinds.index(EventType.EXECUTION_SUSPENDED) < kinds.index(EventType.EXECUTION_RESUMED)
