"""Instances that start again after an interruption are judged when they have been ready once."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from function_apps.health.model import gates
from function_apps.health.model.gate_record import gate_evidence
from function_apps.health.model.gate_samples import Counts, Observation, Progress
from shared.contracts.gates import Measure, Verdict
from shared.kernel.clock import isoformat, parse_instant
from tests.health.traffic import a_gate
from tests.kit.virtual_time import EPOCH

GATE = a_gate(probesCount=True, minSamples=20, window="PT10S")
"""A deadline after 600 s."""
EVERY_S = 5
GOOD = Counts(50, 0, {"40": 50})
FAILED = Counts(50, 50, {"1": 50})
Change = Callable[[Observation], Observation]


class Watched:
    """A gate over both versions; counters grow by what each observation adds."""

    def __init__(self, **gate: Any) -> None:
        self.gate = GATE.model_copy(update=gate)
        self.at = EPOCH
        self.epoch = "edge-1"
        self.candidate = self.baseline = Counts()
        self.progress = gates.begin(self.gate, isoformat(EPOCH))

    def see(
        self, *, after_s: float = EVERY_S, candidate: Counts = GOOD, baseline: Counts = GOOD,
        **seen: Any,
    ) -> Progress:  # fmt: skip
        self.at += timedelta(seconds=after_s)
        self.candidate, self.baseline = self.candidate.plus(candidate), self.baseline.plus(baseline)
        healthy = Observation(
            isoformat(self.at), self.epoch, self.candidate, self.baseline,
            candidate_ready=True, baseline_ready=True, probes=10,
        )  # fmt: skip
        self.progress = gates.judge(self.gate, self.progress, replace(healthy, **seen))
        return self.progress

    def restart_traffic_layer(self) -> None:
        self.epoch, self.candidate, self.baseline = "edge-2", Counts(), Counts()

    def until_verdict(self, **seen: Any) -> Progress:
        while self.progress.verdict is None:
            self.see(**seen)
        return self.progress

    @property
    def after_s(self) -> float:
        return (self.at - EPOCH).total_seconds()


WARMING = {
    "candidate": FAILED, "baseline": FAILED, "candidate_ready": False, "baseline_ready": False,
    "probe_errors": 10,
}  # fmt: skip


def traffic_layer(watched: Watched) -> dict[str, Any]:
    watched.restart_traffic_layer()
    return {}


def absence(_watched: Watched) -> dict[str, Any]:
    return {"after_s": 120.0}


def resuming(_watched: Watched) -> dict[str, Any]:
    return {"candidate_resuming": True, "baseline_resuming": True}


INTERRUPTIONS = [
    pytest.param(traffic_layer, id="the-traffic-layer-began-anew"),
    pytest.param(absence, id="nobody-observed"),
    pytest.param(resuming, id="the-surface-says-so"),
]


def interrupted(interrupt: Callable[[Watched], dict[str, Any]], **gate: Any) -> Watched:
    """Have a gate that saw good samples, an interruption, and then instances that start."""
    watched = Watched(**gate)
    watched.see()
    watched.see()
    watched.see(**{**WARMING, **interrupt(watched)})
    for _ in range(3):
        watched.see(**WARMING)
    return watched


@pytest.mark.parametrize("interrupt", INTERRUPTIONS)
def test_what_fails_while_instances_start_again_is_not_counted(
    interrupt: Callable[[Watched], dict[str, Any]],
) -> None:
    total = interrupted(interrupt).progress.total

    assert (total.candidate, total.baseline) == (GOOD, GOOD)
    assert (total.probes, total.probe_errors) == (20, 0)


@pytest.mark.parametrize("interrupt", INTERRUPTIONS)
def test_a_good_release_passes_after_an_interruption(
    interrupt: Callable[[Watched], dict[str, Any]],
) -> None:
    watched = interrupted(interrupt)
    # The interval in which they became ready has requests from before that.
    watched.see(candidate=FAILED, baseline=FAILED)
    progress = watched.until_verdict()

    assert progress.verdict is Verdict.PASS
    assert progress.total.candidate.errors == progress.total.baseline.errors == 0


@pytest.mark.parametrize("interrupt", INTERRUPTIONS)
@pytest.mark.parametrize(
    "bad",
    [
        pytest.param({"candidate": FAILED}, id="requests-fail"),
        pytest.param({"candidate": Counts(), "probe_errors": 10}, id="probes-fail"),
        pytest.param(
            {"candidate": Counts(), "probe_errors": 10, "candidate_ready": False}, id="it-ends"
        ),
    ],
)
def test_a_release_that_was_ready_again_is_judged_as_before(
    interrupt: Callable[[Watched], dict[str, Any]], bad: dict[str, Any]
) -> None:
    watched = interrupted(interrupt)
    watched.see()
    watched.see(**bad)

    assert watched.until_verdict(**bad).verdict is Verdict.FAIL


@pytest.mark.parametrize("interrupt", INTERRUPTIONS)
def test_a_release_that_is_never_ready_again_fails_in_bounded_time(
    interrupt: Callable[[Watched], dict[str, Any]],
) -> None:
    watched = interrupted(interrupt)
    began_s = watched.after_s
    progress = watched.until_verdict(**WARMING)
    evidence = gate_evidence(watched.gate, progress, parse_instant(progress.looked_at or ""))
    readiness = next(a for a in evidence.analyses if a.measure is Measure.READINESS)

    assert progress.verdict is readiness.verdict is Verdict.FAIL
    assert "not ready again" in readiness.reason
    assert watched.after_s - began_s <= 2 * 600


def test_without_an_interruption_a_release_that_ends_fails_at_once() -> None:
    watched = Watched()
    watched.see()
    watched.see(candidate_ready=False, probe_errors=10)

    assert watched.progress.verdict is Verdict.FAIL


def test_a_previous_version_that_is_not_ready_again_does_not_hold_up_the_new_one() -> None:
    watched = interrupted(traffic_layer)
    dead = {"baseline": FAILED, "baseline_ready": False}
    watched.see(**dead)
    progress = watched.until_verdict(**dead)

    assert progress.verdict is Verdict.PASS
    assert progress.total.baseline == GOOD


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        pytest.param({}, Verdict.PASS, id="good"),
        pytest.param({"candidate": FAILED}, Verdict.FAIL, id="bad"),
    ],
)
def test_a_night_in_which_nobody_looked_takes_nothing_from_the_deadline(
    seen: dict[str, Any], verdict: Verdict
) -> None:
    watched = Watched()
    watched.see()
    watched.restart_traffic_layer()
    watched.see(**{**WARMING, "after_s": 12 * 3600.0})
    watched.see()

    assert watched.until_verdict(**seen).verdict is verdict


def test_a_surface_that_is_hardly_readable_ends_the_gate_in_bounded_time() -> None:
    watched = Watched(min_samples=1_000_000)

    def readings() -> Iterator[str]:
        while True:
            yield from (["away"] * 4 + [""])

    for problem in readings():
        watched.see(problem=problem)
        if watched.progress.verdict is not None:
            break

    assert watched.progress.verdict is Verdict.INCONCLUSIVE
    assert watched.after_s <= 2 * 600 + 60
