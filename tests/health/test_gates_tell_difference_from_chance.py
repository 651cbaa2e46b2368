"""A/A: equal releases never fail. A/B: twice as slow, or 5 % errors, fail at least 95 in 100."""

import pytest

from tests.health.traffic import run_rollout

ROLLOUTS = 50


@pytest.mark.parametrize("rate", [15.0, 60.0])
def test_fifty_rollouts_of_equal_releases_have_no_fail(rate: float) -> None:
    verdicts = [run_rollout(seed, rate=rate) for seed in range(ROLLOUTS)]

    assert [seed for seed, each in enumerate(verdicts) if "Fail" in each] == []


def test_equal_releases_that_both_have_some_errors_have_no_fail() -> None:
    verdicts = [
        run_rollout(seed, baseline_errors=0.005, error_ratio=0.005) for seed in range(ROLLOUTS)
    ]

    assert all("Fail" not in each for each in verdicts)


@pytest.mark.parametrize(
    "worse",
    [
        pytest.param({"median_ms": 80.0}, id="twice-as-slow"),
        pytest.param({"error_ratio": 0.05}, id="five-percent-errors"),
    ],
)
def test_a_worse_release_fails_at_least_95_times_in_100(worse: dict[str, float]) -> None:
    failed = sum("Fail" in run_rollout(1000 + seed, **worse) for seed in range(ROLLOUTS))

    assert failed >= 0.95 * ROLLOUTS
