"""The transition table is total, and what is outside it is refused and changes nothing."""

from pathlib import Path

import pytest

from function_apps.deployments.model.lifecycle import (
    BEFORE_APPLIED,
    CHANGING,
    ENDINGS,
    TRANSITIONS,
    Cancelled,
    DeploymentEvent,
    PolicyAndBinding,
    Rejected,
    RollbackBegan,
    refused,
)
from shared.contracts.deployments import DeploymentStatus, EndReason
from shared.contracts.releases import ReleasedComponent
from shared.kernel.transitions import TransitionRefused
from tests.kit import told

EVENTS = {event for row in TRANSITIONS.rows.values() for event in row}
OUTSIDE = [
    pytest.param(status, event, id=f"{status}-{event.__name__}")
    for status, row in TRANSITIONS.rows.items()
    for event in sorted(EVENTS - set(row), key=lambda each: each.__name__)
]
README = Path("function_apps/deployments/README.md")


def test_every_state_has_its_row() -> None:
    assert set(TRANSITIONS.rows) == set(DeploymentStatus)


def test_every_state_is_an_ending_or_may_still_be_left() -> None:
    waiting = {DeploymentStatus.ROLLING_BACK}

    assert ENDINGS | BEFORE_APPLIED | CHANGING | waiting == set(DeploymentStatus)


@pytest.mark.parametrize(("status", "event"), OUTSIDE)
def test_an_event_outside_the_table_is_refused(
    status: DeploymentStatus, event: type[DeploymentEvent]
) -> None:
    with pytest.raises(TransitionRefused) as refused:
        TRANSITIONS.after(status, event)

    assert (refused.value.status, refused.value.event) == (status, event.__name__)


def test_from_every_active_state_there_is_a_way_back() -> None:
    for status in CHANGING:
        assert TRANSITIONS.after(status, RollbackBegan) is DeploymentStatus.ROLLING_BACK
    for status in BEFORE_APPLIED:
        assert TRANSITIONS.after(status, Cancelled) is DeploymentStatus.CANCELLED
        assert TRANSITIONS.after(status, Rejected) is DeploymentStatus.FAILED


def test_the_diagram_in_the_readme_is_drawn_from_the_table() -> None:
    assert TRANSITIONS.diagram() in README.read_text(encoding="utf-8")


def test_what_was_refused_has_failed_unless_there_was_nothing_to_do() -> None:
    nothing, held = (
        EndReason.model_validate({"code": code, "message": "why"})
        for code in ("NothingToRollOut", "Held")
    )

    assert refused(nothing) == Cancelled(nothing)
    assert refused(held) == Rejected(held)


def test_of_policy_and_binding_a_release_keeps_revisions_and_the_minimum() -> None:
    component = ReleasedComponent.model_validate(
        told.released(scalingPolicyRevision=3, replicas=5, tenantBindingRevision=6)
    )

    assert PolicyAndBinding.of(component) == PolicyAndBinding(policy=3, minimum=5, binding=6)
