"""Instances that began under a recorded version go on the same way under today's code."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.kit.golden import current, goldens, handlers, load, replay

IDS = [path.stem for path in goldens()]


@cache
def handler(name: str) -> Any:
    return handlers()[name]


@pytest.mark.parametrize("path", goldens(), ids=IDS)
def test_a_recorded_history_is_replayed_to_its_recorded_end(path: Path) -> None:
    recorded = load(path)

    outcome, departs = replay(recorded, handler(recorded.name))

    assert departs is None
    assert outcome.is_done
    assert outcome.output is not None
    assert load(path).output == json.loads(outcome.output)


def test_every_orchestration_has_a_golden_of_the_version_it_registers() -> None:
    recorded = {(load(path).name, load(path).version) for path in goldens()}

    missing = set(current().items()) - recorded
    assert missing == set(), "run `python -m tests.kit.golden`"


@pytest.mark.parametrize("path", goldens(), ids=IDS)
def test_a_history_of_other_code_is_noticed(path: Path) -> None:
    recorded = load(path)
    first = next(i for i, each in enumerate(recorded.events) if each["EventType"] == 4)
    events = [dict(each) for each in recorded.events]
    events[first]["Name"] = "environments_something_else"

    _, departs = replay(replace(recorded, events=events), handler(recorded.name))

    assert departs is not None
    assert "environments_something_else" in departs
