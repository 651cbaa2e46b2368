"""Whatever activities, orchestrators and entities throw, return or set ends in an answer."""

import asyncio
import json
import logging
from collections.abc import Callable, Generator
from typing import Any

import azure.durable_functions as df
import azure.functions as func
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_host.durable import records
from local_host.durable.history import EventType
from local_host.durable.library_replay import TextReplay
from tests.kit.task_hub import durable_app, task_hub
from tests.kit.virtual_time import run_virtual

Steps = Generator[Any, Any, Any]
HERE = "test_what_is_thrown_ends_its_work.py"


class _Unreadable:
    """Writes itself, and ends the process when it is read."""

    @staticmethod
    def to_json(_: Any) -> str:
        return "x"

    @staticmethod
    def from_json(_: str) -> Any:
        raise SystemExit(3)


class _Unwritable:
    @staticmethod
    def to_json(_: Any) -> str:
        raise KeyboardInterrupt


THROWN: list[Callable[[], BaseException]] = [
    lambda: ValueError("no"),
    lambda: SystemExit(3),
    KeyboardInterrupt,
    lambda: StopIteration("value"),
    GeneratorExit,
    asyncio.CancelledError,
    lambda: BaseException("\ud83d"),
]
each_thrown = pytest.mark.parametrize("thrown", THROWN, ids=lambda make: repr(type(make())))


class _Box:
    """What the functions below throw, return or set."""

    thrown: Callable[[], BaseException] = ValueError
    value: Any = None
    given: Any = None


app = durable_app()


@app.activity_trigger(input_name="x")
def throws(x: Any) -> Any:
    raise _Box.thrown()


@app.activity_trigger(input_name="x")
def returns(x: Any) -> Any:
    return _Box.value


@app.activity_trigger(input_name="x")
def takes(x: Any) -> Any:
    return "taken"


@app.entity_trigger(context_name="context")
def broken(context: Any) -> None:
    if context.operation_name == "throw":
        raise _Box.thrown()
    context.set_state(_Box.value)
    context.set_result("done")


@app.orchestration_trigger(context_name="context")
def calls(context: Any) -> Steps:
    try:
        answer = yield context.call_activity(context.get_input(), _Box.given)
    except Exception as problem:  # noqa: BLE001  the library raises nothing narrower
        return f"caught {problem}"
    return f"got {answer!r}"


@app.orchestration_trigger(context_name="context")
def calls_an_entity(context: Any) -> Steps:
    try:
        answer = yield context.call_entity(df.EntityId("broken", "k"), context.get_input())
    except Exception as problem:  # noqa: BLE001  the library raises nothing narrower
        return f"caught {problem}"
    return answer


@app.orchestration_trigger(context_name="context")
def throws_itself(context: Any) -> Steps:
    yield context.call_activity("takes", 1)
    raise _Box.thrown()


@app.orchestration_trigger(context_name="context")
def sets(context: Any) -> Steps:
    context.set_custom_status(_Box.value)
    yield context.call_activity("takes", 1)


@app.orchestration_trigger(context_name="context")
def gives(context: Any) -> Steps:
    yield context.call_activity("takes", 1)
    return _Box.value


@app.orchestration_trigger(context_name="context")
def asks_oddly(context: Any) -> Steps:
    return (yield context.call_sub_orchestrator("gives", None, context.get_input()))


def ending_of(name: str, given_input: Any = None) -> records.Instance:
    async def main() -> records.Instance:
        async with task_hub(app) as hub:
            await hub.start(name, given_input)
            await asyncio.wait_for(hub.engine.wait_for_completion("i"), 3600)
            return hub.instance()

    return run_virtual(main())


@each_thrown
def test_an_activity_that_throws_is_answered(thrown: Callable[[], BaseException]) -> None:
    _Box.thrown = staticmethod(thrown)

    ended = ending_of("calls", "throws")

    assert ended.status == records.COMPLETED
    assert "Activity function 'throws' failed" in str(ended.output)


@each_thrown
def test_an_orchestrator_that_throws_has_failed(thrown: Callable[[], BaseException]) -> None:
    _Box.thrown = staticmethod(thrown)

    assert ending_of("throws_itself").status == records.FAILED


@each_thrown
def test_an_entity_that_throws_answers_its_caller(thrown: Callable[[], BaseException]) -> None:
    _Box.thrown = staticmethod(thrown)

    ended = ending_of("calls_an_entity", "throw")

    assert ended.status == records.COMPLETED
    assert "caught" in str(ended.output)


@pytest.mark.parametrize(
    "value", [{1}, _Unwritable(), object(), 10**5000], ids=lambda v: type(v).__name__
)
def test_a_result_that_cannot_be_written_fails_its_activity(value: Any) -> None:
    _Box.value, _Box.given = value, None

    assert "Activity function 'returns' failed" in str(ending_of("calls", "returns").output)


def test_an_input_that_cannot_be_read_fails_its_activity() -> None:
    _Box.given = _Unreadable()

    assert "Activity function 'takes' failed" in str(ending_of("calls", "takes").output)
    _Box.given = None


