"""A bug that is planted in the platform breaks a promise in some seed."""

import pytest

from tests.simulator.planted_bugs import BUGS, Bug, found_by

SAMPLE = ("forget the audit record",)
LONG = (
    "skip the inbox",
    "publish before the commit",
    "forget to send commands",
    "audit an event and not publish it",
    "lose some audit records",
    "delete rows that did not leave",
    "relay nothing that was left behind",
    "ignore etags",
)
BY_NAME = {bug.name: bug for bug in BUGS}


@pytest.mark.parametrize(
    "bug",
    [
        *(pytest.param(BY_NAME[name], id=name) for name in SAMPLE),
        *(pytest.param(BY_NAME[name], id=name, marks=pytest.mark.long) for name in LONG),
    ],
)
def test_a_planted_bug_is_found_by_its_seed(bug: Bug) -> None:
    broken = found_by(bug, bug.first).broken

    assert any(f"({bug.promise})" in each for each in broken), broken


def test_planted_bugs_have_names_of_their_own() -> None:
    assert len(BY_NAME) == len(BUGS) >= 25
