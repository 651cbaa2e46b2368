"""A call of a surface, the engine, a vault or another app is a span below the work that waits."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web

from local_cloud.storage import LocalStorage
from local_cloud.vault.vault import Vaults
from local_host.embedded_parts import EmbeddedHost, EmbeddedParts
from shared.composition.recorded_parts import recorded_parts
from shared.composition.settings import LOCAL, PROFILE, read_settings
from shared.contracts.values import ComputeTargetKind
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.kernel.errors import NotFound
from shared.telemetry.exporters import Exporters, pipeline, telemetry
from shared.telemetry.names import ACTIVITY_RUN, OPERATION, TENANT, TIMER_RUN
from shared.telemetry.outside_calls import recorded
from shared.telemetry.trace_context import read_traceparent
from shared.telemetry.work import OFF, Telemetry
from shared.vault.port import SecretValue
from shared.web.reader import HttpReader
from tests.kit.otlp_receiver import OtlpReceiver, otlp_receiver
from tests.kit.service import Sent

pytestmark = pytest.mark.real
TRACE: Final = "trace-" + "ab" * 16
CANARY: Final = "canary-7f3a9"


@contextmanager
def recording() -> Iterator[tuple[Telemetry, OtlpReceiver]]:
    """Give telemetry and the collector, which has everything once this is left."""
    with otlp_receiver() as collector:
        exporters = Exporters(("otlp",), otlp_endpoint=collector.url)
        recorder = telemetry(exporters, "secret-bindings", SystemClock(), SystemEntropy())
        yield recorder, collector
        pipeline(exporters).flush()
        pipeline(exporters).close()


async def test_a_call_of_the_vault_says_neither_value_nor_name(tmp_path: Path) -> None:
    with recording() as (recorder, collector):
        opened = Vaults(tmp_path, SystemClock(), SystemEntropy()).open("runtime")
        vault = recorded(opened, "vault")
        attributes: dict[str, Any] = {TENANT: "acme", OPERATION: "op-1"}
        with recorder.span(ACTIVITY_RUN, "rotate", TRACE, attributes):
            await vault.set(f"name-{CANARY}", SecretValue(CANARY))
            with pytest.raises(NotFound):
                await vault.get(f"other-{CANARY}")

    made, refused, activity = collector.spans  # in the order in which they ended
    assert [each.name for each in (made, refused)] == ["vault set", "vault get"]
    assert {made.parent, refused.parent} == {activity.span}
    assert made.attributes["tenantId"] == "acme"
    assert made.attributes["operationId"] == "op-1"
    assert (refused.is_error, refused.attributes["errorCode"]) == (False, "NotFound")
    assert CANARY.encode() not in b"".join(body for _, body in collector.bodies)


async def test_another_app_gets_the_trace(tmp_path: Path) -> None:
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("traceparent", ""))
        return web.json_response({})

    app = web.Application()
    app.router.add_get("/{tail:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    reader = HttpReader(f"http://127.0.0.1:{runner.addresses[0][1]}")
    with recording() as (recorder, collector):
        with recorder.span(ACTIVITY_RUN, "promote", TRACE, {}):
            await reader.get(f"/v1/things?{CANARY}", CANARY)
        with OFF.span(ACTIVITY_RUN, "promote", TRACE, {}):
            await reader.get("/v1/things", CANARY)
    await runner.cleanup()

    (call,) = [each for each in collector.spans if each.name == "app get"]
    told, untold = map(read_traceparent, seen)
    assert told is not None
    assert (told.trace_id, told.span) == (TRACE, call.span)
    assert untold is None
    assert CANARY.encode() not in b"".join(body for _, body in collector.bodies)


async def test_a_timers_calls_are_measured_and_no_spans(tmp_path: Path) -> None:
    with recording() as (recorder, collector):
        opened = Vaults(tmp_path, SystemClock(), SystemEntropy()).open("runtime")
        with recorder.span(TIMER_RUN, "sweep_rotations", "", {}):
            await recorded(opened, "vault").names()

    assert collector.spans == []
    ((attributes, count),) = collector.figures["runtime.call.duration"]
    assert (attributes["port"], attributes["call"], count) == ("vault", "names", 1)


def test_the_ports_of_an_app_are_recorded_and_its_stores_are_not(tmp_path: Path) -> None:
    clock, entropy = SystemClock(), SystemEntropy()
    storage = LocalStorage(tmp_path, clock, in_memory=True)
    host = EmbeddedHost(clock, entropy, Sent(), storage, tmp_path)
    parts = EmbeddedParts(host, read_settings({PROFILE: LOCAL}))
    found = recorded_parts(parts)

    assert found.clock is clock
    assert type(found.store("things")) is type(parts.store("things"))
    assert list(found.surfaces()) == [ComputeTargetKind.LOCAL_PROCESS]
    kinds = {
        type(each).__name__ for each in (*found.surfaces().values(), found.engine(), found.vault())
    }
    assert kinds == {"_RecordedPort"}
    storage.close()
