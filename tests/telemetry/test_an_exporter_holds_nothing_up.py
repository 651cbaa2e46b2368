"""A collector that is silent, away or refuses costs spans, which are counted, and nothing else."""

import gzip
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.kernel.errors import Unavailable
from shared.telemetry import exporters
from shared.telemetry.exporters import Exporters, headers, pipeline, telemetry
from shared.telemetry.names import MESSAGE, REQUEST, TENANT
from shared.telemetry.pipeline import QUEUE_MAX, Pipeline
from shared.telemetry.work import Telemetry
from tests.kit.otlp_receiver import otlp_receiver
from tests.kit.patience import PATIENCE_S

pytestmark = pytest.mark.real
TRACE: Final = "trace-" + "ab" * 16
LOST: Final = "runtime.telemetry.lost"
MANY: Final = QUEUE_MAX + 500


@contextmanager
def exporting(exporters: Exporters) -> Iterator[tuple[Telemetry, Pipeline]]:
    opened = telemetry(exporters, "deployments", SystemClock(), SystemEntropy())
    try:
        yield opened, pipeline(exporters)
    finally:
        pipeline(exporters).close()


def work(recorder: Telemetry, times: int) -> None:
    for _ in range(times):
        with recorder.span(REQUEST, "GET v1/things", TRACE, {TENANT: "acme"}):
            pass


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an exporter wait for its collector longer than any machine is slow."""
    monkeypatch.setattr(exporters, "_ANSWERS_WITHIN_S", PATIENCE_S)


@pytest.mark.usefixtures("patient")
def test_a_silent_collector_delays_no_span_and_the_queue_has_an_end() -> None:
    with (
        otlp_receiver(answers=False) as silent,
        exporting(Exporters(("otlp",), otlp_endpoint=silent.url)) as (recorder, opened),
    ):
        began = time.monotonic()
        work(recorder, MANY)
        spent_s = time.monotonic() - began
        silent.answers.set()
        opened.flush()

        delivered = len(silent.spans)
        ((_, lost),) = silent.figures[LOST]

    assert delivered + lost == MANY
    assert delivered >= QUEUE_MAX
    assert lost > 0
    assert spent_s < PATIENCE_S / 3, "it waited for no export"


@pytest.mark.usefixtures("patient")
def test_the_end_of_a_process_does_not_wait_for_a_silent_collector() -> None:
    with (
        otlp_receiver(answers=False) as silent,
        exporting(Exporters(("otlp",), otlp_endpoint=silent.url)) as (recorder, opened),
    ):
        work(recorder, 10)
        began = time.monotonic()
        opened.close()

        assert time.monotonic() - began < PATIENCE_S / 3


def test_what_a_collector_refuses_is_counted_as_lost() -> None:
    with otlp_receiver() as refusing:
        exporters = Exporters(("otlp",), otlp_endpoint=refusing.url)
        with exporting(exporters) as (recorder, opened):
            refusing.status = 400
            work(recorder, 5)
            for processor in opened.processors:
                processor.force_flush()
            refusing.status = 200
            opened.flush()

            assert refusing.figures[LOST] == [({"exporter": "otlp"}, 5)]


def test_a_share_of_the_traces_is_recorded_whole_and_all_are_measured() -> None:
    entropy = SystemEntropy()
    traces = [f"trace-{entropy.uuid().hex}" for _ in range(400)]
    with otlp_receiver() as collector:
        exporters = Exporters(("otlp",), 0.25, collector.url)
        with exporting(exporters) as (recorder, opened):
            for trace in traces * 2:
                with recorder.span(REQUEST, "GET v1/things", trace, {}) as span:
                    flags = span.traceparent.rpartition("-")[2]
                    assert flags in {"00", "01"}
            opened.flush()

            recorded = [span.trace for span in collector.spans]
            ((_, measured),) = collector.figures["runtime.request.duration"]

    assert measured == 800
    assert 50 < len(set(recorded)) < 150
    assert {recorded.count(trace) for trace in recorded} == {2}


def test_an_outage_is_an_error_and_a_refusal_only_has_its_code() -> None:
    with otlp_receiver() as collector:
        exporters = Exporters(("otlp",), 1.0, collector.url)
        with exporting(exporters) as (recorder, opened):
            for problem in (Unavailable("the vault at 10.0.0.1 is away"), ValueError("hunter2")):
                with (
                    pytest.raises(type(problem)),
                    recorder.span(REQUEST, "GET v1/things", TRACE, {}),
                ):
                    raise problem
            opened.flush()

            ended = [(span.is_error, span.attributes["errorCode"]) for span in collector.spans]

    assert ended == [(True, "Unavailable"), (True, "ValueError")]
    assert b"hunter2" not in b"".join(body for _, body in collector.bodies)


def test_a_parent_of_another_trace_is_pointed_to() -> None:
    others = "cd" * 16
    with otlp_receiver() as collector:
        exporters = Exporters(("otlp",), otlp_endpoint=collector.url)
        with exporting(exporters) as (recorder, opened):
            parent = f"00-{others}-{'ef' * 8}-01"
            with recorder.span(MESSAGE, "handle Thing", TRACE, {}, parent=parent):
                pass
            opened.flush()

        (span,) = collector.spans
    assert (span.trace, span.parent, span.links) == ("ab" * 16, "", (others,))


def test_application_insights_gets_the_same_spans() -> None:
    with otlp_receiver() as ingestion:
        key = "00000000-0000-0000-0000-000000000001"
        connection = f"InstrumentationKey={key};IngestionEndpoint={ingestion.url}"
        exporters = Exporters(("applicationinsights",), connection_string=connection)
        with exporting(exporters) as (recorder, opened):
            work(recorder, 1)
            opened.flush()
        paths = {path for path, _ in ingestion.bodies}
        items = [
            item
            for _, body in ingestion.bodies
            for item in json.loads(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
        ]

    requests = [item for item in items if item["data"]["baseType"] == "RequestData"]
    assert paths == {"/v2.1/track"}
    assert [item["tags"]["ai.operation.id"] for item in requests] == ["ab" * 16]
    assert requests[0]["data"]["baseData"]["properties"]["tenantId"] == "acme"


@pytest.mark.parametrize("text", ["token", "=value", "a=b,c"])
def test_headers_that_are_no_pairs_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="key=value"):
        headers(text)


def test_headers_are_percent_decoded() -> None:
    assert headers("Authorization=Bearer%20x, a=b=c,") == {"authorization": "Bearer x", "a": "b=c"}
