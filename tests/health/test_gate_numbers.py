"""Each number of a gate, at its limit and beyond; a tie passes."""

from datetime import timedelta
from typing import Any

import pytest

from function_apps.health.model import gates
from function_apps.health.model.baseline_comparison import (
    compare_errors,
    compare_latency,
    usable_baseline,
)
from function_apps.health.model.gate_record import gate_evidence
from function_apps.health.model.gate_rules import analyse
from function_apps.health.model.gate_samples import Counts, Observation, Progress, Span, Streak
from shared.contracts.gates import Analysis, GateLimits, Measure, Verdict
from shared.kernel.clock import isoformat
from shared.surfaces.traffic import LATENCY_BOUNDS_MS
from tests.health.traffic import a_gate
from tests.kit.virtual_time import EPOCH

PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
LIMITS = GateLimits()


def bucket(latency_ms: float) -> str:
    return str(next(i for i, bound in enumerate(LATENCY_BOUNDS_MS) if bound >= latency_ms))


def served(requests: int, errors: int = 0, ms: float = 40.0, slow: int = 0, **at: float) -> Counts:
    """Return requests of *ms*, of which *slow* took `slow_ms`."""
    latency = {bucket(ms): requests - slow}
    if slow:
        latency[bucket(at["slow_ms"])] = slow
    return Counts(requests, errors, latency)


def errors_of(candidate: Counts, baseline: Counts | None) -> tuple[bool, bool]:
    """Return whether the errors are over their limit, and whether chance explains them."""
    found = compare_errors(a_gate(), Span(candidate), baseline)[0]
    return found.is_over, found.chance >= 0.05


@pytest.mark.parametrize(
    ("errors", "requests", "is_over", "is_chance"),
    [
        pytest.param(10, 1000, False, True, id="one-percent-is-a-tie"),
        pytest.param(11, 1000, True, True, id="more-than-one-percent-by-chance"),
        pytest.param(16, 1000, True, False, id="more-than-chance-gives"),
        pytest.param(2, 20, False, False, id="two-errors-are-never-over"),
        pytest.param(3, 20, True, False, id="three-errors-of-twenty"),
    ],
)
def test_without_a_baseline_one_percent_of_errors_is_the_limit(
    errors: int, requests: int, is_over: bool, is_chance: bool  # noqa: FBT001  what is expected
) -> None:  # fmt: skip
    assert errors_of(served(requests, errors), None) == (is_over, is_chance)


@pytest.mark.parametrize(
    ("errors", "is_over", "is_chance"),
    [
        pytest.param(10, False, False, id="half-a-percent-more-is-a-tie"),
        pytest.param(11, True, False, id="more-than-half-a-percent-more"),
        pytest.param(5, False, True, id="as-many-as-the-old-one"),
    ],
)
def test_with_a_baseline_half_a_percent_more_of_errors_is_the_limit(
    errors: int, is_over: bool, is_chance: bool  # noqa: FBT001  what is expected
) -> None:  # fmt: skip
    assert errors_of(served(1000, errors), served(10_000, 50)) == (is_over, is_chance)


@pytest.mark.parametrize(
    ("candidate", "baseline", "percentile"),
    [
        pytest.param(1000, 1000, "p99", id="from-a-thousand-of-each"),
        pytest.param(5000, 999, "p95", id="not-a-thousand-of-one"),
        pytest.param(100, 100, "p95", id="from-a-hundred-of-each"),
        pytest.param(99, 5000, "p50", id="below-a-hundred"),
        pytest.param(20, None, "p95", id="without-a-baseline"),
        pytest.param(500, 19, "p95", id="with-too-few-of-the-baseline"),
    ],
)
def test_the_percentile_follows_from_the_number_of_samples(
    candidate: int, baseline: int | None, percentile: str
) -> None:
    found = compare_latency(LIMITS, served(candidate), served(baseline) if baseline else None)

    assert found is not None
    assert found.reason.startswith(percentile)


def test_fewer_than_twenty_requests_say_nothing_of_latency() -> None:
    assert compare_latency(LIMITS, served(19, ms=5000.0), None) is None


def told(candidate: Counts, baseline: Counts | None) -> Analysis:
    found = compare_latency(LIMITS, candidate, baseline)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("old_ms", "new_ms", "verdict"),
    [
        pytest.param(400.0, 440.0, PASS, id="ten-percent-slower"),
        pytest.param(400.0, 560.0, FAIL, id="forty-percent-slower"),
        pytest.param(20.0, 33.0, PASS, id="much-slower-but-not-by-twenty-milliseconds"),
        pytest.param(20.0, 60.0, FAIL, id="slower-by-both-margins"),
        pytest.param(400.0, 400.0, PASS, id="equal"),
        pytest.param(400.0, 100.0, PASS, id="faster"),
    ],
)
def test_slower_by_a_quarter_and_twenty_milliseconds_is_the_limit(
    old_ms: float, new_ms: float, verdict: Verdict
) -> None:
    assert told(served(500, ms=new_ms), served(500, ms=old_ms)).verdict is verdict


