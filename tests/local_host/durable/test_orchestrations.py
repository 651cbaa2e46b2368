"""What an orchestration can do, from start to end."""

from collections.abc import Generator
from datetime import timedelta
from typing import Any

from local_host.durable import records
from local_host.durable.history import EventType
from local_host.durable.settings import DurableSettings
from tests.kit.task_hub import TaskHub, durable_app, task_hub
from tests.kit.virtual_time import run_virtual

Steps = Generator[Any, Any, Any]
app = durable_app()


@app.activity_trigger(input_name="x")
def double(x: int) -> int:
    return x * 2


@app.activity_trigger(input_name="x")
async def fail(x: str) -> None:
    raise ValueError(x)


@app.orchestration_trigger(context_name="context")
def in_sequence(context: Any) -> Steps:
    results = []
    for number in range(context.get_input()):
        result = yield context.call_activity("double", number)
        results.append(result)
    return results


@app.orchestration_trigger(context_name="context")
def fan_out(context: Any) -> Steps:
    return (yield context.task_all([context.call_activity("DOUBLE", n) for n in range(5)]))


@app.orchestration_trigger(context_name="context")
def failing(context: Any) -> Steps:
    yield context.call_activity("fail", "broken")


@app.orchestration_trigger(context_name="context")
def catching(context: Any) -> Steps:
    try:
        yield context.call_activity("fail", "broken")
    except Exception as problem:  # noqa: BLE001  the library raises nothing narrower
        return str(problem)


@app.orchestration_trigger(context_name="context")
def parent(context: Any) -> Steps:
    return (yield context.call_sub_orchestrator("in_sequence", context.get_input()))


@app.orchestration_trigger(context_name="context")
def parent_of_failing(context: Any) -> Steps:
    yield context.call_sub_orchestrator("failing", None, "child")


@app.orchestration_trigger(context_name="context")
def circular(context: Any) -> Steps:
    yield context.call_sub_orchestrator("circular", None, context.instance_id)


@app.orchestration_trigger(context_name="context")
def grandparent(context: Any) -> Steps:
    given = context.get_input()
    if given == "leaf":
        yield context.call_sub_orchestrator("grandparent", "none", "top")
    yield context.call_sub_orchestrator("grandparent", "leaf", "middle")


@app.orchestration_trigger(context_name="context")
def without_yield(context: Any) -> Any:
    return {"given": context.get_input()}


@app.orchestration_trigger(context_name="context")
def counting(context: Any) -> Steps:
    count = context.get_input()
    context.set_custom_status(f"at {count}")
    yield context.call_activity("double", count)
    if count < 3:
        context.continue_as_new(count + 1)
        return None
    return [count, context.instance_id]


@app.orchestration_trigger(context_name="context")
def telling_time(context: Any) -> Steps:
    first = context.current_utc_datetime
    yield context.create_timer(first + timedelta(seconds=90))
    return (context.current_utc_datetime - first).total_seconds()


@app.orchestration_trigger(context_name="context")
def unserialisable(context: Any) -> Steps:
    yield context.call_activity("double", 1)
    return {1, 2}


@app.orchestration_trigger(context_name="context")
def with_status(context: Any) -> Steps:
    context.set_custom_status("x" * context.get_input())
    yield context.call_activity("double", 1)


@app.orchestration_trigger(context_name="context")
def calling_nothing(context: Any) -> Steps:
    yield context.call_activity("nothing")


def run(name: str, given: Any = None) -> tuple[Any, TaskHub]:
    async def main() -> tuple[Any, TaskHub]:
        async with task_hub(app) as hub:
            return await hub.result(name, given), hub

    return run_virtual(main())


def test_activities_run_one_after_the_other() -> None:
    output, hub = run("in_sequence", 4)

    assert output == [0, 2, 4, 6]
    assert [e["EventId"] for e in hub.events("i", EventType.TASK_SCHEDULED)] == [0, 1, 2, 3]
    assert hub.instance().status == records.COMPLETED


def test_task_all_gives_results_in_order_of_its_arguments_in_two_episodes() -> None:
    output, hub = run("fan_out")

    assert output == [0, 2, 4, 6, 8]
    assert len(hub.events("i", EventType.ORCHESTRATOR_STARTED)) == 2


def test_a_failure_names_the_function_and_the_error() -> None:
    output, hub = run("failing")

    assert hub.instance().status == records.FAILED
    assert output.startswith(
        "Orchestrator function 'failing' failed: Activity function 'fail' failed: "
        "ValueError: broken"
    )


def test_the_orchestrator_sees_the_reason_and_the_details_of_a_failed_activity() -> None:
    output, _ = run("catching")

    reason, _, details = output.partition(" \n ")
    assert reason == "Activity function 'fail' failed: ValueError: broken"
    assert '"ClassName": "ValueError"' in details


def test_a_sub_orchestration_answers_its_parent() -> None:
    output, hub = run("parent", 2)

    assert output == [0, 2]
    created = hub.events("i", EventType.SUB_ORCHESTRATION_CREATED)[0]
    assert created["InstanceId"] == f"{hub.instance().execution}:0"
    assert hub.instance(created["InstanceId"]).status == records.COMPLETED


def test_a_failed_sub_orchestration_fails_the_parent_that_does_not_catch_it() -> None:
    output, hub = run("parent_of_failing")

    assert "Orchestrator function 'failing' failed" in output
    assert hub.instance("child").status == records.FAILED


def test_a_sub_orchestration_with_the_id_of_its_parent_is_refused() -> None:
    output, _ = run("circular")

    assert "may not have the instance id 'i'" in output


def test_a_sub_orchestration_with_the_id_of_its_grandparent_is_refused() -> None:
    async def main() -> Any:
        async with task_hub(app) as hub:
            return await hub.result("grandparent", "top", "top")

    assert "may not have the instance id 'top'" in run_virtual(main())


def test_a_function_that_never_yields_completes_at_once() -> None:
    output, hub = run("without_yield", [1])

    assert output == {"given": [1]}
    assert len(hub.events("i", EventType.ORCHESTRATOR_STARTED)) == 1


def test_continue_as_new_keeps_the_id_and_the_status_and_begins_a_new_history() -> None:
    output, hub = run("counting", 1)

    assert output == [3, "i"]
    assert hub.instance().custom_status == '"at 3"'
    assert len(hub.events("i", EventType.TASK_SCHEDULED)) == 1
    assert hub.instance().input == '"3"'


def test_time_is_that_of_the_episode() -> None:
    output, _ = run("telling_time")

    assert output == 90


def test_an_output_that_is_no_json_fails_the_instance() -> None:
    output, hub = run("unserialisable")

    assert hub.instance().status == records.FAILED
    assert "not JSON serializable" in output


def test_a_custom_status_over_16_kb_in_utf_16_fails_the_instance() -> None:
    _, fits = run("with_status", 8 * 1024 - 2)
    output, over = run("with_status", 8 * 1024)

    assert fits.instance().status == records.COMPLETED
    assert over.instance().status == records.FAILED
    assert "16384" in output


def test_an_unknown_activity_fails_the_instance_at_once_and_names_what_there_is() -> None:
    output, hub = run("calling_nothing")

    assert "The function 'nothing' doesn't exist" in output
    assert "double" in output
    assert hub.events("i", EventType.TASK_SCHEDULED) == []


def test_more_actions_than_allowed_fail_the_instance() -> None:
    async def main() -> Any:
        async with task_hub(app, settings=DurableSettings(actions_max=3)) as hub:
            return await hub.result("in_sequence", 4)

    assert "more than 3 actions" in run_virtual(main())
