"""Without the setting no SDK or exporter is imported, and nothing is added to rows or messages."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.telemetry.exporters import ExporterNotInstalled, Exporters, telemetry
from shared.telemetry.work import OFF
from tests.kit.apps import sampled
from tests.kit.releases import provisioned
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World
from tools.package import APPS

ROOT: Final = Path(__file__).parents[2]
HEAVY: Final = ("opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.metrics",
                "opentelemetry.proto", "prometheus_client", "azure.monitor")  # fmt: skip
PROGRAM: Final = """
import sys
from function_apps.{app} import triggers, function_app
from shared.telemetry.exporters import Exporters, telemetry
assert not telemetry(Exporters(), "x", None, None).is_on
print(*[name for name in sys.modules if name.startswith({heavy!r})])
"""


@pytest.mark.parametrize("app", sampled(APPS))
def test_an_app_imports_neither_sdk_nor_exporter(app: str) -> None:
    program = PROGRAM.format(app=app, heavy=HEAVY)
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    )

    assert run.stdout.split() == []


def test_without_exporters_the_one_that_records_nothing_is_shared() -> None:
    nothing: object = None

    assert telemetry(Exporters(), "a", nothing, nothing) is OFF  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("otlp", "opentelemetry.exporter.otlp.proto.http.trace_exporter"),
        ("applicationinsights", "azure.monitor.opentelemetry.exporter"),
        ("prometheus", "opentelemetry.exporter.prometheus"),
    ],
)
def test_an_exporter_that_is_not_installed_stops_the_start_with_its_package(
    name: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # as where it is not there

    with pytest.raises(ExporterNotInstalled, match=rf"RUNTIME_TELEMETRY={name} .*{module}"):
        telemetry(Exporters((name,)), "a", SystemClock(), SystemEntropy())


def test_neither_rows_nor_messages_say_more_than_before() -> None:
    async def main() -> None:
        world = World()
        await world.boot()
        await provisioned(world)
        rows = [
            document.body
            for document in await world.documents("environments")
            if document.body.get("type") == "outbox"
        ]

        assert not any("traceparent" in row for row in rows)
        assert world.services["environments"].telemetry is OFF
        await world.stop()

    run_virtual(main())
