"""A collector that takes spans and figures by OTLP over HTTP on loopback, and keeps them."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.kit.patience import PATIENCE_S


@dataclass(frozen=True)
class ReceivedSpan:
    """One span; ids are lower-case hex, `parent` is empty for a root."""

    service: str
    name: str
    kind: int
    trace: str
    span: str
    parent: str
    is_error: bool
    attributes: Mapping[str, Any]
    links: tuple[str, ...]
    """The traces that it points to."""


@dataclass
class OtlpReceiver:
    """What came: `bodies` as bytes, in order. It answers *status* once `answers` is set."""

    bodies: list[tuple[str, bytes]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    status: int = 200
    answers: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    @property
    def spans(self) -> list[ReceivedSpan]:
        return [span for path, body in self.bodies if path == "/v1/traces" for span in _spans(body)]

    def until(self, name: str, within_s: float = PATIENCE_S) -> ReceivedSpan:
        """Return the first span that is called *name*, once it has come."""
        give_up_at_s = time.monotonic() + within_s
        while not (found := [span for span in self.spans if span.name == name]):
            assert time.monotonic() < give_up_at_s, f"no {name}: {self.spans}"
            threading.Event().wait(0.1)
        return found[0]

    @property
    def figures(self) -> dict[str, list[tuple[Mapping[str, Any], Any]]]:
        """Return of each metric its latest points: attributes, and value or count."""
        found: dict[str, list[tuple[Mapping[str, Any], Any]]] = {}
        for path, body in self.bodies:
            if path == "/v1/metrics":
                found |= _figures(body)
        return found


@contextmanager
def otlp_receiver(*, answers: bool = True) -> Iterator[OtlpReceiver]:
    """Run a receiver; with *answers* False it takes requests and says nothing until the end."""
    received = OtlpReceiver()
    if answers:
        received.answers.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.bodies.append((self.path, body))
            received.headers.append({name.lower(): value for name, value in self.headers.items()})
            received.answers.wait()
            self.send_response(received.status)
            self.end_headers()

        def log_request(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.url = f"http://127.0.0.1:{server.server_port}"
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield received
    finally:
        received.answers.set()
        server.shutdown()
        server.server_close()


def _spans(body: bytes) -> Iterator[ReceivedSpan]:
    for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = _attributes(of_resource.resource.attributes)["service.name"]
        for scope in of_resource.scope_spans:
            for span in scope.spans:
                yield ReceivedSpan(
                    service,
                    span.name,
                    span.kind,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.status.code == span.status.STATUS_CODE_ERROR,
                    _attributes(span.attributes),
                    tuple(link.trace_id.hex() for link in span.links),
                )


def _figures(body: bytes) -> dict[str, list[tuple[Mapping[str, Any], Any]]]:
    found = {}
    for of_resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        for scope in of_resource.scope_metrics:
            for metric in scope.metrics:
                points = getattr(metric, str(metric.WhichOneof("data"))).data_points
                found[metric.name] = [(_attributes(p.attributes), _value(p)) for p in points]
    return found


def _value(point: Any) -> Any:
    if point.DESCRIPTOR.name == "HistogramDataPoint":
        return point.count
    return getattr(point, str(point.WhichOneof("value")))


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, str(pair.value.WhichOneof("value"))) for pair in pairs}
