"""The events that count for an objective, and the windows that a provider measures."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from function_apps.health.model.burn_rates import Burn, burn_rules
from function_apps.health.model.burn_samples import BurnSamples, CountedEvents, Events
from function_apps.health.model.gate_samples import Counts, Progress
from function_apps.health.model.measured_windows import (
    covered_since,
    due_window,
    window_counts,
    window_queries,
)
from function_apps.health.model.objective import (
    Objective,
    begin_counting,
    count_measured,
    count_probes,
    count_requests,
    set_objective,
)
from shared.contracts.gate_metrics import GateMetrics
from shared.contracts.gates import Unmeasured
from shared.contracts.health import SetObjective
from shared.contracts.metrics import Metric, MetricSource
from shared.kernel.clock import isoformat
from shared.metrics.port import (
    Measured,
    Measurement,
    MetricsQuery,
    Missing,
    Resolution,
    Subject,
    Unmeasurable,
)
from shared.surfaces.traffic import LATENCY_BOUNDS_MS, Histogram, RevisionTraffic, TrafficSample
from tests.health.burning import an_objective
from tests.health.traffic import a_gate
from tests.kit.told import component_of
from tests.kit.virtual_time import EPOCH

NOW: Final = EPOCH + timedelta(days=3)
ERRORS: Final = an_objective()
SLOW: Final = an_objective(sli="latency", latencyMsMax=100.0)
PROBES: Final = an_objective(sli="probes")
PROVIDER: Final = {
    "source": "prometheus",
    "requests": "requests[{{window}}]",
    "errors": "errors[{{window}}]",
}


def histogram(**counts: int) -> Histogram:
    """Return so many requests at most `ms10` and `ms200`, and `above` all bounds."""
    buckets = [0] * (len(LATENCY_BOUNDS_MS) + 1)
    for name, count in counts.items():
        limit = float(name.removeprefix("ms")) if name != "above" else float("inf")
        place = next((i for i, bound in enumerate(LATENCY_BOUNDS_MS) if bound >= limit), -1)
        buckets[place] += count
    return Histogram(LATENCY_BOUNDS_MS, tuple(buckets))


def of(content: SetObjective, **changes: Any) -> Objective:
    return Objective("svc-1", content, **changes)


def counted(samples: BurnSamples) -> Events:
    """Return all events that *samples* have."""
    rule = burn_rules(ERRORS.window)[0]
    return samples.within(rule.long, rule.long, NOW)


def test_an_objective_that_is_set_again_is_news_where_it_says_something_else() -> None:
    first = set_objective(None, "svc-1", ERRORS)

    assert first == of(ERRORS, revision=1)
    assert set_objective(first, "svc-1", an_objective()) is None
    assert set_objective(first, "svc-1", PROBES) == of(PROBES, revision=2)


def test_what_is_measured_is_named_by_its_kind_its_limit_and_its_queries() -> None:
    asked = an_objective(metrics=PROVIDER)
    others = an_objective(metrics={**PROVIDER, "errors": "other[{{window}}]"})

    assert [of(each).measure for each in (ERRORS, SLOW, PROBES)] == [
        "availability", "latency 100 ms", "probes",
    ]  # fmt: skip
    assert of(an_objective(objective=0.9)).measure == of(ERRORS).measure
    assert of(an_objective(metrics={"source": "surface"})).measure == of(ERRORS).measure
    assert of(asked).measure.startswith("availability by ")
    assert of(asked).measure == of(an_objective(metrics=PROVIDER)).measure
    assert of(asked).measure != of(others).measure


SAMPLES: Final = BurnSamples("availability", EPOCH, problem="the provider is away")


def test_samples_of_something_else_say_nothing() -> None:
    rings = count_measured(of(ERRORS), BurnSamples("availability"), Counts(100, 1), NOW)
    burns, none = of(ERRORS).burns(rings, NOW), of(PROBES).burns(rings, NOW)

    assert [each.long is None for each in burns] == [False] * len(burns)
    assert [each.long for each in none] == [None] * len(burns)
    assert of(ERRORS).why_unmeasured(SAMPLES) == "the provider is away"
    assert of(PROBES).why_unmeasured(SAMPLES) == ""


def test_rates_with_both_windows_are_told_and_the_others_as_not_measured() -> None:
    rule = burn_rules(ERRORS.window)[0]
    whole, long, short, none = (
        Burn(rule, *rates)
        for rates in ((1.23456, 0.00049), (1.23456, None), (None, 1.23456), (None, None))
    )

    rates = of(ERRORS).burn_rates([whole, long, short, none])
    others = of(ERRORS).unmeasured([whole, long, short, none])

    assert [(each.long, each.short) for each in rates] == [(1.235, 0.0)]
    assert [(each.long, each.short) for each in others] == [
        (1.235, None), (None, 1.235), (None, None),
    ]  # fmt: skip
    for each in (*rates, *others):
        assert (each.sli, each.long_window, each.short_window) == (
            "availability", rule.long, rule.short,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("statuses", "total", "bad"),
    [
        pytest.param(["Healthy", "Unhealthy"], 2, 1, id="one-that-fails"),
        pytest.param(["Degraded", "Unknown"], 2, 0, id="what-does-not-fail"),
        pytest.param([], 1, 1, id="no-instance-to-ask-is-bad"),
    ],
)
def test_probes_count_by_instance(statuses: list[str], total: int, bad: int) -> None:
    checks = [{"status": each} for each in statuses]

    samples = count_probes(of(PROBES), SAMPLES, checks, NOW)

    assert (samples.measure, samples.read_at, samples.problem) == ("probes", NOW, "")
    assert counted(samples) == Events(total, bad)


def traffic(requests: int, errors: int, latency: Histogram) -> TrafficSample:
    counters = RevisionTraffic(requests, {"5xx": errors}, 0, 0, latency)
    return TrafficSample(NOW, "epoch", {1: counters})


@pytest.mark.parametrize(
    ("content", "more"),
    [
        pytest.param(ERRORS, Events(10, 2), id="errors"),
        pytest.param(SLOW, Events(12, 7), id="slow-requests"),
    ],
)
def test_requests_count_since_the_last_reading_and_none_at_the_first(
    content: SetObjective, more: Events
) -> None:
    before = traffic(90, 1, histogram(ms10=90))
    now = traffic(100, 3, histogram(ms10=95, ms200=4, above=3))
    first = count_requests(of(content), BurnSamples("other", EPOCH), before, EPOCH)

    second = count_requests(of(content), first, now, NOW)

    assert (first.measure, first.rings != {}, second.read_at) == (of(content).measure, True, NOW)
    assert first.counters is not None
    assert first.counters.epoch == "epoch"
    increase = (second.counters or CountedEvents()).since(first.counters)
    assert increase == more


def test_counting_begins_now_and_goes_on_where_it_has_begun() -> None:
    begun = begin_counting(of(ERRORS), BurnSamples("availability"), NOW)

    assert begun == BurnSamples("availability", NOW)
    assert begin_counting(of(ERRORS), SAMPLES, NOW) is SAMPLES
    assert begin_counting(of(PROBES), SAMPLES, NOW) == BurnSamples("probes", NOW)


@pytest.mark.parametrize(
    ("content", "events"),
    [
        pytest.param(ERRORS, Events(10, 2), id="errors"),
        pytest.param(SLOW, Events(8, 3), id="slow-requests-of-the-histogram"),
    ],
)
def test_what_a_provider_measured_counts_by_its_kind(content: SetObjective, events: Events) -> None:
    counts = Counts(10, 2, {"20": 5, str(len(LATENCY_BOUNDS_MS)): 3})

    assert counted(count_measured(of(content), BurnSamples(), counts, NOW)) == events


def seconds(moment: datetime | None) -> float | None:
    return None if moment is None else (moment - EPOCH).total_seconds()


@pytest.mark.parametrize(
    ("measured_s", "now_s", "resolution", "window"),
    [
        pytest.param(None, 59, Resolution(), None, id="too-short"),
        pytest.param(None, 60, Resolution(), (0, 60), id="as-long-as-a-window"),
        pytest.param(60, 130, Resolution(), (60, 130), id="after-the-last-one"),
        pytest.param(60, 119, Resolution(), None, id="not-over-yet"),
        pytest.param(None, 89, Resolution(delay=timedelta(seconds=30)), None, id="not-complete"),
        pytest.param(None, 90, Resolution(delay=timedelta(seconds=30)), (0, 60), id="complete"),
        pytest.param(50, 200, Resolution(grain=timedelta(seconds=60)), (60, 180), id="in-grains"),
        pytest.param(60, 130, Resolution(grain=timedelta(seconds=60)), (60, 120), id="at-a-grain"),
        pytest.param(None, 89, Resolution(window_least=timedelta(seconds=90)), None,
                     id="too-short-for-its-provider"),
        pytest.param(None, 90, Resolution(window_least=timedelta(seconds=90)), (0, 90),
                     id="long-enough-for-it"),
    ],
)  # fmt: skip
def test_a_window_is_due_when_it_is_complete_and_long_enough(
    measured_s: float | None, now_s: float, resolution: Resolution, window: Any
) -> None:
    began = isoformat(EPOCH)
    measured = None if measured_s is None else isoformat(EPOCH + timedelta(seconds=measured_s))
    progress = replace(Progress(began, began), measured_at=measured)

    found = due_window(a_gate(), progress, EPOCH + timedelta(seconds=now_s), resolution)

    assert (found and tuple(map(seconds, found))) == window


AZURE: Final = GateMetrics.model_validate(
    {
        "source": "azureMonitor", "requests": "Requests | Total", "errors": "Errors | Total",
        "resource": f"/subscriptions/{'0' * 36}/resourceGroups/g/providers/Microsoft.App/web",
        "namespace": "Microsoft.App/containerApps",
    }
)  # fmt: skip
WITH_LATENCY: Final = GateMetrics.model_validate(
    {**PROVIDER, "latency": "latency[{{window}}]", "latencyUnit": "ms"}
)


def test_each_figure_is_asked_for_with_its_own_query() -> None:
    subject = Subject(component_of(), 2)

    azure = window_queries(AZURE, subject, EPOCH, NOW)
    latency = window_queries(WITH_LATENCY, subject, EPOCH, NOW)[Metric.LATENCY]

    assert [*azure] == [Metric.REQUESTS, Metric.ERRORS]
    assert azure[Metric.ERRORS] == MetricsQuery(
        Metric.ERRORS, subject, EPOCH, NOW, "Errors | Total", 1000.0,
        resource=AZURE.resource or "", namespace="Microsoft.App/containerApps",
    )  # fmt: skip
    assert latency == MetricsQuery(Metric.LATENCY, subject, EPOCH, NOW, "latency[{{window}}]", 1.0)


def measured(value: float | Histogram) -> Measured:
    return Measured(value, NOW, "as asked")


def counts_of(
    requests: float, errors: float, latency: Histogram | None = None
) -> Counts | tuple[Unmeasured, ...]:
    found: dict[Metric, Measurement] = {
        Metric.REQUESTS: measured(requests), Metric.ERRORS: measured(errors),
    }  # fmt: skip
    if latency is not None:
        found[Metric.LATENCY] = measured(latency)
    return window_counts(WITH_LATENCY, 2, found)


@pytest.mark.parametrize(
    ("requests", "errors", "counts"),
    [
        pytest.param(99.6, 1.4, Counts(100, 1), id="rounded"),
        pytest.param(100.0, 122.0, Counts(100, 100), id="no-more-errors-than-requests"),
        pytest.param(0.0, 2.0, Counts(0, 0), id="an-extrapolation"),
        pytest.param(0.0, 0.0, Counts(0, 0), id="nothing"),
    ],
)
def test_figures_of_a_window_are_rounded_to_counts(
    requests: float, errors: float, counts: Counts
) -> None:
    assert counts_of(requests, errors) == counts


@pytest.mark.parametrize(
    ("requests", "errors", "latency", "metric"),
    [
        pytest.param(100.0, 122.1, None, Metric.ERRORS, id="more-errors-than-a-fifth-more"),
        pytest.param(0.0, 2.1, None, Metric.ERRORS, id="errors-without-requests"),
        pytest.param(100.0, 0.0, histogram(ms10=121), Metric.LATENCY, id="too-many-of-them"),
        pytest.param(100.0, 0.0, histogram(ms10=79), Metric.LATENCY, id="too-few-of-them"),
        pytest.param(0.0, 0.0, histogram(ms10=3), Metric.LATENCY, id="latency-without-requests"),
    ],
)
def test_figures_that_contradict_each_other_measure_nothing(
    requests: float, errors: float, latency: Histogram | None, metric: Metric
) -> None:
    found = counts_of(requests, errors, latency)

    assert isinstance(found, tuple)
    assert [(each.metric, each.revision, each.query) for each in found] == [(metric, 2, "as asked")]
    assert found[0].source is MetricSource.PROMETHEUS
    assert "not about the same" in found[0].cause


@pytest.mark.parametrize(
    ("requests", "total"), [(100.0, 120), (100.0, 80), (0.0, 2)], ids=["more", "fewer", "none"]
)
def test_a_histogram_may_have_a_fifth_more_or_fewer(requests: float, total: int) -> None:
    found = counts_of(requests, 0.0, histogram(ms10=total - 1, above=1))

    assert isinstance(found, Counts)
    assert sum(found.latency.values()) == total
    assert found.latency[str(len(LATENCY_BOUNDS_MS))] == 1


def test_each_figure_that_is_missing_is_named_with_its_cause() -> None:
    missing = Missing("no such series", "q" * 5000)
    away = Unmeasurable("the source is away: " + "x" * 600, query="asked")

    found = window_counts(WITH_LATENCY, 3, {
        Metric.REQUESTS: measured(1.0), Metric.ERRORS: missing, Metric.LATENCY: away,
    })  # fmt: skip

    assert isinstance(found, tuple)
    assert [(each.metric, each.revision) for each in found] == [
        (Metric.ERRORS, 3), (Metric.LATENCY, 3),
    ]  # fmt: skip
    assert (found[0].cause, found[1].query) == ("no such series", "asked")
    assert len(found[0].query) < 5000
    assert found[1].cause == away.reason[:500]


def test_what_is_missing_for_good_ends_with_the_latest_gap() -> None:
    early, late = EPOCH + timedelta(seconds=5), EPOCH + timedelta(seconds=9)
    gaps = [Unmeasurable("a gap", covered_since=each) for each in (late, early, None)]

    assert covered_since([measured(1.0), *gaps, Missing("none")]) == late
    assert covered_since([measured(1.0), gaps[2]]) is None
