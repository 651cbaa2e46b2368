"""The host answers what its apps measured, to those who may administer it."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import azure.functions as func
import pytest
from prometheus_client.parser import text_string_to_metric_families

from local_host.model import HttpAnswer
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.telemetry import exporters as opened
from shared.telemetry.exporters import Exporters, pipeline, telemetry
from shared.telemetry.names import HEALTH_STATUS, REQUEST, ROUTE, STATE, STATUS
from tests.kit.hosting import VIRTUAL, ask, embedded, hosting, new_app
from tests.kit.virtual_time import run_virtual

PATH = "/admin/host/metrics"
ODD = 'v1/things/{id}\\ "\n'


@pytest.fixture
def measured() -> Iterator[None]:
    """Measure one request and a gauge in this process, for Prometheus."""
    exporters = Exporters(("prometheus",))
    recorder = telemetry(exporters, "things", SystemClock(), SystemEntropy())
    with recorder.span(REQUEST, "GET v1/things", "trace-1", {ROUTE: ODD, STATUS: 200}):
        pass
    recorder.add(HEALTH_STATUS, 3, {STATE: "Healthy"})
    yield
    pipeline(exporters).close()
    opened._prometheus_reader.cache_clear()
    pipeline.cache_clear()


def asked(*, key: str | None = None) -> HttpAnswer:
    app = new_app()

    @app.route("hello")
    async def hello(req: func.HttpRequest) -> str:
        return "hello"

    async def main() -> HttpAnswer:
        settings = replace(VIRTUAL, checks_keys=key is not None)
        async with hosting(embedded(app), settings=settings) as host:
            presented = host.keys.master if host.keys and key == "master" else key or ""
            return await ask(host, "GET", PATH, headers={"x-functions-key": presented})

    return run_virtual(main())


@pytest.mark.usefixtures("measured")
def test_prometheus_reads_what_was_measured() -> None:
    answer = asked()
    families = {each.name: each for each in text_string_to_metric_families(answer.body.decode())}

    assert answer.status == 200
    assert ("content-type", "text/plain; version=0.0.4; charset=utf-8") in answer.headers
    (count,) = [
        sample
        for sample in families["runtime_request_duration_seconds"].samples
        if sample.name.endswith("_count")
    ]
    assert count.value == 1
    assert count.labels["http_route"] == ODD
    assert count.labels["service"] == "things"
    (healthy,) = families["runtime_health_status"].samples
    assert (healthy.labels["status"], healthy.value) == ("Healthy", 3)
    if promtool := shutil.which("promtool"):  # of the package prometheus
        command = [promtool, "check", "metrics"]
        judged = subprocess.run(command, input=answer.body, capture_output=True, check=False)
        assert (judged.returncode, judged.stderr) == (0, b"")


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(("key", "status"), [("", 401), ("wrong", 401), ("master", 200)])
def test_with_access_keys_it_takes_the_master_key(key: str, status: int) -> None:
    assert asked(key=key).status == status


def test_without_an_app_that_measures_there_is_no_such_path() -> None:
    assert asked().status == 404
