"""The rules alert as chapter 5 of the SRE Workbook says: when, for how long, and when not."""

import random  # noqa: TID251  a test's own seeded generator
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function_apps.health.model.burn_rates import burn_rules, is_raised, measure_burn
from function_apps.health.model.burn_samples import BurnSamples, Events
from shared.contracts.values import Severity
from tests.health.burning import SWEEP_S, Step, an_objective, serve
from tests.kit.virtual_time import EPOCH

HOUR, DAY = 3600.0, 86_400.0


def seconds(step: Step) -> float:
    return (step.at - EPOCH).total_seconds()


def first(steps: Iterator[Step], name: str, *, raised: bool = True) -> float | None:
    """Return when the alert *name* is first raised, or not raised any more; None for never."""
    return next((seconds(step) for step in steps if getattr(step, name) is raised), None)


def test_for_thirty_days_the_rules_are_those_of_the_table() -> None:
    rules = [
        (rule.severity.value, rule.long, rule.short, round(rule.factor, 6))
        for rule in burn_rules(timedelta(days=30))
    ]

    assert rules == [
        ("Critical", timedelta(hours=1), timedelta(minutes=5), 14.4),
        ("Critical", timedelta(hours=6), timedelta(minutes=30), 6.0),
        ("Warning", timedelta(days=1), timedelta(hours=2), 3.0),
        ("Warning", timedelta(days=3), timedelta(hours=6), 1.0),
    ]


@pytest.mark.parametrize(
    ("days", "factors"),
    [
        pytest.param(28, [13.44, 5.6, 2.8, 1.0], id="four-weeks"),
        pytest.param(7, [3.36, 1.4, 1.0], id="a-week-has-one-ticket-rule"),
        pytest.param(90, [43.2, 18.0, 9.0, 3.0], id="a-quarter"),
    ],
)
def test_other_periods_have_derived_factors_that_never_alert_a_budget_that_lasts(
    days: int, factors: list[float]
) -> None:
    rules = burn_rules(timedelta(days=days))

    assert [round(rule.factor, 6) for rule in rules] == factors


@pytest.mark.parametrize(
    ("error_ratio", "severity", "window_s", "factor"),
    [
        pytest.param(1.0, "page", HOUR, 14.4, id="all-fail: 52 s"),
        pytest.param(0.10, "page", HOUR, 14.4, id="ten-percent: 8 min 38 s"),
        pytest.param(0.02, "page", HOUR, 14.4, id="two-percent: 43 min 12 s"),
        pytest.param(0.008, "page", 6 * HOUR, 6.0, id="under-14.4: the six hours page"),
        pytest.param(0.005, "ticket", DAY, 3.0, id="under-6: a ticket after 14 h 24 min"),
        pytest.param(0.002, "ticket", 3 * DAY, 1.0, id="twice-the-budget: a ticket in 36 h"),
    ],
)
def test_an_outage_is_detected_when_the_closed_form_says(
    error_ratio: float, severity: str, window_s: float, factor: float
) -> None:
    """Detection = (1 - objective) / error ratio x window x factor."""
    expected_s = 0.001 / error_ratio * window_s * factor
    every_s = SWEEP_S if severity == "page" else 10 * SWEEP_S

    steps = serve(
        an_objective(),
        lambda _at_s: error_ratio,
        for_s=1.1 * expected_s + 2 * every_s,
        every_s=every_s,
    )
    detected_s = first(steps, severity)

    assert detected_s is not None
    assert expected_s <= detected_s + 1e-6
    assert detected_s <= expected_s * 1.002 + every_s


@pytest.mark.parametrize(
    ("error_ratio", "outage_s", "severity", "short_s", "factor"),
    [
        pytest.param(1.0, 60.0, "page", 300.0, 14.4, id="all-failed-for-a-minute: 5 min"),
        pytest.param(1.0, 600.0, "page", 1800.0, 6.0, id="all-failed-for-ten: the 6 h rule too"),
        pytest.param(0.05, 1200.0, "page", 300.0, 14.4, id="five-percent-for-20-min"),
        pytest.param(0.02, HOUR, "page", 300.0, 14.4, id="two-percent-for-an-hour"),
        pytest.param(0.008, 6 * HOUR, "page", 1800.0, 6.0, id="the-six-hours-end-in-half-an-hour"),
        pytest.param(0.005, 16 * HOUR, "ticket", 6 * HOUR, 1.0, id="a-ticket-for-16-h"),
    ],
)
def test_an_alert_ends_when_its_short_window_is_past_the_outage(
    error_ratio: float, outage_s: float, severity: str, short_s: float, factor: float
) -> None:
    """Reset = short window x (1 - 0.9 x factor x (1 - objective) / error ratio).

    The first one takes 5 min; a single window of an hour would stay over for 59.
    """
    expected_s = short_s * (1.0 - 0.9 * factor * 0.001 / error_ratio)
    every_s = SWEEP_S if severity == "page" else 10 * SWEEP_S

    steps = [
        *serve(
            an_objective(),
            lambda at_s: error_ratio if at_s < outage_s else 0.0,
            for_s=outage_s + 1.1 * short_s + every_s,
            every_s=every_s,
        )
    ]
    raised_s = first(iter(steps), severity)
    after = [step for step in steps if raised_s is not None and seconds(step) > raised_s]
    ended_s = first(iter(after), severity, raised=False)

    assert raised_s is not None
    assert raised_s <= outage_s
    assert ended_s is not None
    # A bucket is a fifth of the short window, and the one in which the outage ended is mixed.
    assert abs(ended_s - outage_s - expected_s) <= short_s * 0.1 + every_s


