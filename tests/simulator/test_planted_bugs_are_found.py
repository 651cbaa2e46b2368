"""A bug that is planted in the platform breaks a promise in some seed."""

import pytest

from tests.simulator.planted_bugs import BUGS, Bug, simulate_with

SAMPLE = "forget the audit record"
"""The one of `make test`."""
IN_LONG = frozenset(
    {
        "skip the inbox",
        "publish before the commit",
        "audit an event and not publish it",
        "lose some audit records",
        "delete rows that did not leave",
        "ignore etags",
        "forget to publish events",
        "fail in a handler",
        "forget the fence",
        "never end a move",
    }
)
"""Those of `make long`; all others with a seed are those of `make sweeps`."""


def marks_of(name: str) -> list[pytest.MarkDecorator]:
    if name == SAMPLE:
        return []
    return [pytest.mark.long] if name in IN_LONG else [pytest.mark.long, pytest.mark.sweep]


@pytest.mark.parametrize(
    ("bug", "seed"),
    [
        pytest.param(bug, bug.first, id=bug.name, marks=marks)
        for bug in BUGS
        for marks in [marks_of(bug.name)]
        if bug.first is not None
    ],
)
def test_a_planted_bug_is_found_by_its_seed(bug: Bug, seed: int) -> None:
    broken = simulate_with(bug, seed).broken

    assert bug.promise in {each.number for each in broken}, broken


def test_planted_bugs_have_names_of_their_own() -> None:
    names = {bug.name for bug in BUGS}

    assert {SAMPLE, *IN_LONG} < {bug.name for bug in BUGS if bug.first is not None}
    assert len(names) == len(BUGS) >= 25
