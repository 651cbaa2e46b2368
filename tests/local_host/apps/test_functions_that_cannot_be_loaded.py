"""One function that breaks a rule of the worker costs its whole app; the reason says what to write.

The rules: functions-host-protocol, section 1, "Signature checks the worker makes at load".
"""

import collections.abc
from collections.abc import Callable
from typing import Any, Dict, List, Literal, Mapping, NewType, Optional, TypedDict  # noqa: UP035

import azure.durable_functions as df
import azure.functions as func
import pytest

from local_host.apps.indexing import IndexedApp, index
from local_host.apps.validation import signature_refusals
from local_host.model import Binding
from tests.kit.hosting import embedded, new_app

Slug = NewType("Slug", str)


class Payload(TypedDict):
    n: int


def activity_taking(hint: Any) -> df.DFApp:
    app = df.DFApp()

    def step(payload: Any) -> None: ...

    step.__annotations__["payload"] = hint
    app.activity_trigger(input_name="payload")(step)
    return app


def route_returning(hint: Any) -> func.FunctionApp:
    app = new_app()

    def answer(req: func.HttpRequest) -> Any: ...

    answer.__annotations__["return"] = hint
    app.route("x")(answer)
    return app


def indexed(register: Any) -> IndexedApp:
    return index(embedded(register), {})


@pytest.mark.parametrize(
    "hint",
    [
        dict,
        object,
        Any,
        Payload,
        str,
        Dict[str, Any],  # noqa: UP006  the spelling is the point
        List[str],  # noqa: UP006
        Mapping[str, object],
    ],
    ids=str,
)
def test_a_class_or_a_typing_generic_is_taken(hint: Any) -> None:
    assert indexed(activity_taking(hint)).problem is None


@pytest.mark.parametrize(
    ("hint", "instead"),
    [
        (dict[str, Any], "typing.Dict[str, Any]"),
        (list[str], "typing.List[str]"),
        (list[func.ServiceBusMessage], "typing.List[ServiceBusMessage]"),
        (collections.abc.Mapping[str, int], "typing.Mapping[str, int]"),
        (str | None, "one class (str)"),
        (Optional[int], "one class (int)"),  # noqa: UP045
        (Literal["a"], "a plain class"),
        (Slug, "a plain class"),
    ],
    ids=str,
)
def test_another_hint_costs_the_app_and_says_what_to_write(hint: Any, instead: str) -> None:
    found = indexed(activity_taking(hint))

    assert found.functions == []
    assert found.problem is not None
    assert instead in str(found.problem)
    assert "payload is annotated" in str(found.problem)


@pytest.mark.parametrize("hint", [func.HttpResponse, str], ids=["HttpResponse", "str"])
def test_an_http_function_may_return_a_response_or_text(hint: Any) -> None:
    assert indexed(route_returning(hint)).problem is None


@pytest.mark.parametrize(
    "hint",
    [None, dict, func.HttpResponse | None, list[str], func.Out[str]],
    ids=["None", "dict", "optional", "list", "Out"],
)
def test_another_return_hint_costs_the_app(hint: Any) -> None:
    found = indexed(route_returning(hint))

    assert found.problem is not None
    assert "write -> func.HttpResponse" in str(found.problem)


@pytest.mark.parametrize("hint", [None, bytes], ids=["None", "bytes"])
def test_the_return_hint_does_not_count_when_the_response_is_an_out_parameter(hint: Any) -> None:
    app = new_app()

    def answer(req: func.HttpRequest, out: func.Out[func.HttpResponse]) -> Any: ...

    answer.__annotations__["return"] = hint
    app.route("x", binding_arg_name="out")(answer)

    assert indexed(app).problem is None


def unbound_parameter() -> Any:
    app = new_app()

    @app.route("x")
    def f(req: func.HttpRequest, extra: str) -> str:
        return ""

    return app


def binding_without_parameter() -> Any:
    app = new_app()

    @app.route("x", trigger_arg_name="request")
    def f(req: func.HttpRequest) -> str:
        return ""

    return app


def context_of_another_class() -> Any:
    app = new_app()

    @app.route("x")
    def f(req: func.HttpRequest, context: str) -> str:
        return ""

    return app


def timer_that_takes_a_request() -> Any:
    app = new_app()

    @app.timer_trigger(arg_name="tick", schedule="0 * * * * *")
    def f(tick: func.HttpRequest) -> None: ...

    return app


def output_that_is_no_out() -> Any:
    app = new_app()

    @app.service_bus_queue_output(arg_name="out", connection="SB", queue_name="q")
    @app.route("x")
    def f(req: func.HttpRequest, out: str) -> str:
        return ""

    return app


def input_that_is_an_out() -> Any:
    app = new_app()

    @app.route("x")
    def f(req: func.Out[func.HttpRequest]) -> str:
        return ""

    return app


def out_of_an_unfit_type() -> Any:
    app = new_app()

    @app.service_bus_queue_output(arg_name="out", connection="SB", queue_name="q")
    @app.route("x")
    def f(req: func.HttpRequest, out: func.Out[int]) -> str:
        return ""

    return app


def hint_that_does_not_resolve() -> Any:
    app = new_app()

    @app.route("x")
    def f(req: "func.NoSuchThing") -> str:  # type: ignore[name-defined]
        return ""

    return app


def plain_function_with_a_durable_client() -> Any:
    app = df.DFApp()

    @app.route("x")
    @app.durable_client_input(client_name="client")
    def f(req: func.HttpRequest, client: Any) -> str:
        return ""

    return app


def two_functions_of_one_name() -> Any:
    app = new_app()

    @app.route("x")
    def f(req: func.HttpRequest) -> str:
        return ""

    @app.route("y")
    @app.function_name("f")
    def g(req: func.HttpRequest) -> str:
        return ""

    return app


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (unbound_parameter, "parameter extra belongs to no binding"),
        (binding_without_parameter, "the httpTrigger binding is named 'request'"),
        (context_of_another_class, "write context: func.Context"),
        (timer_that_takes_a_request, "write func.TimerRequest"),
        (output_that_is_no_out, "write out: func.Out[str]"),
        (input_that_is_an_out, "req is an input"),
        (out_of_an_unfit_type, "does not suit serviceBus"),
        (hint_that_does_not_resolve, "type hints cannot be resolved"),
        (plain_function_with_a_durable_client, "write async def f"),
        (two_functions_of_one_name, "does not have a unique function name"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_signature_that_the_worker_refuses_costs_the_app(
    build: Callable[[], Any], said: str
) -> None:
    found = indexed(build())

    assert found.functions == []
    assert found.problem is not None
    assert said in str(found.problem)


def test_a_binding_of_both_directions_is_refused() -> None:
    def f(blob: str) -> None: ...

    reasons = list(signature_refusals(f, [Binding("blob", "blob", "inout", {})]))

    assert reasons == ["binding 'blob' has direction inout: write one in and one out binding"]


def test_the_reasons_of_all_functions_are_said_at_once() -> None:
    app = new_app()

    @app.route("x")
    def first(req: func.HttpRequest, extra: str) -> str:
        return ""

    @app.route("y")
    def second(req: func.HttpRequest) -> dict:  # type: ignore[type-arg]
        return {}

    problem = indexed(app).problem

    assert problem is not None
    assert [reason.split(":")[0] for reason in problem.reasons] == [
        "function first",
        "function second",
    ]
