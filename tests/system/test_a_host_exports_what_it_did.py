"""A host process sends its spans, also the last ones, and shows its figures to who may see them."""

import http.client
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from local_host.host import DATABASE
from tests.kit.otlp_receiver import OtlpReceiver, otlp_receiver
from tests.kit.patience import PATIENCE_S
from tests.kit.real_system import ALIVE, RealSystem, real_system

pytestmark = pytest.mark.real
METRICS: Final = "/admin/host/metrics"
ENVIRONMENT: Final = {
    "name": "shop",
    "projectId": "proj-web",
    "stage": "test",
    "region": "local",
    "computeTargets": [{"kind": "LocalProcess"}],
}
CALLER: Final = "cd" * 8
TRACE: Final = "ab" * 16


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpReceiver]:
    with otlp_receiver() as received:
        monkeypatch.setenv("RUNTIME_TELEMETRY", "otlp prometheus")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", received.url)
        yield received


def master_key(state: Path) -> str:
    with closing(sqlite3.connect(state / DATABASE)) as database:
        asked = "SELECT value FROM host_key WHERE scope = 'host' AND name = '_master'"
        (key,) = database.execute(asked).fetchone()
        return str(key)


def fetched(system: RealSystem, path: str, **headers: str) -> tuple[int, str]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(
        http.client.HTTPConnection("127.0.0.1", system.port, timeout=PATIENCE_S)
    ) as connection:
        connection.request("GET", path, headers=sent)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


@pytest.mark.long
def test_spans_leave_before_the_end_and_figures_are_for_administrators(
    collector: OtlpReceiver, tmp_path: Path
) -> None:
    with real_system(tmp_path) as system:
        closed, _ = fetched(system, METRICS)
        key = master_key(tmp_path)
        _, told = fetched(system, METRICS, x_functions_key=key)
        with closing(system.client()) as client:
            client.write("POST", "/v1/runtime/environments", ENVIRONMENT)
        planned = collector.until("engine preview")
        status, _ = fetched(system, ALIVE, traceparent=f"00-{TRACE}-{CALLER}-01")
        ended = system.stop()

    families = {each.name: each for each in text_string_to_metric_families(told)}
    by_id = {span.span: span for span in collector.spans}
    alive = [span for span in collector.spans if span.trace == TRACE]
    assert (closed, status, ended) == (401, 200, 0)
    assert "runtime_request_duration_seconds" in families
    assert [(span.name, span.parent) for span in alive] == [
        ("GET v1/platform/environments/alive", CALLER)
    ]
    assert by_id[planned.parent].name == "environments_plan_update"
    assert planned.attributes["tenantId"] == "tenant-dev"
