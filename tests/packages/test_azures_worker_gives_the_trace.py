"""With an exporter the functions of a package have a `context`, which Azure's worker fills.

The package requires the exporters, and sends its spans from an environment of its own.
"""

import base64
from collections.abc import Iterator, Mapping
from typing import Final

import pytest

from tests.kit.durable_endpoint import DurableEndpoint
from tests.kit.otlp_receiver import OtlpReceiver, otlp_receiver
from tests.kit.packaged_apps import Worker, working
from tools.package import package

pytestmark = [
    pytest.mark.real,
    pytest.mark.xdist_group("packages"),
]
TRACE: Final = "ab" * 16
HOSTS_SPAN: Final = "cd" * 8
PATH: Final = "v1/runtime/environments"


@pytest.fixture(scope="module")
def collector() -> Iterator[OtlpReceiver]:
    with otlp_receiver() as received:
        yield received


@pytest.fixture(scope="module")
def traced(
    collector: OtlpReceiver,
    settings: Mapping[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Worker]:
    home = tmp_path_factory.mktemp("traced")
    folder = package("environments", home / "environments", with_exporters=True)
    exporter = {
        "RUNTIME_TELEMETRY": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
    }
    with working(folder, {**settings, **exporter}, home / "environments.log") as worker:
        yield worker.load()


@pytest.mark.long
def test_a_request_is_below_the_span_of_the_host(
    traced: Worker, collector: OtlpReceiver, durable: DurableEndpoint, token: str
) -> None:
    http = {
        "method": "GET",
        "url": f"https://app.test/{PATH}",
        "headers": {"authorization": f"Bearer {token}", "content-length": "0"},
        "body": {"bytes": ""},
    }
    answer = traced.invoke(
        "environments_get_environments",
        traceparent=f"00-{TRACE}-{HOSTS_SPAN}-00",
        req={"http": http},
        client={"string": durable.binding},
    )
    span = collector.until(f"GET {PATH}")

    assert answer.status == 200, base64.b64decode(answer.http["body"]["bytes"])
    assert answer.http["headers"]["X-TraceId"] == f"trace-{TRACE}"
    assert (span.service, span.trace, span.parent) == ("runtime-environments", TRACE, HOSTS_SPAN)
    assert token.rpartition(".")[2].encode() not in b"".join(body for _, body in collector.bodies)


def test_every_function_of_the_package_is_taken(traced: Worker) -> None:
    names = {name.removeprefix("environments_") for name in traced.functions}

    assert {"on_runtime_event", "post_environment", "begin_apply", "sweep_outbox"} <= names
