import asyncio
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cli.demo import report
from cli.demo.load_generator import Sender, target_of
from cli.demo.load_process import Asked, totals_of
from cli.demo.proxy_counters import Seen
from cli.demo.sandbox import Stage
from shared.kernel.clock import EPOCH, SystemClock
from tests.cli.small_server import serving


async def _send(url: str, count: int) -> list[dict[str, Any]]:
    out = io.StringIO()
    sender = Sender(target_of(f"{url}/-/versions.json"), 400, out, SystemClock())
    running = asyncio.create_task(sender.run())
    async with asyncio.timeout(10):
        while out.getvalue().count("\n") < count:
            await SystemClock().sleep(0.005)
    sender.is_stopping.set()
    await running
    return [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.mark.real
async def test_each_answer_is_counted_with_the_release_that_gave_it() -> None:
    with serving(lambda _: (200, {"datasette": {"version": "1.0"}})) as server:
        told = await _send(server.url, 20)

    assert {(one["status"], one["release"], one["failed"]) for one in told} == {(200, "1.0", "")}
    assert len(server.asked) == len(told)


@pytest.mark.real
async def test_a_server_error_is_a_failure_and_a_client_error_is_not() -> None:
    with serving(lambda _: (503, {})) as server:
        unavailable = await _send(server.url, 3)
    with serving(lambda _: (404, {})) as server:
        missing = await _send(server.url, 3)

    assert {one["failed"] for one in unavailable} == {"status 503"}
    assert {one["failed"] for one in missing} == {""}


@pytest.mark.real
async def test_a_broken_connection_is_a_failure_and_is_never_asked_again() -> None:
    with serving(lambda _: None) as server:
        told = await _send(server.url, 5)

    assert all(one["failed"].startswith("IncompleteReadError") for one in told)
    assert len(server.asked) == len(told)


@pytest.mark.real
async def test_nobody_listening_is_a_failure() -> None:
    with serving(lambda _: (200, {})) as server:
        pass

    told = await _send(server.url, 2)

    assert all("Connect" in one["failed"] for one in told)


def test_totals_tell_served_from_failed() -> None:
    asked = [
        Asked(EPOCH, 10.0, 200, "1.0", ""),
        Asked(EPOCH, 20.0, 200, "2.0", ""),
        Asked(EPOCH, 5000.0, 0, "", "no full answer in 5 s"),
    ]

    totals = totals_of(asked)

    assert totals.served == 2
    assert len(totals.failed) == 1
    assert totals.releases == Counter({"1.0": 1, "2.0": 1})
    assert totals.slowest_ms == 5000.0


def test_nothing_asked_is_nothing_served() -> None:
    assert totals_of([]).served == 0


def test_a_release_is_weightless_from_the_first_table_after_that_shows_so() -> None:
    later = EPOCH.replace(minute=1)
    seen = Seen([(EPOCH, {1: 100}), (later, {1: 90, 2: 10}), (later.replace(minute=2), {1: 100})])

    assert seen.weightless_since(2, later) == later.replace(minute=2)


@pytest.mark.parametrize(
    ("asked", "is_good"),
    [
        ([Asked(EPOCH, 10.0, 200, "1.0", "")], True),
        ([Asked(EPOCH, 10.0, 200, "1.0", ""), Asked(EPOCH, 1.0, 503, "", "status 503")], False),
        ([], False),
    ],
    ids=["all-served", "one-failed", "nothing-was-asked"],
)
def test_the_demo_is_good_only_when_requests_were_served_and_none_failed(
    tmp_path: Path, asked: list[Asked], *, is_good: bool
) -> None:
    stage = Stage(tmp_path, 0)

    assert report.totals(stage, totals_of(asked), 0) is is_good