@pytest.mark.parametrize(
    ("error_ratio", "days"),
    [
        pytest.param(0.001, 10, id="a-budget-that-just-lasts-is-a-ticket-at-most"),
        pytest.param(0.0059, 2, id="under-six-times"),
    ],
)
def test_what_no_page_rule_is_over_never_pages(error_ratio: float, days: int) -> None:
    steps = serve(an_objective(), lambda _at_s: error_ratio, for_s=days * DAY, every_s=300.0)

    assert first(steps, "page") is None


def test_a_budget_that_lasts_raises_nothing() -> None:
    steps = [*serve(an_objective(), lambda _at_s: 0.0009, for_s=10 * DAY, every_s=300.0)]

    assert not any(step.page or step.ticket for step in steps)


def test_short_errors_within_the_budget_raise_nothing_all_day() -> None:
    """A single window of 10 min would alert each of these, up to 144 times a day."""
    steps = [
        *serve(
            an_objective(), lambda at_s: 0.0019 if at_s % 1200 < 600 else 0.0, for_s=DAY,
            every_s=60.0,
        )
    ]  # fmt: skip

    assert not any(step.page or step.ticket for step in steps)


def _alerts(steps: Sequence[Step], name: str) -> int:
    raised = [False, *(getattr(step, name) for step in steps)]
    return sum(after and not before for before, after in pairwise(raised))


@pytest.mark.parametrize("seed", range(3))
def test_errors_by_chance_within_the_budget_raise_nothing_in_a_week(seed: int) -> None:
    """Half of the budget, drawn request by request: no chance of 14.4 times it in an hour."""
    rng = random.Random(seed)

    steps = [
        *serve(
            an_objective(), lambda _at_s: 0.0005, for_s=7 * DAY, rate=5.0, every_s=300.0, rng=rng
        )
    ]

    assert (_alerts(steps, "page"), _alerts(steps, "ticket")) == (0, 0)


@pytest.mark.parametrize("seed", range(3))
def test_an_outage_at_the_limit_is_one_alert_and_not_many(seed: int) -> None:
    """Errors drawn around the factor itself: the burn rate goes up and down across it."""
    rng = random.Random(seed)

    steps = [*serve(an_objective(), lambda _at_s: 0.0060, for_s=DAY, every_s=60.0, rng=rng)]

    assert _alerts(steps, "page") == 1


def test_what_was_not_measured_neither_raises_nor_clears() -> None:
    objective = an_objective()
    windows = [rule.long for rule in burn_rules(objective.window)]
    at = EPOCH
    samples = BurnSamples(read_at=at)
    for _ in range(20):
        at += timedelta(seconds=30)
        samples = samples.plus(Events(100, 100), windows, at)
    later = at + timedelta(hours=2)

    burns = measure_burn(objective, samples, later)

    assert burns[0].long is None
    assert is_raised(burns, Severity.CRITICAL, was_raised=True)
    assert not is_raised(burns[:1], Severity.CRITICAL, was_raised=False)


def test_a_window_with_too_few_samples_is_not_measured() -> None:
    objective = an_objective(minSamples=50)
    windows = [rule.long for rule in burn_rules(objective.window)]
    at = EPOCH + timedelta(seconds=30)

    few = BurnSamples(read_at=EPOCH).plus(Events(49, 49), windows, at)
    enough = BurnSamples(read_at=EPOCH).plus(Events(50, 50), windows, at)

    assert [burn.long for burn in measure_burn(objective, few, at)] == [None] * 4
    assert [round(burn.long or 0) for burn in measure_burn(objective, enough, at)] == [1000] * 4


@given(
    counts=st.lists(
        st.tuples(st.integers(1, 7200), st.integers(0, 1000), st.integers(0, 1000)),
        min_size=1,
        max_size=40,
    )
)
def test_samples_are_of_bounded_size_and_lose_no_event_of_their_window(
    counts: list[tuple[int, int, int]],
) -> None:
    """Readings may come in any rhythm: within the longest window every event is counted once."""
    window, at = timedelta(days=3), EPOCH
    samples, total, bad = BurnSamples(read_at=at), 0, 0
    for elapsed_s, good, wrong in counts:
        at += timedelta(seconds=min(elapsed_s, 3 * DAY / 60))
        samples = samples.plus(Events(good + wrong, wrong), [window], at)
        total, bad = total + good + wrong, bad + wrong

    counted = samples.within(window, window, at)

    assert len(samples.rings["259200"].buckets) == 61
    assert counted.total == pytest.approx(total)
    assert counted.bad == pytest.approx(bad)
