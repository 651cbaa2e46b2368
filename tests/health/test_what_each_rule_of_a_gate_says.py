"""Each rule of a gate by itself: its verdict, the value and the limit that the evidence shows."""

from datetime import timedelta
from typing import Any, Final

import pytest

from function_apps.health.model.gate_rules import analyse, judges_latency
from function_apps.health.model.gate_samples import BurnRates, Counts, Progress, Span, Streak
from shared.contracts.gates import Analysis, EvaluateGate, Measure, Unmeasured, Verdict
from shared.contracts.metrics import Metric, MetricSource
from shared.kernel.clock import isoformat
from tests.health.traffic import a_gate
from tests.kit.virtual_time import EPOCH

PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
PROVIDER: Final = {
    "source": "prometheus",
    "requests": "requests[{{window}}]",
    "errors": "errors[{{window}}]",
}
IN_VAIN = Unmeasured(
    source=MetricSource.PROMETHEUS, metric=Metric.ERRORS, revision=2, cause="no such series"
)
GOOD, BAD = Streak(good=2), Streak(bad=2)


def at(seconds: float) -> str:
    return isoformat(EPOCH + timedelta(seconds=seconds))


def said(
    measure: Measure, gate: EvaluateGate | None = None, *, now_s: float = 0.0, **progress: Any
) -> list[Analysis]:
    """Return what the rules of *measure* say after a gate that came so far."""
    found = analyse(gate or a_gate(), Progress(at(0), at(0), **progress), at(now_s))
    return [each for each in found if each.measure is measure]


def shown(analysis: Analysis) -> tuple[Verdict, float | None, float | None, str]:
    return analysis.verdict, analysis.value, analysis.threshold, analysis.unit


@pytest.mark.parametrize(
    ("metrics", "progress", "reason"),
    [
        pytest.param(PROVIDER, {"unmeasured": (IN_VAIN,)}, "errors of revision 2: no such series",
                     id="a-figure-asked-for-in-vain"),
        pytest.param(PROVIDER, {"unmeasured": (IN_VAIN,), "measured_at": at(60)},
                     "errors of revision 2: no such series", id="also-after-a-first-window"),
        pytest.param(PROVIDER, {}, "a first window yet", id="no-window-so-far"),
        pytest.param(PROVIDER, {"measured_at": at(60)}, None, id="all-measured"),
        pytest.param(None, {}, None, id="the-surface-counts"),
        pytest.param({"source": "surface"}, {}, None, id="the-surface-is-named"),
    ],
)  # fmt: skip
def test_a_gate_waits_for_what_its_provider_has_not_measured(
    metrics: Any, progress: Any, reason: str | None
) -> None:
    found = said(Measure.SAMPLES, a_gate(metrics=metrics), **progress)[:-1]

    expected = [(OPEN, "count", f"prometheus has not measured {reason}")] if reason else []
    assert [(each.verdict, each.unit, each.reason) for each in found] == expected


def test_a_surface_that_cannot_be_read_is_missing_evidence_whose_cause_is_cut() -> None:
    unread, _ = said(Measure.SAMPLES, problem="x" * 500)

    assert (unread.verdict, unread.unit, len(unread.reason)) == (OPEN, "count", 256)


@pytest.mark.parametrize(
    ("ready_since", "now_s", "expected"),
    [
        pytest.param(None, 90.0, (OPEN, 0.0, 60.0, "s"), id="never-ready"),
        pytest.param(at(10), 69.5, (OPEN, 59.5, 60.0, "s"), id="half-a-second-too-short"),
        pytest.param(at(10), 70.0, (PASS, 60.0, 60.0, "s"), id="exactly-a-window"),
    ],
)
def test_readiness_lasts_a_whole_window(
    ready_since: str | None, now_s: float, expected: Any
) -> None:
    (readiness,) = said(Measure.READINESS, now_s=now_s, ready_since=ready_since)

    assert shown(readiness) == expected


@pytest.mark.parametrize(
    ("progress", "verdict"),
    [
        pytest.param({"is_over": True, "candidate_interrupted": True}, FAIL, id="not-ready-again"),
        pytest.param({"candidate_interrupted": True}, OPEN, id="before-the-deadline"),
        pytest.param({"is_over": True}, OPEN, id="never-interrupted"),
        pytest.param({"is_over": True, "candidate_interrupted": True, "problem": "away"}, OPEN,
                     id="nobody-can-look"),
    ],
)  # fmt: skip
def test_a_version_that_stays_away_after_an_interruption_fails_at_the_deadline(
    progress: Any, verdict: Verdict
) -> None:
    (readiness,) = said(Measure.READINESS, **progress)

    assert (readiness.verdict, readiness.unit) == (verdict, "s")


