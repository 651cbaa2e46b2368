"""A/A: equal releases never fail. A/B: twice as slow, or 5 % errors, fail at least 95 in 100."""

import pytest

from tests.health.traffic import run_rollout

ROLLOUTS = 50
LONG = pytest.mark.long


@pytest.mark.parametrize(
    ("rate", "both"),
    [
        pytest.param(60.0, {}, id="sixty-a-second", marks=LONG),
        pytest.param(15.0, {}, id="fifteen-a-second"),
        pytest.param(3.0, {}, id="three-a-second", marks=LONG),
        pytest.param(0.5, {}, id="one-in-two-seconds", marks=LONG),
        pytest.param(15.0, {"error_ratio": 0.005}, id="with-some-errors", marks=LONG),
        pytest.param(15.0, {"error_ratio": 0.008}, id="with-errors-near-the-limit", marks=LONG),
        pytest.param(15.0, {"spread": 1.2}, id="with-a-heavy-tail", marks=LONG),
        pytest.param(3.0, {"spread": 1.2}, id="with-a-heavy-tail-and-little-traffic", marks=LONG),
        pytest.param(15.0, {"median_ms": 4.0}, id="of-a-few-milliseconds", marks=LONG),
    ],
)
def test_fifty_rollouts_of_equal_releases_have_no_fail(rate: float, both: dict[str, float]) -> None:
    verdicts = [run_rollout(seed, rate=rate, both=both) for seed in range(ROLLOUTS)]

    assert [seed for seed, each in enumerate(verdicts) if "Fail" in each] == []


@pytest.mark.parametrize(
    "worse",
    [
        pytest.param({"median_ms": 80.0}, id="twice-as-slow"),
        pytest.param({"error_ratio": 0.05}, id="five-percent-errors"),
        pytest.param({"median_ms": 80.0, "rate": 6.0}, id="twice-as-slow-with-little-traffic"),
        pytest.param({"error_ratio": 0.05, "rate": 6.0}, id="five-percent-with-little-traffic"),
    ],
)
def test_a_worse_release_fails_at_least_95_times_in_100(worse: dict[str, float]) -> None:
    failed = sum("Fail" in run_rollout(1000 + seed, **worse) for seed in range(ROLLOUTS))

    assert failed >= 0.95 * ROLLOUTS


def test_a_release_with_little_traffic_does_not_pass_unjudged() -> None:
    assert run_rollout(1, rate=0.2)[0] == "Inconclusive"
