"""The transition table is total, and what is outside it is refused and changes nothing."""

from pathlib import Path

import pytest

from function_apps.deployments.errors import TransitionRefused
from function_apps.deployments.model.states import (
    BEFORE_APPLIED,
    CHANGING,
    ENDINGS,
    TRANSITIONS,
    Change,
    after,
    diagram,
)
from shared.contracts.deployments import DeploymentStatus

OUTSIDE = [
    pytest.param(state, change, id=f"{state}-{change}")
    for state, rows in TRANSITIONS.items()
    for change in Change
    if change not in rows
]
README = Path("function_apps/deployments/README.md")


def test_every_state_has_its_row() -> None:
    assert set(TRANSITIONS) == set(DeploymentStatus)


def test_every_state_is_an_ending_or_may_still_be_left_behind() -> None:
    waiting = {DeploymentStatus.ROLLING_BACK}

    assert ENDINGS | BEFORE_APPLIED | CHANGING | waiting == set(DeploymentStatus)


@pytest.mark.parametrize(("state", "change"), OUTSIDE)
def test_a_change_outside_the_table_is_refused(state: DeploymentStatus, change: Change) -> None:
    with pytest.raises(TransitionRefused) as refused:
        after(state, change)

    assert (refused.value.status, refused.value.change) == (state, change)


def test_from_every_active_state_there_is_a_way_back() -> None:
    for state in CHANGING:
        assert after(state, Change.ROLLBACK_BEGUN) is DeploymentStatus.ROLLING_BACK
    for state in BEFORE_APPLIED:
        assert after(state, Change.CANCELLED) is DeploymentStatus.CANCELLED
        assert after(state, Change.TURNED_DOWN) is DeploymentStatus.FAILED


def test_the_diagram_in_the_readme_is_drawn_from_the_table() -> None:
    assert diagram() in README.read_text(encoding="utf-8")
