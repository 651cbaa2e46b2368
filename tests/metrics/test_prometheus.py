"""Prometheus itself: what is measured of an hour that is known."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import pytest

from shared.contracts.metrics import Metric
from shared.kernel.clock import SystemClock
from shared.kernel.ids import EnvironmentId, ModuleId, TenantId
from shared.metrics.port import Measured, MetricsQuery, Missing, Stale, Subject, Unmeasurable
from shared.metrics.prometheus import PrometheusMetrics
from shared.metrics.provider_client import ProviderClient
from shared.surfaces.spec import SurfaceComponent
from shared.surfaces.traffic import Histogram
from tests.kit.prometheus import SCRAPE, History, prometheus

pytestmark = pytest.mark.real
__all__ = ["prometheus"]
OF_REVISION = 'module="{{component}}",revision="{{revision}}"'
REQUESTS = f"sum(increase(http_requests_total{{{OF_REVISION}}}[{{{{window}}}}]))"
ERRORS = f'sum(increase(http_requests_total{{{OF_REVISION},code="500"}}[{{{{window}}}}]))'
LATENCY = (
    f"sum by (le) (increase(http_request_duration_seconds_bucket{{{OF_REVISION}}}[{{{{window}}}}]))"
)


def metrics(history: History) -> PrometheusMetrics:
    return PrometheusMetrics(ProviderClient(history.url, SystemClock()), scrape_interval=SCRAPE)


def asked(
    history: History, text: str, metric: Metric = Metric.REQUESTS, *, module: str = "module-web",
    revision: int = 2, until: datetime | None = None, window: timedelta = timedelta(minutes=5),
) -> MetricsQuery:  # fmt: skip
    component = SurfaceComponent(
        EnvironmentId("env-aaaaaaaaaaaa"), TenantId("acme"), ModuleId(module)
    )
    until = until or history.half_at
    return MetricsQuery(metric, Subject(component, revision), until - window, until, text)


async def test_requests_errors_and_latency_of_a_revision_are_those_of_its_window(
    prometheus: History,
) -> None:
    queries = [
        asked(prometheus, REQUESTS), asked(prometheus, ERRORS, Metric.ERRORS),
        asked(prometheus, LATENCY, Metric.LATENCY),
    ]  # fmt: skip

    requests, errors, latency = await metrics(prometheus).measure(queries)

    assert isinstance(requests, Measured), requests
    assert requests.value == pytest.approx(3000, rel=0.01)
    assert isinstance(errors, Measured), errors
    assert errors.value == pytest.approx(3, rel=0.05)
    assert isinstance(latency, Measured), latency
    assert isinstance(latency.value, Histogram)
    assert latency.value.total == pytest.approx(3000, rel=0.01)
    assert latency.value.bounds_ms[:3] == (10, 25, 50)
    assert 25 < (latency.value.quantile_ms(0.95) or 0) <= 50


def average(kind: str) -> str:
    return f'sum(avg_over_time(odd{{kind="{kind}"}}[{{{{window}}}}]))'


NOTHING: Final[dict[str, tuple[str, str, type, str]]] = {
    "no-such-series": (REQUESTS, "module-none", Missing, "no series"),
    "a-gap": (REQUESTS, "module-gap", Unmeasurable, "parts of the window"),
    "nan": (average("nan"), "module-web", Unmeasurable, "NaN"),
    "infinite": (average("infinite"), "module-web", Unmeasurable, "Inf"),
    "negative": (average("negative"), "module-web", Unmeasurable, "negative"),
    "several-series": (
        "increase(http_requests_total[{{window}}])", "module-web", Unmeasurable, "6 series where",
    ),
    "a-range": ("http_requests_total[{{window}}]", "module-web", Unmeasurable, "matrix"),
    "no-promql": ("sum(increase(x{{window}}))", "module-web", Unmeasurable, "parse error"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "module", "kind", "reason"), NOTHING.values(), ids=NOTHING)
async def test_what_is_no_measurement_is_a_result_of_its_own(
    prometheus: History, text: str, module: str, kind: type, reason: str
) -> None:
    query = asked(
        prometheus, text, module=module, revision=1, window=timedelta(minutes=15),
        until=prometheus.half_at + timedelta(minutes=8),
    )  # fmt: skip

    (measured,) = await metrics(prometheus).measure([query])

    assert isinstance(measured, kind), measured
    assert reason in measured.reason


async def test_a_window_that_begins_after_a_gap_is_measured(prometheus: History) -> None:
    until = prometheus.half_at + timedelta(minutes=8)
    query = asked(
        prometheus, REQUESTS, module="module-gap", revision=1, until=until,
        window=timedelta(minutes=15),
    )  # fmt: skip

    (with_gap,) = await metrics(prometheus).measure([query])
    assert isinstance(with_gap, Unmeasurable), with_gap
    assert with_gap.covered_since is not None
    after = replace(query, since=with_gap.covered_since)
    (measured,) = await metrics(prometheus).measure([after])

    gap_ends_at = prometheus.half_at + timedelta(minutes=5)
    assert gap_ends_at <= with_gap.covered_since <= gap_ends_at + SCRAPE * 4
    assert isinstance(measured, Measured), measured


async def test_a_series_that_ended_in_the_window_is_stale(prometheus: History) -> None:
    until = prometheus.half_at + timedelta(minutes=3)
    query = asked(prometheus, REQUESTS, module="module-ended", revision=1, until=until)

    (measured,) = await metrics(prometheus).measure([query])

    assert isinstance(measured, Stale), measured
    assert abs(measured.at - prometheus.half_at) <= SCRAPE * 4


async def test_a_latency_query_without_all_its_buckets_measures_nothing(
    prometheus: History,
) -> None:
    texts = [
        f"sum(increase(http_request_duration_seconds_bucket{{{OF_REVISION}}}[{{{{window}}}}]))",
        LATENCY.replace(OF_REVISION, f'{OF_REVISION},le!="+Inf"'),
    ]

    results = await metrics(prometheus).measure(
        [asked(prometheus, text, Metric.LATENCY) for text in texts]
    )

    reasons = [each.reason for each in results if isinstance(each, Unmeasurable)]
    assert ["label le" in reasons[0], "le=+Inf" in reasons[1]] == [True, True], results
