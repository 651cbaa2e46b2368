"""Records spans and figures of one service with the OpenTelemetry SDK. Imported when configured.

Ids of traces are those of the envelopes, times are those of the app's clock. Whether a trace is
recorded follows from its id alone, so that all processes record the same ones whole.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)
from opentelemetry.trace import Span as SdkSpan

from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.telemetry.names import (
    CORRELATION,
    ENVIRONMENT,
    NAMESPACE,
    OPERATION,
    SERVICE,
    TENANT,
    TRACE,
    VERSION,
    Metric,
    Work,
)
from shared.telemetry.pipeline import Pipeline
from shared.telemetry.trace_context import (
    TraceParent,
    host_parent,
    read_traceparent,
    w3c_trace_id,
)
from shared.telemetry.work import Span, Telemetry, Value

_NANOSECONDS: Final = 1_000_000_000
_SPAN_BITS: Final = 64
_OF_ALL_PARTS: Final = (TENANT, CORRELATION, ENVIRONMENT, OPERATION)
_ENTERED_BY_HOST: Final = frozenset({"server", "consumer", "internal"})
"""Kinds of work that a function begins, inside the host's own span where that has one."""
_RATIO_DIGITS: Final = 12
"""Of a trace id: those behind hold the fixed bits of a UUID."""


class Recorder(Telemetry):
    """The telemetry of the service *name* of one process."""

    is_on = True

    def __init__(
        self,
        name: str,
        pipeline: Pipeline,
        clock: Clock,
        entropy: Entropy,
        *,
        host_has_spans: bool = False,
    ) -> None:
        self.host_has_spans = host_has_spans
        self.service = name
        self.clock = clock
        self.pipeline = pipeline
        self.ids = _Ids(entropy)
        provider = TracerProvider(
            sampler=_ByTraceId(pipeline.ratio),
            resource=pipeline.resource(f"runtime-{name}"),
            id_generator=self.ids,
            shutdown_on_exit=False,
            meter_provider=pipeline.meters,
        )
        for processor in pipeline.processors:  # shared by the services of a process
            provider.add_span_processor(processor)
        self.tracer = provider.get_tracer(NAMESPACE, VERSION)

    def span(
        self,
        work: Work,
        name: str,
        trace_id: str,
        attributes: dict[str, Value],
        *,
        parent: str = "",
        span_id: str = "",
    ) -> "RecordedSpan":
        attributes[SERVICE] = self.service
        attributes[TRACE] = trace_id
        return RecordedSpan(self, work, name, trace_id, attributes, parent, span_id)

    def add(self, metric: Metric, value: float, attributes: Mapping[str, Value]) -> None:
        self.pipeline.record(metric, value, {**attributes, SERVICE: self.service})


class RecordedSpan(Span):
    """One that is exported when it has ended, and measured by its kind of work."""

    __slots__ = (
        "_attached", "_began_ns", "_began_s", "_name", "_parent", "_recorder", "_span", "_span_id",
        "_work",
    )  # fmt: skip

    def __init__(
        self,
        recorder: Recorder,
        work: Work,
        name: str,
        trace_id: str,
        attributes: dict[str, Value],
        parent: str,
        span_id: str,
    ) -> None:
        super().__init__(trace_id, attributes)
        self._recorder = recorder
        self._work = work
        self._name = name
        self._parent = parent
        self._span_id = span_id
        self._span: SdkSpan = INVALID_SPAN
        self._attached: Any = None

    @property
    def traceparent(self) -> str:
        own = self._span.get_span_context()
        if not own.is_valid:
            return self._parent
        return f"00-{own.trace_id:032x}-{own.span_id:016x}-{own.trace_flags:02x}"

    def __enter__(self) -> Self:
        self._began_s = self._recorder.clock.monotonic_s()
        self._began_ns = int(self._recorder.clock.now().timestamp() * _NANOSECONDS)
        if self._work.span is not None:
            self._span = self._begin(self._work.span)
            # For what reads OpenTelemetry's own context: the durable client, Azure's SDKs.
            self._attached = attach(set_span_in_context(self._span))
        return super().__enter__()

    def _begin(self, kind: str) -> SdkSpan:
        own, given = w3c_trace_id(self.trace_id), read_traceparent(self._parent)
        if kind in _ENTERED_BY_HOST:
            around_it = read_traceparent(host_parent.get())
            given = around_it if around_it is not None and around_it.trace == own else given
        is_parent = given is not None and given.trace == own
        around = Context()
        if given is not None and is_parent:
            around = set_span_in_context(NonRecordingSpan(_remote(given)), around)
        links = [Link(_remote(given))] if given is not None and not is_parent else []
        self._recorder.ids.next(own, self._span_id)
        return self._recorder.tracer.start_span(
            self._name, around, SpanKind[kind.upper()], links=links, start_time=self._began_ns
        )

    def __exit__(self, *ending: object) -> None:
        if self._attached is not None:
            detach(self._attached)
        super().__exit__(*ending)  # type: ignore[arg-type]  # what an interpreter gives
        duration_s = self._recorder.clock.monotonic_s() - self._began_s
        self._span.set_attributes(self.attributes)
        if self.is_error:
            self._span.set_status(StatusCode.ERROR)
        self._span.end(self._began_ns + int(duration_s * _NANOSECONDS))
        self._recorder.pipeline.measure(self._work, duration_s, self.attributes)

    def part(self, work: Work, name: str, attributes: dict[str, Value]) -> "RecordedSpan":
        given = self.attributes
        inherited = {name: given[name] for name in _OF_ALL_PARTS if name in given}
        if not self.traceparent:  # a timer's: measured, as the timer is
            work = work._replace(span=None)
        return self._recorder.span(
            work, name, self.trace_id, inherited | attributes, parent=self.traceparent
        )


def _remote(parent: TraceParent) -> SpanContext:
    return SpanContext(
        int(parent.trace, 16),
        int(parent.span, 16),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )


class _Ids(IdGenerator):
    """Gives the SDK the ids that were chosen for the span which this thread begins."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._chosen = threading.local()

    def next(self, trace: str, span: str) -> None:
        """Choose the ids of the next span; an empty *span* is drawn."""
        self._chosen.trace, self._chosen.span = int(trace, 16), span

    def generate_trace_id(self) -> int:
        chosen: int = self._chosen.trace
        return chosen

    def generate_span_id(self) -> int:
        chosen = self._chosen.span
        return int(chosen, 16) if chosen else self._entropy.bits(_SPAN_BITS) or 1


class _ByTraceId(Sampler):
    """Records the share *ratio* of all traces."""

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Any = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        del parent_context, name, kind, attributes, links, trace_state
        drawn = int(f"{trace_id:032x}"[:_RATIO_DIGITS], 16) / 16**_RATIO_DIGITS
        is_recorded = drawn < self._ratio
        return SamplingResult(Decision.RECORD_AND_SAMPLE if is_recorded else Decision.DROP)

    def get_description(self) -> str:
        return f"ByTraceId({self._ratio})"
