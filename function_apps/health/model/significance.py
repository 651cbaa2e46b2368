"""The two statistical tests of a gate: one-sided, at 95 %, pure arithmetic on counts.

A gate compares samples, so equal versions differ by chance. A difference counts when it is large
enough to matter (the limits) and too large for chance (these tests).
"""

import math
from typing import Final

SIGNIFICANCE: Final = 0.05
IMMEDIATE_FAIL_P: Final = 0.0001
"""A gate is judged at each of many observations, so one alone decides at this probability only."""
DOUBTFUL_P: Final = 0.01
"""No windows pass a gate while chance gives so many errors in all of it at most so often."""
_NEGLIGIBLE: Final = 1e-17


def binomial_tail(successes: int, trials: int, probability: float) -> float:
    """Return P(X >= *successes*) of *trials* at *probability* each, exactly.

    The terms fall off on both sides of the mean, so few of them are added.
    """
    if successes <= 0:
        return 1.0
    if successes > trials or probability <= 0.0:
        return 0.0
    if probability >= 1.0:
        return 1.0
    if successes > trials * probability:
        return min(1.0, _terms(successes, trials, probability))
    return max(0.0, 1.0 - _terms(trials - successes + 1, trials, 1.0 - probability))


def _terms(first: int, trials: int, probability: float) -> float:
    """Return the sum of the binomial terms from *first*, beyond the mean, until they vanish."""
    log_term = _log_choose(trials, first)
    log_term += first * math.log(probability) + (trials - first) * math.log1p(-probability)
    term, odds = math.exp(log_term), probability / (1.0 - probability)
    total = term
    for count in range(first, trials):
        term *= (trials - count) / (count + 1) * odds
        total += term
        if term < total * _NEGLIGIBLE:
            break
    return total


def chance_of_errors(
    errors: int, requests: int, baseline_errors: int, baseline_requests: int
) -> float:
    """Return how likely chance puts at least so many of all errors into the first group.

    Fisher's exact test, one-sided. 1.0 where there is nothing to compare.
    """
    total, all_errors = requests + baseline_requests, errors + baseline_errors
    if not requests or not baseline_requests or not errors:
        return 1.0
    most = min(requests, all_errors)
    denominator = _log_choose(total, requests)
    return math.fsum(
        math.exp(
            _log_choose(all_errors, count)
            + _log_choose(total - all_errors, requests - count)
            - denominator
        )
        for count in range(errors, most + 1)
        if requests - count <= total - all_errors
    )


def chance_of_ratio(errors: int, requests: int, limit: float) -> float:
    """Return how likely chance gives so many errors when the true ratio is *limit*."""
    return binomial_tail(errors, requests, limit) if requests else 1.0


def quantile_above(slower: int, requests: int, fraction: float) -> bool:
    """Return whether the *fraction* quantile is above a limit that *slower* requests exceeded.

    If the quantile were at the limit, each request would exceed it with 1 - *fraction*.
    """
    return binomial_tail(slower, requests, 1.0 - fraction) < SIGNIFICANCE


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
