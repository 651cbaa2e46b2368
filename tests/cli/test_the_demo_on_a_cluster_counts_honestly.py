"""Of the failed requests of the story on a cluster, those with a known cause are told apart."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.demo import cluster_report
from cli.demo.cluster_faults import NodeDeath
from cli.demo.cluster_scenario import BAD, error_verdict
from cli.demo.load_generator import release_in
from cli.demo.load_process import RequestRecord
from cli.demo.sandbox import DemoFailed, Sandbox
from tests.kit.virtual_time import EPOCH

DEATH = NodeDeath("node1", EPOCH, EPOCH + timedelta(seconds=12))
SERVED = RequestRecord(EPOCH, 3.0, 200, "1.0", "", 0.5)


def failed(after_s: float, failure: str, release: str = "", status: int = 0) -> RequestRecord:
    sent_at = EPOCH + timedelta(seconds=after_s)
    return RequestRecord(sent_at, 5000.0, status, release, failure, 0.5)


LATE = "no full answer in 5 s"


@pytest.mark.parametrize(
    ("request_", "of_bad", "lost", "others"),
    [
        pytest.param(failed(60, "status 500", BAD, 500), 1, 0, 0, id="the-bad-release-itself"),
        pytest.param(failed(60, "status 500", "0.65.2", 500), 0, 0, 1, id="a-good-release"),
        pytest.param(failed(60, "status 500", "", 500), 0, 0, 1, id="nobody-says-whose"),
        pytest.param(failed(-2, LATE), 0, 1, 0, id="in-flight-at-the-death"),
        pytest.param(failed(11, LATE), 0, 1, 0, id="before-it-was-noticed"),
        pytest.param(failed(13, LATE), 0, 0, 1, id="after-it-was-noticed"),
        pytest.param(failed(-6, LATE), 0, 0, 1, id="over-before-the-death"),
        pytest.param(failed(5, "status 500", "0.65.2", 500), 0, 0, 1, id="answered-meanwhile"),
    ],
)
def test_a_failed_request_is_counted_once_and_by_its_cause(
    tmp_path: Path, request_: RequestRecord, of_bad: int, lost: int, others: int
) -> None:
    found = cluster_report.totals([SERVED, request_], DEATH)

    assert len(found.of_bad_release) == of_bad
    assert len(found.on_dead_node) == lost
    assert len(found.all.failures) == others
    assert (found.sent, found.all.served) == (2, 1)
    assert cluster_report.print_verdict(Sandbox(tmp_path, 0), found) is not bool(others)


def test_nothing_served_is_no_success(tmp_path: Path) -> None:
    found = cluster_report.totals([], DEATH)

    assert not cluster_report.print_verdict(Sandbox(tmp_path, 0), found)


@pytest.mark.parametrize(
    ("body", "release"),
    [
        (b'{"datasette": {"version": "1.0"}, "version": "2"}', "1.0"),
        (b'{"version": "0.65.2"}', "0.65.2"),
        (b'{"error": "a mistake", "version": "0.65.5-failing"}', BAD),
        (b"[1]", ""),
        (b'{"datasette": 3}', ""),
        (b"<html>", ""),
    ],
)
def test_an_answer_says_which_release_it_is_of(body: bytes, release: str) -> None:
    assert release_in(body) == release


def test_a_release_that_went_back_for_another_reason_than_errors_is_no_success() -> None:
    latency: dict[str, Any] = {"measure": "latency", "verdict": "Fail"}
    deployment = {"steps": [{"evidence": [{"analyses": [latency]}]}]}

    with pytest.raises(DemoFailed, match="another reason than its errors"):
        error_verdict(deployment)
