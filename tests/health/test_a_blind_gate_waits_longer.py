"""Time in which nobody could look does not count towards the deadline, up to as long again."""

from datetime import datetime, timedelta

import pytest

from function_apps.health.model import gates
from function_apps.health.model.gate_samples import Observation
from shared.contracts.gates import Verdict
from shared.kernel.clock import isoformat
from tests.health.traffic import Version, a_gate
from tests.kit.virtual_time import EPOCH

GATE = a_gate()
"""Windows of 60 s, a deadline after 600 s."""


def _at(seconds: float) -> str:
    moment: datetime = EPOCH + timedelta(seconds=seconds)
    return isoformat(moment)


def _blind(seconds: float) -> Observation:
    return Observation(_at(seconds), problem="nobody keeps the surface")


def test_a_host_that_comes_back_after_the_deadline_still_finds_the_release_bad() -> None:
    import random  # noqa: TID251  a test's own seeded generator

    rng = random.Random(1)
    old, new = Version(rng), Version(rng, median_ms=400.0)
    progress = gates.begin(GATE, _at(0))
    for second in (5.0, *(float(each) for each in range(605, 905, 5))):
        old.serve(200)
        new.serve(40)
        seen = Observation(
            _at(second), "epoch", candidate=new.read(), baseline=old.read(),
            candidate_ready=True, baseline_ready=True,
        )  # fmt: skip
        progress = gates.judge(GATE, progress, seen)

    assert progress.verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("until_s", "verdict"),
    [
        pytest.param(1100.0, None, id="before-twice-the-deadline-it-goes-on"),
        pytest.param(1201.0, Verdict.INCONCLUSIVE, id="at-twice-the-deadline-it-gives-up"),
    ],
)
def test_a_surface_that_is_never_readable_ends_the_gate_at_twice_its_deadline(
    until_s: float, verdict: Verdict | None
) -> None:
    progress = gates.begin(GATE, _at(0))
    for second in range(5, int(until_s) + 1, 5):
        progress = gates.judge(GATE, progress, _blind(float(second)))
    progress = gates.judge(GATE, progress, _blind(until_s))

    assert progress.verdict is verdict
