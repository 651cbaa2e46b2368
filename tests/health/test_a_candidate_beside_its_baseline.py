"""Errors and latency of a candidate beside its baseline, or beside the limits alone."""

from typing import Any

import pytest

from function_apps.health.model.baseline_comparison import (
    ErrorComparison,
    compare_errors,
    compare_latency,
    slower_than,
    usable_baseline,
)
from function_apps.health.model.gate_samples import Counts, Span
from function_apps.health.model.significance import chance_of_errors, chance_of_ratio
from shared.contracts.gates import GateLimits, Verdict
from shared.surfaces.traffic import LATENCY_BOUNDS_MS, Histogram
from tests.health.traffic import a_gate

PASS, FAIL = Verdict.PASS, Verdict.FAIL


def served(requests: int, errors: int = 0, *, ms: float = 40.0, slow: int = 0) -> Counts:
    """Return requests of the bucket of *ms*, and *slow* ones above all buckets."""
    bucket = next(i for i, bound in enumerate(LATENCY_BOUNDS_MS) if bound >= ms)
    latency = {str(bucket): requests - slow, str(len(LATENCY_BOUNDS_MS)): slow}
    return Counts(requests, errors, {name: count for name, count in latency.items() if count})


@pytest.mark.parametrize(
    ("baseline", "is_used"),
    [
        pytest.param(served(19, ms=900.0), True, id="slow-but-too-few-requests-to-say-so"),
        pytest.param(served(20, ms=900.0), False, id="slow-with-enough-requests"),
        pytest.param(served(100, 1), True, id="as-many-errors-as-the-limit"),
        pytest.param(served(99, 1), False, id="more-errors-than-the-limit"),
        pytest.param(Counts(100), True, id="its-latency-is-not-measured"),
    ],
)
def test_a_baseline_that_breaks_a_limit_itself_excuses_nothing(
    baseline: Counts, *, is_used: bool
) -> None:
    found = usable_baseline(a_gate(), baseline, is_there=True)

    assert found == (baseline if is_used else None)


def test_a_baseline_as_slow_as_the_limit_is_used() -> None:
    baseline = served(1000)
    p95_ms = baseline.histogram().quantile_ms(0.95)
    at_limit, above = (a_gate(limits={"p95MsMax": p95_ms - less}) for less in (0.0, 0.001))

    assert usable_baseline(at_limit, baseline, is_there=True) == baseline
    assert usable_baseline(above, baseline, is_there=True) is None


def test_a_first_release_has_no_baseline_whatever_is_there() -> None:
    assert usable_baseline(a_gate(baseline=None), served(1000), is_there=True) is None


def comparison(**changes: Any) -> ErrorComparison:
    given = {"errors": 3, "total": 100, "limit": 0.01, "chance": 0.01, **changes}
    return ErrorComparison("requests", baseline=None, **given)


@pytest.mark.parametrize(
    ("found", "is_over", "is_bad"),
    [
        pytest.param(comparison(), True, True, id="over-the-limit-and-no-chance"),
        pytest.param(comparison(errors=2), False, False, id="two-errors"),
        pytest.param(comparison(limit=0.03), False, False, id="a-tie"),
        pytest.param(comparison(chance=0.05), True, False, id="as-likely-as-significance"),
        pytest.param(comparison(chance=0.049), True, True, id="less-likely"),
        pytest.param(comparison(limit=0.5), False, False, id="unlikely-but-under-the-limit"),
    ],
)
def test_errors_are_bad_beyond_their_limit_and_beyond_chance(
    found: ErrorComparison, *, is_over: bool, is_bad: bool
) -> None:
    assert (found.is_over, found.is_bad) == (is_over, is_bad)


BESIDE = ErrorComparison("requests", 9, 300, 0.01 + 0.005, 0.01, chance_of_errors(9, 300, 4, 400))
ALONE = ErrorComparison("requests", 9, 300, 0.01, None, chance_of_ratio(9, 300, 0.01))
PROBED = ErrorComparison("probes", 2, 50, 0.01, None, chance_of_ratio(2, 50, 0.01))


