"""What is logged while a command, message or activity is done names its trace and operation."""

import io
import logging
from collections.abc import Iterator

import azure.functions as func
import pytest

from local_host.boot_report import ShownRecords, Terminal, log_to
from shared.telemetry.names import ACTIVITY_RUN, OPERATION, REQUEST
from shared.telemetry.work import OFF
from tests.kit.hosting import ask, embedded, hosting, new_app
from tests.kit.virtual_time import run_virtual

LOGGER = logging.getLogger("shared.things")


@pytest.fixture(autouse=True)
def the_loggers_of_before() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


def logged() -> list[str]:
    """Return the lines of a function with a request and an activity in it."""
    app, stream, shown = new_app(), io.StringIO(), ShownRecords()

    @app.route("work")
    async def work(req: func.HttpRequest) -> str:
        LOGGER.warning("outside")
        with OFF.span(REQUEST, "POST things", "trace-1", {}):
            LOGGER.warning("request")
            with OFF.span(ACTIVITY_RUN, "apply", "trace-2", {OPERATION: "op-3"}):
                LOGGER.warning("activity")
            LOGGER.warning("request again")
        return ""

    async def main() -> None:
        async with hosting(embedded(app)) as host:
            shown.host = host
            log_to(Terminal(stream), stream, shown)
            await ask(host, "GET", "/work")

    run_virtual(main())
    return [line.partition("WARNING")[2] for line in stream.getvalue().splitlines()]


def test_a_line_has_the_trace_and_the_operation_of_its_work() -> None:
    outside, request, activity, again = (line.split()[1:] for line in logged())

    assert outside == ["shared.things:", "outside"]
    assert request == ["trace-1", "shared.things:", "request"]
    assert activity == ["trace-2", "op-3", "shared.things:", "activity"]
    assert again == ["trace-1", "shared.things:", "request", "again"]
