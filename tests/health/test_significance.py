"""The two tests a gate rests on, beside sums over whole numbers."""

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function_apps.health.model.significance import (
    binomial_tail,
    chance_of_errors,
    chance_of_ratio,
)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 100))
def test_a_binomial_tail_is_the_sum_of_its_terms(successes: int, trials: int, percent: int) -> None:
    p = Fraction(percent, 100)
    exact = sum(
        comb(trials, count) * p**count * (1 - p) ** (trials - count)
        for count in range(successes, trials + 1)
    )

    assert binomial_tail(successes, trials, percent / 100) == pytest.approx(float(exact))


@given(st.integers(0, 30), st.integers(1, 30), st.integers(0, 30), st.integers(1, 30))
def test_the_chance_of_errors_counts_the_ways_to_share_them(
    errors: int, requests: int, other_errors: int, others: int
) -> None:
    errors, other_errors = min(errors, requests), min(other_errors, others)
    all_errors, total = errors + other_errors, requests + others
    ways = sum(
        comb(all_errors, count) * comb(total - all_errors, requests - count)
        for count in range(errors, min(requests, all_errors) + 1)
    )
    exact = Fraction(ways, comb(total, requests)) if errors else Fraction(1)

    found = chance_of_errors(errors, requests, other_errors, others)

    assert found == pytest.approx(float(exact))


@pytest.mark.parametrize(
    ("successes", "trials", "probability", "chance"),
    [
        # By summing every term, each from its logarithm.
        pytest.param(260, 20_000, 0.01, 2.51496e-5, id="far-beyond-the-mean"),
        pytest.param(200, 20_000, 0.01, 0.509545, id="at-the-mean"),
        pytest.param(9_000, 1_000_000, 0.01, 1.0, id="far-below-the-mean"),
    ],
)
def test_many_trials_are_counted_like_few(
    successes: int, trials: int, probability: float, chance: float
) -> None:
    assert binomial_tail(successes, trials, probability) == pytest.approx(chance, rel=1e-5)


def test_nothing_asked_says_nothing() -> None:
    assert chance_of_ratio(0, 0, 0.01) == 1.0
    assert chance_of_errors(0, 0, 5, 10) == 1.0