@pytest.mark.parametrize(
    ("requests", "baseline", "probes", "probes_count", "found"),
    [
        pytest.param(300, served(400, 4), 0, True, [BESIDE], id="beside-the-baseline"),
        pytest.param(300, None, 0, True, [ALONE], id="without-one"),
        pytest.param(300, Counts(), 0, True, [ALONE], id="one-without-traffic"),
        pytest.param(300, None, 50, True, [ALONE, PROBED], id="with-probes"),
        pytest.param(300, served(400, 4), 50, True, [BESIDE, PROBED],
                     id="probes-have-no-baseline"),
        pytest.param(300, None, 50, False, [ALONE], id="probes-that-do-not-count"),
        pytest.param(0, served(400, 4), 50, True, [PROBED], id="probes-alone"),
        pytest.param(0, served(400, 4), 0, True, [], id="nothing"),
    ],
)  # fmt: skip
def test_requests_are_held_to_the_baseline_and_probes_to_the_absolute_limit(
    requests: int, baseline: Counts | None, probes: int, *, probes_count: bool, found: Any
) -> None:
    candidate = Counts(requests, 9 if requests else 0)
    span = Span(candidate, probes=probes, probe_errors=2 if probes else 0)

    assert compare_errors(a_gate(probesCount=probes_count), span, baseline) == found


@pytest.mark.parametrize(
    ("old_ms", "limit"),
    [
        pytest.param(20.0, "20 ms more", id="a-fast-one-may-be-slower-by-milliseconds"),
        pytest.param(400.0, "a quarter more", id="a-slow-one-by-a-part"),
    ],
)
def test_the_limit_of_latency_is_the_wider_of_both_margins(old_ms: float, limit: str) -> None:
    old = served(500, ms=old_ms)
    old_p95 = old.histogram().quantile_ms(0.95)
    assert old_p95 is not None

    found = compare_latency(GateLimits(), served(500, ms=old_ms), old)

    assert found is not None
    assert (found.value, found.baseline, found.unit) == (round(old_p95, 1),) * 2 + ("ms",)
    wider = {"20 ms more": old_p95 + 20.0, "a quarter more": old_p95 * 1.25}[limit]
    assert found.threshold == round(wider, 1)
    assert found.reason == "p95 of 500 requests in one window"


def test_without_a_baseline_latency_is_held_to_the_absolute_limit() -> None:
    found = compare_latency(GateLimits(), served(500), served(19))

    assert found is not None
    assert (found.baseline, found.threshold, found.verdict) == (None, 800.0, PASS)


@pytest.mark.parametrize(
    ("candidate", "baseline"),
    [
        pytest.param(Counts(500), None, id="without-a-baseline"),
        pytest.param(Counts(500), served(500), id="beside-a-baseline"),
    ],
)
def test_a_latency_that_nobody_measured_is_not_judged(
    candidate: Counts, baseline: Counts | None
) -> None:
    assert compare_latency(GateLimits(), candidate, baseline) is None


def test_beside_a_baseline_of_unknown_latency_the_absolute_limit_holds() -> None:
    found = compare_latency(GateLimits(), served(500), Counts(500))

    assert found is not None
    assert (found.baseline, found.threshold) == (None, 800.0)


@pytest.mark.parametrize(
    ("slow", "verdict", "words"),
    [
        pytest.param(4, PASS, ", 4 of them slower than 800 ms: too few to tell", id="by-chance"),
        pytest.param(5, FAIL, "", id="more-than-chance"),
        pytest.param(1, PASS, "", id="fewer-than-the-limit-lets"),
    ],
)
def test_a_percentile_fails_where_chance_does_not_explain_the_slow_requests(
    slow: int, verdict: Verdict, words: str
) -> None:
    found = compare_latency(GateLimits(), served(40, slow=slow), None)

    assert found is not None
    assert (found.verdict, found.reason) == (verdict, f"p95 of 40 requests in one window{words}")


@pytest.mark.parametrize(
    ("limit_ms", "slower"),
    [
        pytest.param(0.0, 17.0, id="all"),
        pytest.param(10.0, 13.0, id="from-the-bound-of-a-bucket-on"),
        pytest.param(15.0, 9.0, id="half-of-a-bucket"),
        pytest.param(20.0, 5.0, id="above-the-last-bound"),
        pytest.param(1e6, 5.0, id="how-slow-those-were-is-not-known"),
    ],
)
def test_requests_of_a_bucket_are_spread_evenly_in_it(limit_ms: float, slower: float) -> None:
    histogram = Histogram((10.0, 20.0), (4, 8, 5))

    assert slower_than(histogram, limit_ms) == slower
