"""`logging.logLevel` of `host.json` decides what is shown; a line says its level."""

import io
import logging
from collections.abc import Iterator
from typing import Any

import azure.functions as func
import pytest

from local_host.apps.configuration import Configuration, ConfigurationRefused
from local_host.apps.indexing import index
from local_host.apps.log_levels import log_levels_of
from local_host.boot_report import ShownRecords, Terminal, log_to
from tests.kit.hosting import ask, embedded, hosting, new_app
from tests.kit.virtual_time import run_virtual

USERS = logging.getLogger("orders")


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before


def levels(section: Any) -> Any:
    return log_levels_of(Configuration("a", {"logging": {"logLevel": section}}, {}))


def test_the_longest_category_decides_whatever_its_case() -> None:
    found = levels({"default": "Error", "function": "Warning", "Function.f.User": "None"})

    assert found.least("Host.http") == logging.ERROR
    assert found.least("Function.g.User") == logging.WARNING
    assert found.least("Function.F.User") > logging.CRITICAL


@pytest.mark.parametrize("section", ["Error", {"default": "Loud"}, {"Function": 3}])
def test_a_level_that_there_is_not_is_refused(section: Any) -> None:
    with pytest.raises(ConfigurationRefused, match=r"logging\.logLevel"):
        levels(section)

    host_json = {"version": "2.0", "logging": {"logLevel": section}}
    problem = index(embedded(new_app(), host_json=host_json), {}).problem
    assert problem is not None
    assert "logging.logLevel" in problem.reasons[0]


def shown_with(section: dict[str, str]) -> str:
    """Return what a host shows of two functions that log, under *section*."""
    app, stream, shown = new_app(), io.StringIO(), ShownRecords()

    @app.route("quiet")
    async def quiet(req: func.HttpRequest) -> str:
        USERS.info("quiet info")
        USERS.warning("quiet warning")
        return ""

    @app.route("loud")
    def loud(req: func.HttpRequest) -> str:
        USERS.info("loud info")
        USERS.info("%d", "no number")
        raise ValueError("\ud83d")

    host_json = {
        "version": "2.0",
        "extensions": {"http": {"routePrefix": ""}},
        "logging": {"logLevel": section},
    }

    async def main() -> None:
        async with hosting(embedded(app, host_json=host_json)) as host:
            shown.host = host
            log_to(Terminal(stream), stream, shown)
            await ask(host, "GET", "/quiet")
            await ask(host, "GET", "/loud")

    run_virtual(main())
    return stream.getvalue()


def test_what_functions_log_is_shown_from_their_level_on() -> None:
    text = shown_with({"Function.quiet": "Warning"})

    assert "quiet info" not in text
    assert "quiet warning" in text
    assert "loud info" in text


def test_what_the_host_logs_is_shown_from_its_level_on() -> None:
    assert "loud failed" in shown_with({})
    assert "loud failed" not in shown_with({"Host": "None"})


def test_a_line_says_its_level_and_a_failure_its_file() -> None:
    text = shown_with({})

    assert " INFO " in text
    assert " WARNING " in text
    assert " ERROR " in text
    assert 'test_log_levels.py", line ' in text


def test_a_line_whose_arguments_do_not_fit_is_shown_with_the_reason() -> None:
    assert "TypeError: %d format" in shown_with({})


def test_what_a_stream_cannot_write_is_written_another_way() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")

    Terminal(stream).line("\ud83d \u20ac")

    stream.seek(0)
    assert stream.read() == "\\ud83d \\u20ac\n"
