"""The Metrics port over the proxy of a surface, which counts every request itself.

A window is the difference between two readings of its counters, so this remembers the last ones:
the one nearest to its beginning counts, and numbers are stretched to the length that was asked for.
Scaling asks for windows; a gate reads the surface's counters themselves, whose epoch tells it of a
proxy that began anew.
"""

from collections import OrderedDict, deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from shared.contracts.metrics import Metric
from shared.kernel.clock import Clock
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.metrics.clock_skew import SKEW_MAX_S
from shared.metrics.port import (
    Measured,
    Measurement,
    MetricsQuery,
    Missing,
    Resolution,
    Stale,
    Unmeasurable,
)
from shared.surfaces.port import ComponentReader
from shared.surfaces.spec import SurfaceComponent
from shared.surfaces.traffic import NO_TRAFFIC, Histogram, RevisionTraffic, TrafficSample

COMPONENTS_MAX: Final = 1000
_SAMPLES_MAX: Final = 32
"""Of a component: its last readings. A scaler that looks once a minute looks half an hour back."""
_APART_LEAST: Final = timedelta(seconds=1)
_EDGE: Final = timedelta(seconds=2)
"""By so much the ends of a window may differ from the readings that it is made of, at least."""
_SKEW_MAX: Final = timedelta(seconds=SKEW_MAX_S)
_COUNTED: Final = frozenset({Metric.REQUESTS, Metric.ERRORS, Metric.LATENCY})


class SurfaceMetrics:
    """Metrics of the components of *surface*."""

    resolution = Resolution()

    def __init__(self, surface: ComponentReader, clock: Clock) -> None:
        self._surface = surface
        self._clock = clock
        self._samples: OrderedDict[SurfaceComponent, deque[TrafficSample]] = OrderedDict()

    async def measure(self, queries: Sequence[MetricsQuery]) -> Sequence[Measurement]:
        components = dict.fromkeys(query.subject.component for query in queries)
        readings = {each: await self._read(each) for each in components}
        return [self._measured(query, readings[query.subject.component]) for query in queries]

    async def _read(self, component: SurfaceComponent) -> Reading[TrafficSample]:
        reading = await self._surface.traffic(component)
        if isinstance(reading, Present):
            kept = self._samples.setdefault(component, deque(maxlen=_SAMPLES_MAX))
            self._samples.move_to_end(component)
            while kept and kept[-1].taken_at > reading.value.taken_at + _SKEW_MAX:
                kept.pop()  # of a clock that was put back since
            if not kept or reading.value.taken_at - kept[-1].taken_at >= _APART_LEAST:
                kept.append(reading.value)
            while len(self._samples) > COMPONENTS_MAX:
                self._samples.popitem(last=False)
        return reading

    def _measured(self, query: MetricsQuery, reading: Reading[TrafficSample]) -> Measurement:
        if query.metric not in _COUNTED:
            return Missing(f"the proxy of a surface counts no {query.metric}")
        if query.subject.instance is not None:
            return Missing("the proxy of a surface counts by revision, not by instance")
        match reading:
            case Unknown():
                return Unmeasurable(reading.reason)
            case Absent():
                return Missing("no proxy carries its requests")
            case Present(sample):
                problem = _wrong_time(query, sample, self._clock.now())
                return problem or self._difference(query, sample)

    def _difference(self, query: MetricsQuery, sample: TrafficSample) -> Measurement:
        kept = self._samples[query.subject.component]
        earlier = min(kept, key=lambda each: abs(each.taken_at - query.since))
        is_near = abs(earlier.taken_at - query.since) <= max(_EDGE, query.window / 5)
        if not is_near or earlier.taken_at >= sample.taken_at:
            return Unmeasurable(_no_beginning(query, earlier, sample))
        if earlier.epoch != sample.epoch:
            return Unmeasurable("the proxy began anew in the window")
        of_revisions = sample.since(earlier)
        number = query.subject.revision
        if number is not None and number not in of_revisions:
            return Missing(f"the proxy counts nothing of revision {number}")
        traffic = _total(list(of_revisions.values())) if number is None else of_revisions[number]
        stretch = query.window / (sample.taken_at - earlier.taken_at)
        return Measured(_value(query.metric, traffic, stretch), sample.taken_at)


def _wrong_time(query: MetricsQuery, sample: TrafficSample, now: datetime) -> Measurement | None:
    """Return what is wrong with the times of *query* and *sample*; None for nothing."""
    late_s = (query.until - sample.taken_at).total_seconds()
    if (sample.taken_at - now).total_seconds() > SKEW_MAX_S:
        return Unmeasurable(f"its counters are of {-late_s:.0f} s after the window: clocks differ")
    if late_s > _EDGE.total_seconds():
        return Stale(f"its counters are {late_s:.0f} s old", sample.taken_at)
    if -late_s > max(_EDGE, query.window / 10).total_seconds():
        return Unmeasurable("counters are read as they stand, not for a window of the past")
    return None


def _total(traffic: Sequence[RevisionTraffic]) -> RevisionTraffic:
    total = NO_TRAFFIC
    for each in traffic:
        total = total.plus(each)
    return total


def _no_beginning(query: MetricsQuery, nearest: TrafficSample, sample: TrafficSample) -> str:
    """Return why no reading of the counters stands for the beginning of the window."""
    said = "no reading of the counters at its beginning: "
    if nearest.taken_at < query.since:
        return (
            f"{said}the nearest is {(query.since - nearest.taken_at).total_seconds():.0f} s older"
        )
    counted_s = (sample.taken_at - nearest.taken_at).total_seconds()
    return f"{said}{counted_s:.0f} of {query.window.total_seconds():.0f} s are covered"


def _value(metric: Metric, traffic: RevisionTraffic, stretch: float) -> float | Histogram:
    """Return what was counted, of a number for the whole window."""
    if metric is Metric.LATENCY:
        return traffic.latency
    return stretch * (traffic.requests if metric is Metric.REQUESTS else traffic.errors)
