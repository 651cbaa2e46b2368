"""Where spans and figures of one process go: exporters, each behind a bounded queue of its own.

Ending a span puts it into a queue and nothing else: a thread of the SDK sends them. Where an
exporter is slow or away the queue fills, and what comes then is dropped and counted.
"""

import atexit
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry.metrics import Counter, Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, MetricReader
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader as Periodic
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from shared.kernel.entropy import SystemEntropy
from shared.telemetry.names import (
    EXPORTER,
    LOST,
    METRICS,
    NAMESPACE,
    SERVICE,
    VERSION,
    WORKS,
    Metric,
    Work,
)
from shared.telemetry.work import Value

QUEUE_MAX: Final = 2048
"""Spans that wait for one exporter: about 2 MB."""
EXPORT_EVERY_S: Final = 2.0
FIGURES_EVERY_S: Final = 30.0
_LAST_EXPORT_S: Final = 2.0
"""How long the end of a process waits for what is still queued."""
_BOUNDS_S: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.5, 3, 5, 10, 30, 60, 300, 900, 3600, 21600,
)  # fmt: skip
"""From a request to a rollout; 0.3, 0.8 and 5 s are the targets of API and messages."""


class Pipeline:
    """The exporters of a process, and its figures; `ratio` of all traces are recorded."""

    def __init__(
        self,
        spans: Mapping[str, SpanExporter],
        figures: Sequence[MetricExporter],
        readers: Sequence[MetricReader],
        ratio: float,
    ) -> None:
        self.ratio = ratio
        # Instances of an app report under its name: this tells them apart.
        self._instance = SystemEntropy().uuid().hex
        self._is_closed = False
        every = [Periodic(each, export_interval_millis=FIGURES_EVERY_S * 1000) for each in figures]
        self.meters = MeterProvider(
            [*readers, *every],
            self.resource(NAMESPACE),
            shutdown_on_exit=False,
        )
        meter = self.meters.get_meter(NAMESPACE, VERSION)
        self._instruments: dict[str, Any] = {
            metric.name: _create(meter, metric) for metric in METRICS
        }
        self._durations = {
            work.metric: meter.create_histogram(
                work.metric, "s", work.meaning, explicit_bucket_boundaries_advisory=_BOUNDS_S
            )
            for work in WORKS
        }
        self.processors = [
            BoundedProcessor(name, exporter, self._instruments[LOST.name])
            for name, exporter in spans.items()
        ]
        atexit.register(self.close)

    def resource(self, name: str) -> Resource:
        """Return what *name* of this process reports as, with OTEL_RESOURCE_ATTRIBUTES.

        https://opentelemetry.io/docs/specs/semconv/resource/#service
        """
        return Resource.create(
            {
                "service.name": name,
                "service.namespace": NAMESPACE,
                "service.version": VERSION,
                "service.instance.id": self._instance,
            }
        )

    def record(self, metric: Metric, value: float, attributes: Mapping[str, Value]) -> None:
        """Record *value*: added to a counter, the new value of a gauge, one of a histogram."""
        instrument = self._instruments[metric.name]
        match metric.instrument:
            case "counter":
                instrument.add(value, attributes)
            case "gauge":
                instrument.set(value, attributes)
            case _:
                instrument.record(value, attributes)

    def measure(self, work: Work, duration_s: float, attributes: Mapping[str, Value]) -> None:
        """Record how long *work* took; of its *attributes* those that have few values."""
        names = (SERVICE, *work.dimensions)
        few = {name: attributes[name] for name in names if name in attributes}
        self._durations[work.metric].record(duration_s, few)

    def flush(self) -> None:
        """Export what is queued now; blocks until that is done."""
        for processor in self.processors:
            processor.force_flush()
        self.meters.force_flush()

    def close(self) -> None:
        """Export what is queued, for two seconds at the most, and end; the second time nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        atexit.unregister(self.close)
        ending = threading.Thread(target=self._shut_down, daemon=True)
        ending.start()
        ending.join(_LAST_EXPORT_S)

    def _shut_down(self) -> None:
        for processor in self.processors:
            processor.shutdown()  # type: ignore[no-untyped-call]  # the SDK's
        self.meters.shutdown(timeout_millis=_LAST_EXPORT_S * 1000)


def _create(meter: Meter, metric: Metric) -> Any:
    named = (metric.name, metric.unit, metric.meaning)
    match metric.instrument:
        case "counter":
            return meter.create_counter(*named)
        case "gauge":
            return meter.create_gauge(*named)
        case _:
            return meter.create_histogram(*named, explicit_bucket_boundaries_advisory=_BOUNDS_S)


class BoundedProcessor(BatchSpanProcessor):
    """Queues spans for one exporter; drops new ones, counted, while `QUEUE_MAX` wait."""

    def __init__(self, name: str, exporter: SpanExporter, lost: Counter) -> None:
        self._delivery = _CountedExporter(name, exporter, lost)
        super().__init__(
            self._delivery, max_queue_size=QUEUE_MAX, schedule_delay_millis=EXPORT_EVERY_S * 1000
        )

    def on_end(self, span: ReadableSpan) -> None:
        if self._delivery.take():
            super().on_end(span)


class _CountedExporter(SpanExporter):
    """Delivers to *exporter*, and counts what waits and what was lost."""

    def __init__(self, name: str, exporter: SpanExporter, lost: Counter) -> None:
        self._attributes = {EXPORTER: name}
        self._exporter = exporter
        self._lost = lost
        self._turn = threading.Lock()
        self._waiting = 0

    def take(self) -> bool:
        """Count one more span as waiting; return False, and count it as lost, if too many are."""
        with self._turn:
            has_place = self._waiting < QUEUE_MAX
            self._waiting += has_place
        if not has_place:
            self._lost.add(1, self._attributes)
        return has_place

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            with self._turn:
                self._waiting -= len(spans)
            if result is not SpanExportResult.SUCCESS:
                self._lost.add(len(spans), self._attributes)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()