def test_nothing_is_said_of_errors_before_the_first_request() -> None:
    assert said(Measure.ERROR_RATIO) == []


@pytest.mark.parametrize(
    ("errors", "windows", "verdict"),
    [
        pytest.param(20, GOOD, FAIL, id="chance-cannot-explain-them"),
        pytest.param(6, GOOD, PASS, id="over-the-limit-but-no-proof-by-themselves"),
        pytest.param(0, BAD, FAIL, id="two-bad-windows"),
        pytest.param(0, GOOD, PASS, id="two-good-windows"),
        pytest.param(0, Streak(good=1), OPEN, id="one-good-window"),
    ],
)
def test_errors_fail_at_once_only_where_chance_cannot_explain_them(
    errors: int, windows: Streak, verdict: Verdict
) -> None:
    total = Span(Counts(300, errors))

    (found,) = said(Measure.ERROR_RATIO, total=total, error_windows=windows)

    assert shown(found) == (verdict, round(errors / 300, 5), 0.01, "ratio")


def test_errors_that_fail_at_once_say_why_no_second_window_is_awaited() -> None:
    (found,) = said(Measure.ERROR_RATIO, total=Span(Counts(300, 20)), error_windows=Streak(bad=1))

    assert found.verdict is FAIL
    assert found.reason.endswith("; too many for chance, so that no second window is awaited")


def test_few_errors_fail_nothing_at_once_however_unlikely_they_are() -> None:
    total = Span(Counts(100_000, 150), Counts(100_000, 3))

    (found,) = said(Measure.ERROR_RATIO, total=total, has_baseline=True, error_windows=GOOD)

    assert shown(found) == (PASS, 0.0015, 0.00503, "ratio")
    assert found.baseline == 0.00003


@pytest.mark.parametrize(
    ("requests", "probes", "worst"),
    [
        pytest.param((1000, 5), (20, 3), "3 of 20 probes failed", id="one-over-its-limit"),
        pytest.param((20, 3), (1000, 5), "3 of 20 requests failed", id="the-other-over-its-limit"),
        pytest.param((1000, 40), (20, 3), "40 of 1000 requests failed", id="the-less-by-chance"),
        pytest.param((20, 3), (1000, 40), "40 of 1000 probes failed", id="or-of-the-other"),
    ],
)
def test_of_requests_and_probes_the_worse_is_told(
    requests: tuple[int, int], probes: tuple[int, int], worst: str
) -> None:
    total = Span(Counts(*requests), probes=probes[0], probe_errors=probes[1])

    (found,) = said(Measure.ERROR_RATIO, a_gate(probesCount=True), total=total)

    assert found.reason.startswith(f"{worst}, absolute limit")


@pytest.mark.parametrize(
    ("total", "has_baseline", "sentence"),
    [
        pytest.param(Span(Counts(48, 1), Counts(900, 0)), True,
                     "1 of 48 requests failed: too few to tell;", id="one-of-few"),
        pytest.param(Span(Counts(120, 3), Counts(900, 6)), True,
                     "3 of 120 requests failed: too few to tell;", id="over-the-limit-by-chance"),
        pytest.param(Span(Counts(120, 3)), False,
                     "3 of 120 requests failed, absolute limit: too few to tell;",
                     id="without-a-baseline"),
        pytest.param(Span(Counts(120, 30), Counts(900, 6)), True, "30 of 120 requests failed;",
                     id="more-than-chance"),
        pytest.param(Span(Counts(400, 4)), False, "4 of 400 requests failed, absolute limit;",
                     id="a-tie-with-the-limit"),
    ],
)  # fmt: skip
def test_errors_are_told_with_their_yardstick_and_whether_they_are_too_few(
    total: Span, *, has_baseline: bool, sentence: str
) -> None:
    (found,) = said(Measure.ERROR_RATIO, total=total, has_baseline=has_baseline)

    assert found.reason.startswith(sentence)


LATENCY = Analysis(measure=Measure.LATENCY, verdict=OPEN, value=40.0, unit="ms", reason="p95")
WITH_LATENCY: Final = {**PROVIDER, "latency": "latency[{{window}}]"}


