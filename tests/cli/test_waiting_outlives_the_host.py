import io
from pathlib import Path
from typing import Any

import pytest

from cli.client import Client
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.progress_display import PlainDisplay
from cli.session import Session
from cli.watch_operation import require_success, watch_operation
from tests.cli.small_server import Asked, serving
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.stores import HandClock

pytestmark = pytest.mark.real
ID = "op-deployments-w5ekllr23tyb-01m8704eh4gd0r2n"


def _operation(state: str, **changes: Any) -> dict[str, Any]:
    step = {"name": "apply", "state": state, "message": ""}
    return {"kind": "Deploy", "status": state, "steps": [step], "waitingFor": None, **changes}


def _watched(answers: list[tuple[int, Any] | None], timeout_s: float = 60) -> tuple[Any, str]:
    clock, stream = HandClock(), io.StringIO()

    def answer(_: Asked) -> tuple[int, Any] | None:
        """Answer after a second of the watching clock, as a long poll does."""
        clock.pass_by(1)
        return answers.pop(0) if len(answers) > 1 else answers[0]

    with serving(answer) as server:
        session = Session(Path(), clock)
        session.client = Client(server.url, None, SeededEntropy(1))
        try:
            with PlainDisplay(stream, clock) as display:
                operation = watch_operation(session, ID, display, timeout_s=timeout_s)
        finally:
            session.client.close()
    return operation, stream.getvalue()


def test_an_operation_is_watched_to_its_end() -> None:
    operation, shown = _watched([(200, _operation("Running")), (200, _operation("Succeeded"))])

    assert operation["status"] == "Succeeded"
    assert "✓ Deploy Succeeded" in shown


def test_what_an_operation_has_found_away_is_shown() -> None:
    running = _operation("Running", outage="the API server answered 503")

    _, shown = _watched([(200, running), (200, _operation("Succeeded"))])

    assert "… tries again: the API server answered 503" in shown


@pytest.mark.parametrize(
    "away",
    [None, (503, {"error": {"code": "Unavailable", "message": "later"}}), (429, {})],
    ids=["no-answer", "unavailable", "too-many-requests"],
)
def test_a_system_that_is_away_for_a_moment_is_waited_for(away: tuple[int, Any] | None) -> None:
    answers = [(200, _operation("Running")), away, away, (200, _operation("Succeeded"))]

    operation, shown = _watched(answers)

    assert operation["status"] == "Succeeded"
    assert "does not answer" in shown


def test_what_does_not_end_in_time_goes_on_and_says_how_to_watch_it() -> None:
    with pytest.raises(Failure) as failed:
        _watched([(200, _operation("Running"))], timeout_s=5)

    assert failed.value.exit_code is ExitCode.STILL_RUNNING
    assert f"runtimectl operations show {ID} --wait" in failed.value.remedy


def test_an_operation_that_is_not_there_ends_the_waiting() -> None:
    with pytest.raises(Failure) as failed:
        _watched([(404, {"error": {"code": "NotFound", "message": "no operation"}})])

    assert failed.value.exit_code is ExitCode.NOT_FOUND


def test_an_operation_that_failed_ends_the_command_with_its_reason() -> None:
    error = {"code": "GateFailed", "message": "too slow"}

    with pytest.raises(Failure, match="too slow") as failed:
        require_success(_operation("Failed", error=error), "deploying")

    assert failed.value.exit_code is ExitCode.ENDED_OTHERWISE
