"""Azure's host has a span around each invocation, named by `context`; ours is below it."""

from contextlib import nullcontext

import azure.durable_functions as df
import azure.functions as func
import pytest

from shared.composition import embedded as embedded_host
from shared.composition.azure import AzureParts
from shared.composition.service import composition
from shared.composition.settings import InvalidSetting, read_settings
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.telemetry.exporters import Exporters, pipeline
from shared.telemetry.names import REQUEST
from shared.telemetry.recorder import Recorder
from shared.telemetry.trace_context import host_parent
from shared.telemetry.work import OFF, Telemetry
from shared.triggers.durable_triggers import bind_function
from shared.triggers.http_triggers import serve
from shared.web.request import Answer, Request, ok
from shared.web.routes import Route
from tests.kit.hosting import ask, embedded, hosting, refusals
from tests.kit.otlp_receiver import otlp_receiver
from tests.kit.service import Bench, bench
from tests.kit.virtual_time import run_virtual

TRACE = "ab" * 16
HOSTS_SPAN = "cd" * 8
PARENT = f"00-{TRACE}-{HOSTS_SPAN}-01"


def app_with(telemetry: Telemetry) -> df.DFApp:
    """Return an app whose function reads no header and opens a span."""

    async def run(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> str:
        del req, client
        with telemetry.span(REQUEST, "GET things", f"trace-{TRACE}", {}) as span:
            return f"{host_parent.get()} {span.traceparent}"

    blueprint = df.Blueprint()
    trigger = blueprint.route("things", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    bind_function(blueprint, "things", trigger, run, telemetry)
    app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    app.register_functions(blueprint)
    return app


async def answered(telemetry: Telemetry) -> str:
    async with hosting(embedded(app_with(telemetry))) as host:
        assert refusals(host) == {}
        answer = await ask(host, "GET", "/things", headers={"traceparent": PARENT})
        return answer.body.decode()


def test_the_span_of_the_host_is_the_parent() -> None:
    with otlp_receiver() as collector:
        exporters = Exporters(("otlp",), otlp_endpoint=collector.url)
        recorder = Recorder(
            "things", pipeline(exporters), SystemClock(), SystemEntropy(), host_has_spans=True
        )
        told = run_virtual(answered(recorder)).split()
        recorder.pipeline.flush()
        recorder.pipeline.close()

        (span,) = collector.spans
    assert told[0] == PARENT
    assert told[1] == f"00-{TRACE}-{span.span}-01"
    assert span.parent == HOSTS_SPAN


def test_without_exporters_a_function_has_no_context() -> None:
    assert run_virtual(answered(OFF)) == " "


@pytest.mark.parametrize("hosts", [[], [None]], ids=["azure", "an-embedded-host-without-parts"])
def test_an_embedded_host_has_no_spans_of_its_own(
    hosts: list[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_host, "_installed", [])
    for host in hosts:
        embedded_host.install(host)

    assert AzureParts(read_settings({"RUNTIME_PROFILE": "local"})).host_has_spans != bool(hosts)


@pytest.mark.parametrize("hosts", [[], [None]], ids=["azure", "an-embedded-host-without-parts"])
def test_figures_for_prometheus_need_an_embedded_host(
    hosts: list[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_host, "_installed", [])
    for host in hosts:
        embedded_host.install(host)
    environ = {"RUNTIME_PROFILE": "local", "RUNTIME_TELEMETRY": "prometheus"}

    with nullcontext() if hosts else pytest.raises(InvalidSetting, match="embedded host only"):
        composition(environ, ())


async def get_thing(_request: Request[None], _app: Bench) -> Answer:
    return ok({})


def test_a_request_without_a_trace_belongs_to_that_of_the_host() -> None:
    async def main() -> func.HttpResponse:
        app = bench("things")
        request = func.HttpRequest("GET", "http://things.test/v1/things", body=b"")
        token = host_parent.set(PARENT)
        try:
            route = Route("GET", "v1/things", get_thing, None)
            return await serve(route, request, app, app.service)
        finally:
            host_parent.reset(token)

    assert run_virtual(main()).headers["X-TraceId"] == f"trace-{TRACE}"
