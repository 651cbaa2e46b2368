"""Windows of the proxy's counters: what two readings have between them, and nothing else."""

from datetime import timedelta
from typing import Final, cast

import pytest

from shared.contracts.metrics import Metric
from shared.kernel.observation import Present
from shared.metrics.port import Measured, Measurement, MetricsQuery, Missing, Subject, Unmeasurable
from shared.metrics.surface_metrics import SurfaceMetrics
from shared.surfaces.port import ComponentReader
from shared.surfaces.traffic import (
    EMPTY,
    LATENCY_BOUNDS_MS,
    Histogram,
    RevisionTraffic,
    TrafficSample,
)
from tests.kit.stores import HandClock
from tests.kit.virtual_time import EPOCH
from tests.metrics.providers import COMPONENT, ScriptedSurface

MINUTE: Final = timedelta(minutes=1)


def traffic(requests: int, errors: int = 0) -> RevisionTraffic:
    counts = [0] * len(EMPTY.counts)
    counts[10] = requests
    return RevisionTraffic(
        requests, {"2xx": requests - errors, "5xx": errors}, 0, 0,
        Histogram(LATENCY_BOUNDS_MS, tuple(counts)),
    )  # fmt: skip


class Watched:
    """A surface whose counters are read once a minute, by the clock of the test."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.surface = ScriptedSurface()
        self.metrics = SurfaceMetrics(cast("ComponentReader", self.surface), self.clock)

    async def measure(
        self, of_revisions: dict[int, RevisionTraffic], metric: Metric = Metric.REQUESTS,
        *, revision: int | None = 2, epoch: str = "one", instance: str | None = None,
    ) -> Measurement:  # fmt: skip
        self.clock.pass_by(60)
        now = self.clock.now()
        self.surface.readings.clear()
        self.surface.readings.append(Present(TrafficSample(now, epoch, of_revisions)))
        subject = Subject(COMPONENT, revision, instance)
        (measurement,) = await self.metrics.measure(
            [MetricsQuery(metric, subject, now - MINUTE, now)]
        )
        return measurement


@pytest.mark.parametrize(
    ("metric", "revision", "value"),
    [
        (Metric.REQUESTS, 2, 40.0), (Metric.ERRORS, 2, 3.0), (Metric.REQUESTS, None, 140.0),
        (Metric.ERRORS, None, 3.0),
    ],
)  # fmt: skip
async def test_a_window_is_what_two_readings_have_between_them(
    metric: Metric, revision: int | None, value: float
) -> None:
    watched = Watched()
    await watched.measure({1: traffic(900), 2: traffic(10)})

    now = {1: traffic(1000), 2: traffic(50, 3)}
    measured = await watched.measure(now, metric, revision=revision)

    assert isinstance(measured, Measured), measured
    assert (measured.value, measured.at) == (value, EPOCH + 2 * MINUTE)


async def test_latency_is_the_histogram_of_the_window() -> None:
    watched = Watched()
    await watched.measure({2: traffic(10)})

    measured = await watched.measure({2: traffic(50)}, Metric.LATENCY)

    assert isinstance(measured, Measured)
    assert isinstance(measured.value, Histogram)
    assert measured.value.total == 40


async def test_a_window_that_nobody_read_the_beginning_of_is_not_measured() -> None:
    watched = Watched()
    first = await watched.measure({2: traffic(10)})
    watched.clock.pass_by(600)
    after_a_gap = await watched.measure({2: traffic(50)})

    assert isinstance(first, Unmeasurable)
    assert "0 of 60 s are covered" in first.reason
    assert isinstance(after_a_gap, Unmeasurable)
    assert "no reading of the counters at its beginning: 0 of 60 s" in after_a_gap.reason


async def test_a_look_that_was_missed_is_named_by_how_much_older_the_nearest_reading_is() -> None:
    watched = Watched()
    await watched.measure({2: traffic(10)})
    watched.clock.pass_by(20)

    measured = await watched.measure({2: traffic(50)})

    assert isinstance(measured, Unmeasurable)
    assert "the nearest is 20 s older" in measured.reason


@pytest.mark.parametrize(("late_s", "value"), [(12, 50.0), (-12, 75.0)])
async def test_a_look_that_comes_a_little_late_or_early_is_stretched_to_the_window(
    late_s: int, value: float
) -> None:
    watched = Watched()
    await watched.measure({2: traffic(0)})
    watched.clock.pass_by(late_s)

    measured = await watched.measure({2: traffic(60)})

    assert isinstance(measured, Measured), measured
    assert measured.value == value


async def test_a_window_that_only_one_reading_is_of_is_not_measured() -> None:
    watched = Watched()
    now = watched.clock.now()
    watched.surface.readings.append(Present(TrafficSample(now, "one", {2: traffic(10)})))
    query = MetricsQuery(Metric.REQUESTS, Subject(COMPONENT, 2), now - timedelta(seconds=1), now)

    (measured,) = await watched.metrics.measure([query])

    assert isinstance(measured, Unmeasurable)


async def test_a_clock_that_was_put_back_is_measured_by_from_then_on() -> None:
    watched = Watched()
    await watched.measure({2: traffic(10)})
    watched.clock.pass_by(-3600)
    await watched.measure({2: traffic(20)})

    measured = await watched.measure({2: traffic(50)})

    assert isinstance(measured, Measured), measured
    assert measured.value == 30.0


async def test_a_proxy_that_began_anew_in_the_window_is_no_measurement() -> None:
    watched = Watched()
    await watched.measure({2: traffic(10)})

    measured = await watched.measure({2: traffic(50)}, epoch="two")

    assert isinstance(measured, Unmeasurable)
    assert "began anew" in measured.reason


@pytest.mark.parametrize(
    "how",
    [{"revision": 3}, {"metric": Metric.CPU}, {"instance": "i-1"}, {"metric": Metric.QUEUE_LENGTH}],
    ids=["a-revision-without-traffic", "cpu", "of-an-instance", "a-queue"],
)
async def test_what_the_proxy_does_not_count_is_missing_and_not_zero(how: dict) -> None:
    watched = Watched()
    await watched.measure({2: traffic(10)})

    assert isinstance(await watched.measure({2: traffic(50)}, **how), Missing)
