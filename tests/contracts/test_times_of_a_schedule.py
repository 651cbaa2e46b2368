"""The times of a schedule are five fields of cron, as strictly as a CronJob takes them."""

import json
from typing import Any

import pytest

from shared.contracts.components import Component
from shared.contracts.validation import parse
from shared.kernel.errors import Invalid

JOB = {
    "moduleId": "module-job",
    "componentType": "worker",
    "version": "1.0",
    "artifactDigest": "sha256:" + "1" * 64,
    "command": ["run"],
}
TAKEN = [
    "* * * * *", "*/5 * * * *", "30 2 * * 1-5", "0 0 1,15 jan-mar mon", "05 23 31 12 6",
    "1/2 * * * *", "0-30/10,45 * * * *", "0 0 * * sun",
]  # fmt: skip
REFUSED = [
    "", "@daily", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *",
    "* * * 13 *", "* * * * 7", "*/0 * * * *", "5-1 * * * *", "0 0 * * fri-mon", "1,,2 * * * *",
    "TZ=Asia/Tokyo 0 0 * * *", "a * * * *", "1-2-3 * * * *", "* * * * *\n",
]  # fmt: skip


def component(**more: Any) -> Component:
    return parse(Component, json.dumps({**JOB, **more}).encode())


@pytest.mark.parametrize("cron", TAKEN)
def test_times_are_taken(cron: str) -> None:
    schedule = component(schedule={"cron": cron}).schedule

    assert schedule is not None
    assert schedule.cron == cron


@pytest.mark.parametrize("cron", REFUSED)
def test_times_are_refused_with_their_field(cron: str) -> None:
    with pytest.raises(Invalid) as refused:
        component(schedule={"cron": cron})

    assert refused.value.details[0].target == "/schedule/cron"


def test_a_component_runs_in_one_way() -> None:
    with pytest.raises(Invalid, match="exclude each other"):
        component(schedule={"cron": "* * * * *"}, runsOnce={})


def test_a_component_that_always_runs_is_written_as_before() -> None:
    written = component().model_dump(mode="json")

    assert {"runsOnce", "schedule"} & written.keys() == set()