def test_an_entity_whose_state_cannot_be_written_answers_its_caller() -> None:
    _Box.value = _Unwritable()

    assert "caught" in str(ending_of("calls_an_entity", "set").output)


@pytest.mark.parametrize("status", ["\ud83d", {"a": ["\udc00"]}], ids=ascii)
def test_a_custom_status_of_half_a_character_is_kept(status: Any) -> None:
    _Box.value = status

    ended = ending_of("sets")

    assert ended.status == records.COMPLETED
    assert json.loads(str(ended.custom_status)) == status


ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=())) | st.integers(), inner, max_size=3
        )
        | st.tuples(inner)
    ),
    max_leaves=8,
) | st.sampled_from([{1}, object(), _Unwritable(), _Unreadable(), 10**5000, iter([])])


@given(value=ODD, name=st.sampled_from(["sets", "gives"]))
@settings(max_examples=60, deadline=None)
def test_whatever_an_orchestrator_sets_or_returns_it_ends(value: Any, name: str) -> None:
    _Box.value = value

    assert ending_of(name).is_finished


@given(value=ODD)
@settings(max_examples=40, deadline=None)
def test_whatever_an_entity_keeps_its_caller_is_answered(value: Any) -> None:
    _Box.value = value

    assert ending_of("calls_an_entity", "set").is_finished


@given(
    answer=st.none()
    | st.text()
    | st.sampled_from(
        [
            "{}",
            "[]",
            '{"isDone":true,"actions":5}',
            '{"isDone":false,"actions":[[{}]]}',
            '{"isDone":false,"actions":[[{"actionType":99}]]}',
            '{"isDone":false,"actions":[[{"actionType":0,"functionName":5,"input":""}]]}',
        ]
    )
)
@settings(max_examples=40, deadline=None)
def test_a_handler_of_somebody_else_is_read_or_fails(answer: Any) -> None:
    outcome = TextReplay(lambda _: answer).feed(dict, [])

    assert outcome.defect or outcome.actions is not None


def test_actions_that_mean_nothing_fail_their_instance() -> None:
    odd = func.FunctionApp()

    @odd.orchestration_trigger(context_name="context")
    def odd_one(context: Any) -> None: ...

    native = odd.get_functions()[0]
    native._func = lambda context: '{"isDone":false,"actions":[[{"actionType":99}]]}'

    async def main() -> records.Instance:
        register = durable_app()
        register._function_builders = list(odd._function_builders)
        async with task_hub(register) as hub:
            await hub.start("odd_one")
            await asyncio.wait_for(hub.engine.wait_for_completion("i"), 60)
            return hub.instance()

    assert run_virtual(main()).status == records.FAILED


@pytest.mark.parametrize(
    ("name", "given_input"),
    [("calls", "throws"), ("throws_itself", None), ("calls_an_entity", "throw")],
)
def test_a_failure_leaves_a_stack_with_file_and_line(
    name: str, given_input: Any, caplog: pytest.LogCaptureFixture
) -> None:
    _Box.thrown = staticmethod(lambda: ValueError("no"))

    async def main() -> str:
        async with task_hub(app) as hub:
            await hub.start(name, given_input)
            await hub.engine.wait_for_completion("i")
            kinds = (
                EventType.TASK_FAILED, EventType.EXECUTION_COMPLETED, EventType.EVENT_RAISED,
            )  # fmt: skip
            return json.dumps(hub.events("i", *kinds))

    with caplog.at_level(logging.ERROR):
        details = run_virtual(main())

    assert f'{HERE}", line ' in caplog.text
    assert f'{HERE}\\\\\\", line ' in details or f'{HERE}\\", line ' in details


@pytest.mark.parametrize(
    "child", ["@x", "a/b", "a\\b", "a#b", "a?b", "a\nb", "x" * 257, "\ud83d"], ids=ascii
)
def test_an_id_that_nobody_could_address_is_refused_to_a_child(child: str) -> None:
    ended = ending_of("asks_oddly", child)

    assert ended.status == records.FAILED
    assert "instance id" in str(ended.output)


@app.orchestration_trigger(context_name="context")
def asks_http(context: Any) -> Steps:
    method, uri, content, headers = _Box.value
    try:
        yield context.call_http(method, uri, content, headers)
    except Exception as problem:  # noqa: BLE001  the library raises nothing narrower
        return f"caught {problem}"


@pytest.mark.parametrize(
    "request_",
    [
        ("GET", "no address", None, None),
        ("GET", "http://127.0.0.1:1/\ud800", None, None),
        ("GE T", "http://127.0.0.1:1/", None, None),
        ("GET", "http://127.0.0.1:1/", {"a": 1}, {"x": "a\nb"}),
        ("GET", "http://127.0.0.1:99999/", None, None),
        ("GET", "file:///etc/passwd", None, None),
    ],
)
@pytest.mark.real
def test_an_http_call_that_cannot_be_sent_is_answered(request_: Any) -> None:
    _Box.value = request_

    assert "caught" in str(ending_of("asks_http").output)


@app.activity_trigger(input_name="x")
async def cancels(x: Any) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.Event().wait()


def test_an_activity_that_cancels_its_task_is_answered() -> None:
    assert "Activity function 'cancels' failed" in str(ending_of("calls", "cancels").output)