@pytest.mark.parametrize(
    ("slow", "verdict"),
    [
        pytest.param(50, PASS, id="five-in-a-hundred"),
        pytest.param(60, PASS, id="a-few-more-by-chance"),
        pytest.param(70, FAIL, id="more-than-chance-gives"),
    ],
)
def test_without_a_baseline_95_in_100_take_at_most_800_ms(slow: int, verdict: Verdict) -> None:
    assert told(served(1000, slow=slow, slow_ms=2000.0), None).verdict is verdict


@pytest.mark.parametrize(
    ("baseline", "is_used"),
    [
        pytest.param(served(1000), True, id="healthy"),
        pytest.param(served(1000, 10), True, id="with-errors-at-the-limit"),
        pytest.param(served(1000, 11), False, id="with-errors-over-the-limit"),
        pytest.param(served(1000, ms=900.0), False, id="slower-than-the-limit"),
        pytest.param(Counts(), False, id="without-traffic"),
    ],
)
def test_only_a_healthy_baseline_is_a_yardstick(
    baseline: Counts, is_used: bool  # noqa: FBT001  what is expected
) -> None:  # fmt: skip
    assert (usable_baseline(a_gate(), baseline, is_there=True) is not None) is is_used


def test_a_baseline_that_is_not_ready_is_no_yardstick() -> None:
    assert usable_baseline(a_gate(), served(1000), is_there=False) is None


def test_a_fix_of_a_broken_release_passes() -> None:
    broken = served(1000, 500, ms=5.0)
    progress = run(candidate=served(50, ms=100.0), baseline=broken)

    assert progress.verdict is PASS


def run(
    *,
    candidate: Counts | None = None,
    baseline: Counts | None = None,
    ready_from_s: float = 0.0,
    probes: int = 0,
    probe_errors: int = 0,
    problem_from_s: float = 1e9,
    every_s: float = 5.0,
    **gate: Any,
) -> Progress:
    """Show *candidate* and *baseline* anew at every look until there is a verdict."""
    asked, shown = a_gate(**gate), Span()
    more = Span(candidate or Counts(), baseline or Counts())
    progress, at = gates.begin(asked, isoformat(EPOCH)), EPOCH
    while progress.verdict is None:
        passed_s = (at - EPOCH).total_seconds()
        seen = Observation(
            isoformat(at), "epoch", shown.candidate, shown.baseline,
            candidate_ready=passed_s >= ready_from_s, baseline_ready=True,
            probes=probes, probe_errors=probe_errors,
            problem="away" if passed_s >= problem_from_s else "",
        )  # fmt: skip
        progress = gates.judge(asked, progress, seen)
        shown, at = shown.plus(more), at + timedelta(seconds=every_s)
    return progress


def took_s(progress: Progress, verdict: Verdict, **gate: Any) -> float:
    assert progress.verdict is verdict, analyse(a_gate(**gate), progress, progress.window_at)
    return (_instant(progress.window_at) - EPOCH).total_seconds()


def _instant(text: str) -> Any:
    from shared.kernel.clock import parse_instant

    return parse_instant(text)


GOOD = served(20)


@pytest.mark.parametrize(
    ("candidate", "sentence"),
    [
        pytest.param(served(48, 1), "1 of 48 requests failed: too few to tell", id="chance"),
        pytest.param(served(4800, 100), "100 of 4800 requests failed; 2 bad", id="a-difference"),
        pytest.param(served(48), "0 of 48 requests failed; 2 good windows in a row", id="none"),
    ],
)
def test_errors_over_the_limit_that_chance_explains_are_said_to_be_too_few(
    candidate: Counts, sentence: str
) -> None:
    bad = Streak(bad=2) if candidate.errors > 1 else Streak(good=2)
    progress = Progress(
        isoformat(EPOCH), isoformat(EPOCH), total=Span(candidate, served(10_000, 0)),
        has_baseline=True, error_windows=bad,
    )  # fmt: skip
    errors = analyse(a_gate(), progress, isoformat(EPOCH))[1]

    assert errors.measure is Measure.ERROR_RATIO
    assert errors.reason.startswith(sentence)


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [pytest.param(9, Verdict.INCONCLUSIVE, id="more"), pytest.param(5, PASS, id="as-many")],
)
def test_good_windows_do_not_pass_what_all_of_them_together_have_of_errors(
    errors: int, verdict: Verdict
) -> None:
    """Each window may have too few requests to tell: 9 of 552 against none are no chance."""
    progress = Progress(
        isoformat(EPOCH), isoformat(EPOCH), total=Span(served(552, errors), served(507)),
        has_baseline=True, error_windows=Streak(good=2),
    )  # fmt: skip
    found = analyse(a_gate(), progress, isoformat(EPOCH))[1]

    assert found.verdict is verdict
    assert ("than chance explains" in found.reason) is (verdict is not PASS)


