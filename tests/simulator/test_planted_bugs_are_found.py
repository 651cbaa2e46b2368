"""A bug that is planted in the platform breaks a promise in some seed."""

import pytest

from tests.simulator.planted_bugs import BUGS, Bug, simulate_with

SAMPLE = "forget the audit record"
"""The one of `make test`; all others with a seed are those of `make long`."""


@pytest.mark.parametrize(
    ("bug", "seed"),
    [
        pytest.param(bug, bug.first, id=bug.name, marks=marks)
        for bug in BUGS
        for marks in [[] if bug.name == SAMPLE else [pytest.mark.long]]
        if bug.first is not None
    ],
)
def test_a_planted_bug_is_found_by_its_seed(bug: Bug, seed: int) -> None:
    broken = simulate_with(bug, seed).broken

    assert bug.promise in {each.number for each in broken}, broken


def test_planted_bugs_have_names_of_their_own() -> None:
    names = {bug.name for bug in BUGS}

    assert SAMPLE in names
    assert len(names) == len(BUGS) >= 25
