"""A verdict rests on two windows in a row, each with samples of its own."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from function_apps.health.model import gates
from function_apps.health.model.gate_samples import Counts, Observation, Progress, Span
from shared.contracts.gates import Verdict
from shared.kernel.clock import isoformat
from tests.health.traffic import a_gate
from tests.kit.virtual_time import EPOCH

WINDOW_S = 60
DEADLINE_S = 600
NONE, THIN = Counts(), Counts(1, 0, {"40": 1})
GOOD, SLOW, FAILING = (
    Counts(150, 0, {"40": 150}),
    Counts(150, 0, {"60": 150}),
    Counts(150, 6, {"40": 150}),
)
OLD = Counts(1000, 10, {"40": 1000})
"""With errors at the absolute limit, so that a few errors in a window are no chance."""


def judged(
    bursts: Sequence[Counts], *, probes: int = 0, every_s: int = 5, until_s: int = DEADLINE_S
) -> tuple[Progress, float]:
    """Send one of *bursts* early in each window, and nothing after the last.

    Return the progress at the verdict and how many seconds that took.
    """
    gate = a_gate(probesCount=probes > 0)
    progress, shown = gates.begin(gate, isoformat(EPOCH)), Span()
    for second in range(0, until_s + 1, every_s):
        at = isoformat(EPOCH + timedelta(seconds=second))
        number, rest_s = divmod(second, WINDOW_S)
        if rest_s == every_s and number < len(bursts):
            shown = shown.plus(Span(bursts[number], OLD))
        seen = Observation(
            at, "epoch", shown.candidate, shown.baseline,
            candidate_ready=True, baseline_ready=True, probes=probes,
        )  # fmt: skip
        progress = gates.judge(gate, progress, seen)
        if progress.verdict is not None:
            return progress, second
    return progress, until_s


@pytest.mark.parametrize(
    ("bursts", "probes"),
    [
        pytest.param([GOOD], 0, id="a-burst-and-nothing-more"),
        pytest.param([GOOD], 5, id="a-burst-and-probes"),
        pytest.param([GOOD, THIN], 0, id="a-burst-and-one-request"),
        pytest.param([GOOD, THIN], 5, id="a-burst-one-request-and-probes"),
        pytest.param([SLOW], 0, id="a-slow-burst-and-nothing-more"),
        pytest.param([SLOW], 5, id="a-slow-burst-and-probes"),
        pytest.param([SLOW, NONE, GOOD], 0, id="a-slow-burst-a-pause-and-a-good-one"),
        pytest.param([SLOW, NONE, GOOD], 5, id="a-slow-burst-probes-and-a-good-one"),
        pytest.param([FAILING, GOOD], 0, id="a-burst-of-errors-and-a-good-one"),
    ],
)
def test_a_release_does_not_pass_on_one_good_window(bursts: list[Counts], probes: int) -> None:
    progress, took_s = judged(bursts, probes=probes)

    assert (progress.verdict, took_s) == (Verdict.INCONCLUSIVE, DEADLINE_S)


@pytest.mark.parametrize(
    ("bursts", "seconds"),
    [
        pytest.param([GOOD, GOOD], 120, id="two-in-a-row"),
        pytest.param([GOOD, NONE, GOOD], 180, id="two-with-a-pause-between"),
        pytest.param([SLOW, GOOD, GOOD], 180, id="two-after-a-slow-one"),
        pytest.param([FAILING, GOOD, GOOD], 180, id="two-after-one-with-errors"),
    ],
)
def test_a_release_passes_on_two_good_windows_in_a_row(bursts: list[Counts], seconds: int) -> None:
    progress, took_s = judged(bursts)

    assert (progress.verdict, took_s) == (Verdict.PASS, seconds)


@pytest.mark.parametrize(
    "bad", [pytest.param(SLOW, id="slow"), pytest.param(FAILING, id="with-errors")]
)
def test_a_pause_between_two_bad_windows_excuses_nothing(bad: Counts) -> None:
    progress, took_s = judged([bad, NONE, bad])

    assert (progress.verdict, took_s) == (Verdict.FAIL, 180)


def test_readiness_that_nobody_watched_does_not_count() -> None:
    gate = a_gate(probesCount=True)
    progress, shown = gates.begin(gate, isoformat(EPOCH)), Span()
    for second in (0, 5, 300, 305):
        shown = shown.plus(Span(GOOD, OLD))
        at = isoformat(EPOCH + timedelta(seconds=second))
        seen = Observation(at, "epoch", shown.candidate, shown.baseline, candidate_ready=True)
        progress = gates.judge(gate, progress, seen)

    assert progress.ready_since == isoformat(EPOCH + timedelta(seconds=300))
