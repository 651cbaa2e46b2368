import asyncio
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cli.demo import report
from cli.demo.control_plane import ControlPlane, OneHost, ProcessPerApp
from cli.demo.load_generator import LoadGenerator, parse_endpoint
from cli.demo.load_process import RequestRecord, totals_of
from cli.demo.proxy_counters import ProxyCounters
from cli.demo.sandbox import Sandbox
from shared.kernel.clock import SystemClock
from tests.cli.small_server import serving
from tests.kit.patience import PATIENCE_S
from tests.kit.virtual_time import EPOCH


async def _send(url: str, count: int) -> list[dict[str, Any]]:
    out = io.StringIO()
    generator = LoadGenerator(parse_endpoint(f"{url}/-/versions.json"), 400, out, SystemClock())
    running = asyncio.create_task(generator.run())
    async with asyncio.timeout(PATIENCE_S):
        while out.getvalue().count("\n") < count:
            await SystemClock().sleep(0.005)
    generator.is_stopping.set()
    await running
    return [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.mark.real
async def test_each_answer_is_counted_with_the_release_that_gave_it() -> None:
    with serving(lambda _: (200, {"datasette": {"version": "1.0"}})) as server:
        records = await _send(server.url, 20)

    assert {(r["status"], r["release"], r["failed"]) for r in records} == {(200, "1.0", "")}
    assert len(server.asked) == len(records)


@pytest.mark.real
async def test_a_server_error_is_a_failure_and_a_client_error_is_not() -> None:
    with serving(lambda _: (503, {})) as server:
        unavailable = await _send(server.url, 3)
    with serving(lambda _: (404, {})) as server:
        missing = await _send(server.url, 3)

    assert {record["failed"] for record in unavailable} == {"status 503"}
    assert {record["failed"] for record in missing} == {""}


@pytest.mark.real
async def test_a_broken_connection_is_a_failure_and_is_never_asked_again() -> None:
    with serving(lambda _: None) as server:
        records = await _send(server.url, 5)

    assert all(record["failed"].startswith("IncompleteReadError") for record in records)
    assert len(server.asked) == len(records)


@pytest.mark.real
async def test_nobody_listening_is_a_failure() -> None:
    with serving(lambda _: (200, {})) as server:
        pass

    records = await _send(server.url, 2)

    assert all("Connect" in record["failed"] for record in records)


def test_totals_tell_served_from_failed() -> None:
    requests = [
        RequestRecord(EPOCH, 10.0, 200, "1.0", "", 0.5),
        RequestRecord(EPOCH, 20.0, 200, "2.0", "", 0.5),
        RequestRecord(EPOCH, 5000.0, 0, "", "no full answer in 5 s", 9.3),
    ]

    totals = totals_of(requests)

    assert totals.served == 2
    assert len(totals.failures) == 1
    assert totals.releases == Counter({"1.0": 1, "2.0": 1})
    assert totals.slowest_ms == 5000.0


def test_nothing_asked_is_nothing_served() -> None:
    assert totals_of([]).served == 0


def test_a_release_is_weightless_from_the_first_table_after_that_shows_so() -> None:
    later = EPOCH.replace(minute=1)
    counters = ProxyCounters(
        [(EPOCH, {1: 100}), (later, {1: 90, 2: 10}), (later.replace(minute=2), {1: 100})]
    )

    assert counters.weightless_since(2, later) == later.replace(minute=2)


@pytest.mark.parametrize(
    ("requests", "is_success"),
    [
        ([RequestRecord(EPOCH, 10.0, 200, "1.0", "", 0.5)], True),
        (
            [
                RequestRecord(EPOCH, 10.0, 200, "1.0", "", 0.5),
                RequestRecord(EPOCH, 1.0, 503, "", "status 503", 0.5),
            ],
            False,
        ),
        ([], False),
    ],
    ids=["all-served", "one-failed", "nothing-was-asked"],
)
def test_the_demo_is_good_only_when_requests_were_served_and_none_failed(
    tmp_path: Path, requests: list[RequestRecord], *, is_success: bool
) -> None:
    sandbox = Sandbox(tmp_path, 0)

    assert report.print_verdict(sandbox, totals_of(requests), ()) is is_success


@pytest.mark.parametrize(
    ("errors", "cores", "said"),
    [
        pytest.param(1, 2, "the platform lost them", id="the-proxy-answered-an-error"),
        pytest.param(0, 2, "run it again on an idle one", id="a-starved-machine"),
        pytest.param(0, 16, "look for a fault of the platform", id="a-machine-with-spare-cores"),
    ],
)
def test_a_lost_request_is_told_with_what_speaks_for_its_cause(
    errors: int, cores: int, said: str
) -> None:
    totals = totals_of(
        [
            RequestRecord(EPOCH, 10.0, 200, "1.0", "", 0.5),
            RequestRecord(EPOCH, 5000.0, 0, "", "no full answer in 5 s", 9.3),
        ]
    )

    reasons = report.verdict_reasons(totals, ProxyCounters(errors={1: errors}), cores)

    assert reasons[0] == "1 of 2 requests had no good answer"
    assert said in reasons[-1]
    assert "load average 9.3" in totals.failures[0]


def test_a_lost_workload_fails_the_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    totals = totals_of([RequestRecord(EPOCH, 10.0, 200, "1.0", "", 0.5)])

    assert not report.print_verdict(Sandbox(tmp_path, 0), totals, (4711,))
    assert "the demo failed: 1 workloads ended" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("control_plane", "said"),
    [
        pytest.param(OneHost(), ("~  3 s", "the host and the agent are killed"), id="one-host"),
        pytest.param(
            ProcessPerApp(2),
            ("~ 13 s", "every host process and the agent are killed"),
            id="a-process-per-app",
        ),
    ],
)
def test_the_plan_is_that_of_the_control_plane(
    control_plane: ControlPlane,
    said: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RUNTIMECTL_STATE", str(tmp_path))

    report.print_plan(Sandbox(tmp_path, 0, control_plane), is_warm=True)

    printed = capsys.readouterr().out
    assert [words for words in said if words not in printed] == []
