"""The exporters that settings name, opened once in a process.

Their packages are imported by name, so that no app is packaged with one.
https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

import os
from dataclasses import field
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from shared.kernel.clock import Clock
from shared.kernel.dataclass import dataclass
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Invalid
from shared.telemetry.work import OFF, Telemetry

if TYPE_CHECKING:
    from shared.telemetry.pipeline import Pipeline

OTLP: Final = "otlp"
CONSOLE: Final = "console"
APPLICATION_INSIGHTS: Final = "applicationinsights"
PROMETHEUS: Final = "prometheus"
_ANSWERS_WITHIN_S: Final = 5
_REPORTS_OF_THE_EXPORTER: Final = (
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED",
)


class ExporterNotInstalled(Invalid):
    """A setting names an exporter whose packages are not there; the app does not start."""


@dataclass(frozen=True)
class Exporters:
    """What to export to. The same are opened once, whichever app of a process asks for them."""

    names: tuple[str, ...] = ()
    ratio: float = 1.0
    otlp_endpoint: str = ""
    otlp_headers: str = field(default="", repr=False)
    connection_string: str = field(default="", repr=False)


def telemetry(
    exporters: Exporters,
    service: str,
    clock: Clock,
    entropy: Entropy,
    *,
    host_has_spans: bool = False,
) -> Telemetry:
    """Return what records the work of *service* for *exporters*; with none it records nothing.

    Raises:
        ExporterNotInstalled: a package of one of them is missing.
    """
    if not exporters.names:
        return OFF
    from shared.telemetry.recorder import Recorder  # noqa: PLC0415  the SDK, when configured

    return Recorder(service, pipeline(exporters), clock, entropy, host_has_spans=host_has_spans)


@cache
def pipeline(exporters: Exporters) -> "Pipeline":
    """Return the one pipeline of *exporters* in this process. Raises ExporterNotInstalled."""
    from shared.telemetry.pipeline import Pipeline  # noqa: PLC0415  the SDK, when configured

    spans: dict[str, Any] = {}
    figures, readers = [], []
    for name in exporters.names:
        try:
            if name == PROMETHEUS:
                readers.append(_prometheus_reader())
            else:
                spans[name], of_figures = _OPENED_BY[name](exporters)
                figures.append(of_figures)
        except ImportError as missing:
            raise ExporterNotInstalled(
                f"RUNTIME_TELEMETRY={name} needs a package that is not installed ({missing.name}):"
                " install requirements/telemetry.txt with the app",
                target="RUNTIME_TELEMETRY",
            ) from missing
    return Pipeline(spans, figures, readers, exporters.ratio)


def _otlp(exporters: Exporters) -> tuple[Any, Any]:
    over_http = "opentelemetry.exporter.otlp.proto.http"
    base = exporters.otlp_endpoint.rstrip("/")
    common = {"headers": headers(exporters.otlp_headers), "timeout": _ANSWERS_WITHIN_S}
    return (
        import_module(f"{over_http}.trace_exporter").OTLPSpanExporter(
            endpoint=f"{base}/v1/traces", **common
        ),
        import_module(f"{over_http}.metric_exporter").OTLPMetricExporter(
            endpoint=f"{base}/v1/metrics", **common
        ),
    )


def headers(text: str) -> dict[str, str]:
    """Return the headers that *text* lists: `key=value,…`, values percent-encoded.

    Raises:
        ValueError: it is no such list.
    """
    pairs = {}
    for each in filter(None, map(str.strip, text.split(","))):
        name, is_pair, value = each.partition("=")
        if not is_pair or not name.strip():
            msg = "key=value,key=value"
            raise ValueError(msg)
        pairs[name.strip().lower()] = unquote(value.strip())
    return pairs


def _console(_exporters: Exporters) -> tuple[Any, Any]:
    return (
        import_module("opentelemetry.sdk.trace.export").ConsoleSpanExporter(),
        import_module("opentelemetry.sdk.metrics.export").ConsoleMetricExporter(),
    )


def _application_insights(exporters: Exporters) -> tuple[Any, Any]:
    # Unless the owner of the app wants them: the exporter's own reports to Microsoft, and settings
    # that it takes from there.
    for name in _REPORTS_OF_THE_EXPORTER:
        os.environ.setdefault(name, "true")
    azure_monitor = import_module("azure.monitor.opentelemetry.exporter")
    # What is not delivered is lost, as with the others: no files on the disk of the app.
    common = {
        "connection_string": exporters.connection_string,
        "disable_offline_storage": True,
        "timeout": _ANSWERS_WITHIN_S,
    }
    return (
        azure_monitor.AzureMonitorTraceExporter(**common),
        azure_monitor.AzureMonitorMetricExporter(**common),
    )


_OPENED_BY: Final = {
    OTLP: _otlp,
    CONSOLE: _console,
    APPLICATION_INSIGHTS: _application_insights,
}


@cache
def _prometheus_reader() -> Any:
    return import_module("opentelemetry.exporter.prometheus").PrometheusMetricReader()


def prometheus_text() -> bytes | None:
    """Return the figures of this process for Prometheus; None where no app asks for them."""
    if not _prometheus_reader.cache_info().currsize:
        return None
    text: bytes = import_module("prometheus_client").generate_latest()
    return text
