"""Settings, expressions and connections (protocol page, section 3)."""

from datetime import timedelta
from pathlib import Path

import azure.functions as func
import pytest

from local_host.apps.configuration import Configuration, ConfigurationRefused, Connection
from local_host.apps.expressions import ExpressionRefused, resolve
from local_host.apps.indexing import index
from local_host.apps.timespans import parse_timespan
from local_host.model import App
from tests.kit.hosting import embedded, new_app


def configured(host: dict[str, object] | None = None, **values: str) -> Configuration:
    return Configuration("app", host or {}, values)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:00:05", 5),
        ("01:30", 5400),
        ("1.00:00:00", 86400),
        ("00:00:00.5", 0.5),
        ("00:00:00.0000001", 0),
        ("-00:01:00", -60),
    ],
)
def test_a_time_span_is_read_as_dot_net_reads_it(text: str, seconds: float) -> None:
    assert parse_timespan(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "24:00:00", "00:60:00", "00:00:60", "1 day"])
def test_what_is_no_time_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_timespan(text)


def test_names_in_host_json_are_compared_ignoring_case() -> None:
    settings = configured({"Extensions": {"HTTP": {"RoutePrefix": "x"}}})

    assert settings.text("extensions", "http", "routePrefix", default="api") == "x"


def test_a_value_of_the_wrong_kind_names_its_key_and_what_to_write() -> None:
    settings = configured({"a": {"n": "many", "d": "long"}})

    with pytest.raises(ConfigurationRefused, match=r"a\.n is 'many'; write a whole number"):
        settings.number("a", "n", default=1)
    with pytest.raises(ConfigurationRefused, match=r"a\.d is 'long'; write a time span"):
        settings.duration("a", "d", default=timedelta(0))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"ServiceBus": "text"}, Connection("ServiceBus", "text")),
        ({"AzureWebJobsServiceBus": "a", "ServiceBus": "b"}, Connection("ServiceBus", "a")),
        ({"ConnectionStrings:ServiceBus": "c", "ServiceBus": "b"}, Connection("ServiceBus", "c")),
        (
            {"ServiceBus__fullyQualifiedNamespace": "n.servicebus.windows.net"},
            Connection("ServiceBus", None, {"fullyQualifiedNamespace": "n.servicebus.windows.net"}),
        ),
        ({}, None),
    ],
    ids=["name", "prefixed-first", "connection-strings-first", "identity", "absent"],
)
def test_a_connection_is_looked_up_in_order(
    values: dict[str, str], expected: Connection | None
) -> None:
    assert configured(**values).connection(None, "ServiceBus") == expected


def test_an_expression_is_replaced_wherever_it_stands() -> None:
    assert resolve("a-%X%-%Y%", {"X": "1", "Y": "2"}) == "a-1-2"


@pytest.mark.parametrize(
    ("text", "said"), [("%X", "not closed"), ("a%b%c%", "not closed"), ("%Z%", "'Z' to Values")]
)
def test_an_expression_that_cannot_be_resolved_says_where_to_write_it(text: str, said: str) -> None:
    with pytest.raises(ExpressionRefused, match=said):
        resolve(text, {"X": "1"})


def app_with_settings() -> func.FunctionApp:
    app = new_app()

    @app.service_bus_queue_trigger(arg_name="m", queue_name="%QUEUE%", connection="%QUEUE%")
    async def on_message(m: func.ServiceBusMessage) -> None: ...

    @app.route("x")
    async def sound(req: func.HttpRequest) -> str:
        return ""

    return app


def test_a_connection_is_no_expression() -> None:
    found = index(embedded(app_with_settings(), values={"QUEUE": "orders"}), {})
    trigger = next(f.trigger for f in found.functions if f.name == "on_message")

    assert (trigger.text("queueName"), trigger.text("connection")) == ("orders", "%QUEUE%")


def test_a_missing_setting_costs_its_function_only() -> None:
    found = index(embedded(app_with_settings()), {})

    assert [function.name for function in found.functions] == ["sound"]
    assert "%QUEUE% does not resolve" in found.refusals[0].reason


@pytest.mark.parametrize("setting", ["AzureWebJobs.sound.Disabled", "AzureWebJobs_sound_Disabled"])
@pytest.mark.parametrize(("value", "runs"), [("true", False), ("1", False), ("false", True)])
def test_a_function_is_switched_off_by_a_setting(setting: str, value: str, runs: bool) -> None:  # noqa: FBT001
    found = index(embedded(app_with_settings(), values={setting: value, "QUEUE": "q"}), {})

    assert ("sound" in [function.name for function in found.functions]) is runs
    assert ("sound" in found.disabled) is not runs


def test_only_the_functions_that_host_json_lists_are_loaded() -> None:
    listed = {"version": "2.0", "functions": ["sound"]}
    found = index(embedded(app_with_settings(), host_json=listed), {})

    assert [function.name for function in found.functions] == ["sound"]
    assert found.refusals == []


@pytest.mark.parametrize("content", [b"\xff\xfe{", b"{", b"[" * 100_000, b"[]", b'{"version": 2}'])
@pytest.mark.parametrize("file", ["host.json", "local.settings.json"])
def test_a_file_that_cannot_be_read_costs_its_app_only(
    tmp_path: Path, file: str, content: bytes
) -> None:
    (tmp_path / file).write_bytes(content)
    (tmp_path / "function_app.py").write_text("")

    problem = index(App("app", tmp_path), {}).problem

    assert problem is not None
    assert problem.reasons


def test_a_folder_in_place_of_a_file_costs_its_app_only(tmp_path: Path) -> None:
    (tmp_path / "host.json").mkdir()

    problem = index(App("app", tmp_path), {}).problem

    assert problem is not None
    assert "cannot be read" in problem.reasons[0]
