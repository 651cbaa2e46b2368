"""Two processes of one app report under one name and two ids, or their counters would be one."""

import pytest
from opentelemetry.sdk.trace import Tracer

from shared.kernel.clock import SystemClock
from shared.telemetry.pipeline import Pipeline
from shared.telemetry.recorder import Recorder
from tests.kit.seeded_entropy import SeededEntropy


def test_each_process_reports_as_an_instance_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=blue")
    pipelines = [Pipeline({}, [], [], 1.0) for _ in range(2)]

    reported = [
        (pipeline.resource("runtime-catalog").attributes, pipeline.resource("figures").attributes)
        for pipeline in pipelines
    ]
    for pipeline in pipelines:
        pipeline.close()

    (first, figures), (second, _) = reported
    assert first["service.name"] == second["service.name"] == "runtime-catalog"
    assert first["service.instance.id"] == figures["service.instance.id"]
    assert first["service.instance.id"] != second["service.instance.id"]
    assert first["deployment.environment"] == "blue"


def test_spans_say_of_which_instance_they_are() -> None:
    pipeline = Pipeline({}, [], [], 1.0)
    recorder = Recorder("catalog", pipeline, SystemClock(), SeededEntropy(1))
    pipeline.close()

    assert isinstance(recorder.tracer, Tracer)
    assert recorder.tracer.resource == pipeline.resource("runtime-catalog")