def test_latency_is_judged_by_its_windows_and_shown_by_the_last() -> None:
    (found,) = said(Measure.LATENCY, latency=LATENCY, latency_windows=BAD)

    assert (found.verdict, found.value) == (FAIL, 40.0)
    assert found.reason == "p95; 2 bad windows in a row"


@pytest.mark.parametrize(
    ("gate", "is_missed"),
    [
        pytest.param({}, True, id="the-surface-counts"),
        pytest.param({"metrics": {"source": "surface"}}, True, id="the-surface-is-named"),
        pytest.param({"metrics": WITH_LATENCY}, True, id="its-provider-is-asked-for-latency"),
        pytest.param({"metrics": PROVIDER}, False, id="its-provider-is-not"),
        pytest.param({"probesCount": True}, False, id="probes-are-samples-too"),
    ],
)
def test_without_a_window_of_latency_a_gate_misses_it_where_it_would_judge_it(
    gate: Any, *, is_missed: bool
) -> None:
    found = said(Measure.LATENCY, a_gate(**gate))

    expected = [(OPEN, None, None, "ms")] if is_missed else []
    assert [shown(each) for each in found] == expected


@pytest.mark.parametrize(
    ("metrics", "is_judged"),
    [
        pytest.param(None, True, id="the-surface-counts"),
        pytest.param({"source": "surface"}, True, id="the-surface-is-named"),
        pytest.param(WITH_LATENCY, True, id="a-provider-with-a-query-of-it"),
        pytest.param(PROVIDER, False, id="a-provider-without"),
    ],
)
def test_latency_is_judged_where_somebody_measures_it(metrics: Any, *, is_judged: bool) -> None:
    assert judges_latency(a_gate(metrics=metrics)) is is_judged


@pytest.mark.parametrize(
    ("burn", "before", "expected"),
    [
        pytest.param(BurnRates(20.0, 30.0), None, (FAIL, 20.0), id="both-windows-over"),
        pytest.param(BurnRates(30.0, 20.0), BurnRates(1.0, 1.0), (FAIL, 20.0),
                     id="the-lower-of-both-is-shown"),
        pytest.param(BurnRates(20.0, 30.0), BurnRates(20.0, 20.0), (PASS, 20.0),
                     id="it-burned-before"),
        pytest.param(BurnRates(14.4, 14.4), None, (PASS, 14.4), id="a-tie"),
        pytest.param(BurnRates(None, 20.0), None, (OPEN, None), id="no-long-window"),
        pytest.param(BurnRates(20.0, None), None, (OPEN, None), id="no-short-window"),
        pytest.param(BurnRates(20.0, None), BurnRates(20.0, 20.0), (OPEN, None),
                     id="no-short-window-of-what-burned-before"),
    ],
)  # fmt: skip
def test_a_budget_burns_too_fast_over_both_windows_and_not_before(
    burn: BurnRates, before: BurnRates | None, expected: Any
) -> None:
    (found,) = said(Measure.BURN_RATE, burn=burn, burn_before=before)

    assert shown(found) == (*expected, 14.4, "times")


def test_a_burn_rate_is_told_over_both_windows() -> None:
    (found,) = said(Measure.BURN_RATE, burn=BurnRates(1.26, 0.04))

    assert found.reason == "1.3 times the budget over the long window, 0.0 now"


def test_without_an_objective_no_budget_is_judged() -> None:
    assert said(Measure.BURN_RATE) == []


@pytest.mark.parametrize(
    ("requests", "probes", "probes_count", "expected"),
    [
        pytest.param(50, 0, False, (PASS, 50.0), id="fifty-requests"),
        pytest.param(49, 10, False, (OPEN, 49.0), id="probes-do-not-count"),
        pytest.param(40, 10, True, (PASS, 50.0), id="probes-count"),
        pytest.param(40, 9, True, (OPEN, 49.0), id="one-too-few"),
    ],
)
def test_requests_and_the_probes_that_count_are_enough_from_fifty_on(
    requests: int, probes: int, *, probes_count: bool, expected: Any
) -> None:
    total = Span(Counts(requests), probes=probes)

    (found,) = said(Measure.SAMPLES, a_gate(probesCount=probes_count), total=total)

    assert shown(found) == (*expected, 50.0, "count")
