"""Evidence is awaited for as long as somebody could look for it, and never without end."""

from datetime import timedelta

import pytest

from function_apps.deployments.model import analysis
from function_apps.deployments.model.rollout_steps import RolloutStep
from shared.contracts.gates import Verdict
from tests.kit.virtual_time import EPOCH

STEP = RolloutStep(
    0, "weight 30 %", 30, asked_at=EPOCH, deadline_at=EPOCH + timedelta(seconds=60), gates=("gate",)
)
OVER_S = 60 + 60 + analysis.ANSWER_GRACE_S
"""The deadline, what health may move it by, and the time for its answer."""


def looked_until_over(step: RolloutStep, *, from_s: float = 0.0, late_s: float = 0.0) -> float:
    """Look again and again, each time *late_s* late; return when evidence is no longer awaited."""
    now, looks = EPOCH + timedelta(seconds=from_s), 0
    while analysis.verdict_of(step, now) is None:
        looks += 1
        assert looks < analysis.ANALYSIS_POLLS_MAX, "the wait has no end"
        now = analysis.next_poll_at(step, now) + timedelta(seconds=late_s)
        step = analysis.after_poll(step, now)
    assert analysis.verdict_of(step, now) is Verdict.INCONCLUSIVE
    return (now - EPOCH).total_seconds()


def test_with_a_look_at_every_time_evidence_is_awaited_until_health_has_to_answer() -> None:
    assert looked_until_over(STEP) == OVER_S


@pytest.mark.parametrize("away_s", [60.0, 3600.0, 12 * 3600.0])
def test_the_time_in_which_the_host_was_away_is_awaited_on_top(away_s: float) -> None:
    back_s = 30 + away_s
    step = analysis.after_poll(STEP, EPOCH + timedelta(seconds=back_s))

    over_s = looked_until_over(step, from_s=back_s)

    assert OVER_S + away_s <= over_s <= OVER_S + away_s + 60


@pytest.mark.parametrize("late_s", [1.0, 20.0, 120.0])
def test_looks_that_are_always_late_end_the_wait_as_well(late_s: float) -> None:
    looks_in_time = OVER_S / analysis.ANALYSIS_POLL_EVERY.total_seconds() + 3

    assert looked_until_over(STEP, late_s=late_s) <= looks_in_time * (30 + late_s)