def test_a_slow_percentile_of_few_requests_is_said_to_be_too_few() -> None:
    latency = compare_latency(LIMITS, served(31, slow=2, slow_ms=5000.0), None)

    assert latency is not None
    assert latency.verdict is PASS
    assert latency.reason.endswith("2 of them slower than 800 ms: too few to tell")


def test_a_pass_takes_two_whole_windows() -> None:
    assert took_s(run(candidate=GOOD, baseline=GOOD), PASS) == 120


def test_readiness_must_last_a_window() -> None:
    progress = run(candidate=GOOD, baseline=GOOD, ready_from_s=100)

    assert progress.verdict is PASS
    assert progress.ready_since == isoformat(EPOCH + timedelta(seconds=100))


def test_a_slow_window_is_not_yet_a_verdict_two_in_a_row_are() -> None:
    progress = run(candidate=served(20, ms=200.0), baseline=GOOD)

    assert took_s(progress, FAIL) == 120
    assert progress.first_bad_at == isoformat(EPOCH)


def test_errors_that_chance_cannot_explain_fail_at_once() -> None:
    assert took_s(run(candidate=served(20, 10), baseline=GOOD), FAIL) == 0


@pytest.mark.parametrize(
    ("how", "measure"),
    [
        pytest.param({"ready_from_s": 1e9}, Measure.READINESS, id="never-ready"),
        pytest.param({"candidate": Counts()}, Measure.SAMPLES, id="no-samples"),
        pytest.param({"problem_from_s": 30}, Measure.SAMPLES, id="a-query-error"),
        pytest.param({"minSamples": 100_000}, Measure.SAMPLES, id="too-few-samples"),
    ],
)
def test_what_is_undecided_at_the_deadline_is_inconclusive(
    how: dict[str, Any], measure: Measure
) -> None:
    progress = run(**{"candidate": GOOD, "baseline": GOOD, **how})
    asked = a_gate(**({"minSamples": how["minSamples"]} if "minSamples" in how else {}))
    found = gate_evidence(asked, progress, asked.deadline_at)

    assert found.verdict is OPEN
    assert measure in {each.measure for each in found.analyses if each.verdict is OPEN}


@pytest.mark.parametrize(
    ("probes_count", "verdict"),
    [pytest.param(True, PASS, id="outside-prod"), pytest.param(False, OPEN, id="in-prod")],
)
def test_probes_are_samples_where_they_count(
    probes_count: bool, verdict: Verdict  # noqa: FBT001  the case
) -> None:  # fmt: skip
    assert run(probes=5, probesCount=probes_count, baseline=GOOD).verdict is verdict


def test_fifty_samples_are_enough_and_49_are_not() -> None:
    enough, short = (
        run(candidate=Counts(), probes=probes, every_s=50.0, probesCount=True, minSamples=50,
            deadlineAt=isoformat(EPOCH + timedelta(seconds=450)))
        for probes in (5, 4)
    )  # fmt: skip

    assert (enough.verdict, short.verdict) == (PASS, OPEN)


def test_failing_probes_fail_a_release_whose_traffic_is_well() -> None:
    progress = run(candidate=GOOD, baseline=GOOD, probes=5, probe_errors=2, probesCount=True)

    assert progress.verdict is FAIL


def test_a_look_that_saw_nothing_breaks_readiness_and_says_so() -> None:
    gate = a_gate()
    ready = Observation(isoformat(EPOCH), "e", GOOD, GOOD, candidate_ready=True)
    before = gates.judge(gate, gates.begin(gate, isoformat(EPOCH)), ready)
    blind = Observation(isoformat(EPOCH + timedelta(seconds=5)), problem="away")
    after = gates.judge(gate, before, blind)

    assert (before.ready_since, after.ready_since) == (isoformat(EPOCH), None)
    assert "away" in analyse(gate, after, blind.at)[0].reason


def test_a_verdict_is_final() -> None:
    progress = run(candidate=GOOD, baseline=GOOD)
    worse = Observation(isoformat(EPOCH), "e", served(10**6, 10**6), GOOD)

    assert gates.judge(a_gate(), progress, worse) is progress
