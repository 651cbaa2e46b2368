"""Latencies and counts, as gates read them."""

from dataclasses import replace

import pytest

from local_agent.envoy_config import parse_cluster_name
from shared.surfaces import envoy_counters
from shared.surfaces.traffic import (
    LATENCY_BOUNDS_MS,
    NO_TRAFFIC,
    Histogram,
    TrafficSample,
)
from tests.kit.memory_cluster import Counter
from tests.kit.virtual_time import EPOCH

ENVOY_TEXT = """\
# TYPE envoy_cluster_upstream_rq_xx counter
envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="svc-a-b-r7"} 90
envoy_cluster_upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name="svc-a-b-r7"} 10
envoy_cluster_upstream_rq_retry{envoy_cluster_name="svc-a-b-r7"} 4
envoy_cluster_upstream_cx_connect_fail{envoy_cluster_name="svc-a-b-r7"} 3
envoy_cluster_upstream_rq_rx_reset{envoy_cluster_name="svc-a-b-r7"} 2
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="svc-a-b-r7",le="0.5"} 0
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="svc-a-b-r7",le="6.0999999999999996447286"} 60
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="svc-a-b-r7",le="+Inf"} 100
envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="other"} 5
"""  # noqa: E501  as Envoy writes it


def _revision(cluster: str) -> int | None:
    parsed = parse_cluster_name(cluster)
    return parsed[1] if parsed else None


def _counted(*latencies_ms: float, errors: int = 0) -> Counter:
    counter = Counter()
    for number, latency_ms in enumerate(latencies_ms):
        counter.add(latency_ms=latency_ms, is_error=number < errors)
    return counter


@pytest.mark.parametrize("fraction", [0.5, 0.95, 0.99])
def test_a_quantile_is_within_ten_percent(fraction: float) -> None:
    latencies = [float(n) for n in range(1, 1001)]

    quantile = _counted(*latencies).snapshot().latency.quantile_ms(fraction)

    assert quantile == pytest.approx(1000 * fraction, rel=0.1)


def test_without_requests_there_is_no_quantile() -> None:
    assert NO_TRAFFIC.latency.quantile_ms(0.5) is None


def test_a_latency_above_all_bounds_counts_as_the_highest() -> None:
    assert _counted(10**9).snapshot().latency.quantile_ms(0.5) == LATENCY_BOUNDS_MS[-1]


def test_a_sample_is_the_difference_of_two_readings() -> None:
    counter = _counted(10, 20, errors=1)
    before = TrafficSample(EPOCH, "first", {1: counter.snapshot()})
    for latency_ms in (30, 40, 50):
        counter.add(latency_ms=latency_ms, is_error=False)
    after = TrafficSample(EPOCH, "first", {1: counter.snapshot(), 2: _counted(5).snapshot()})

    since = after.since(before)

    assert (since[1].requests, since[1].errors, since[1].latency.total) == (3, 0, 3)
    assert since[2].requests == 1


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"epoch": "second"}, id="the-traffic-layer-started-anew"),
        pytest.param({}, id="the-revision-was-away"),
    ],
)
def test_counters_that_began_again_count_whole(changes: dict[str, str]) -> None:
    before = TrafficSample(EPOCH, "first", {1: _counted(1, 2, 3).snapshot()})
    after = replace(TrafficSample(EPOCH, "first", {1: _counted(4, 5).snapshot()}), **changes)

    assert after.since(before)[1].requests == 2


def test_envoys_text_is_read_per_revision() -> None:
    traffic = envoy_counters.read(ENVOY_TEXT, _revision)

    assert traffic.keys() == {7}
    assert (traffic[7].requests, traffic[7].by_class) == (100, {"2xx": 90, "5xx": 10})
    assert (traffic[7].errors, traffic[7].retries, traffic[7].no_answer) == (10, 4, 5)
    assert traffic[7].latency.total == 100
    assert traffic[7].latency.counts[LATENCY_BOUNDS_MS.index(6.1)] == 60
    assert traffic[7].latency.counts[-1] == 40


def test_histograms_of_other_bounds_are_not_subtracted() -> None:
    with pytest.raises(AssertionError):
        NO_TRAFFIC.latency.minus(Histogram((1.0,), (0, 0)))
