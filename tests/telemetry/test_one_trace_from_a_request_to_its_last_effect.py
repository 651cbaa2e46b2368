"""A deployment is one trace, from the request over outbox, events and activities to other services.

The whole system in memory exports to a collector of the test, by the real exporter.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest

from shared.telemetry.exporters import Exporters, pipeline
from shared.telemetry.names import ATTRIBUTES, METRICS, WORKS
from shared.web.issuer import LocalIssuer
from tests.kit.otlp_receiver import OtlpReceiver, ReceivedSpan, otlp_receiver
from tests.kit.releases import a_component, ended, provisioned, scaled, uploaded
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World

CALLER: Final = "cd" * 8
TRACE: Final = "ab" * 16
CANARY: Final = "canary-7f3a9"
SERVER: Final = 2
A_HEARTBEAT_S: Final = 301
"""Within it health says how each service is."""


@dataclass(frozen=True)
class KeptTokens:
    """An issuer whose tokens the test gets to know."""

    issuer: LocalIssuer
    tokens: list[str]

    def token(self, *asked: Any) -> str:
        self.tokens.append(self.issuer.token(*asked))
        return self.tokens[-1]


@dataclass(frozen=True)
class Recorded:
    """What the collector got of one deployment, and the tokens that were sent."""

    collector: OtlpReceiver
    deployment: Any
    tokens: list[str]

    @property
    def spans(self) -> list[ReceivedSpan]:
        return [span for span in self.collector.spans if span.trace == TRACE]

    def named(self, name: str, service: str) -> ReceivedSpan:
        (found,) = [each for each in self.spans if (each.name, each.service) == (name, service)]
        return found

    def above(self, span: ReceivedSpan) -> list[str]:
        """Return the names of the spans over *span*, the nearest first."""
        by_id, names = {each.span: each for each in self.spans}, []
        while span.parent in by_id:
            span = by_id[span.parent]
            names.append(span.name)
        return names


@pytest.fixture(scope="module")
def recorded() -> Iterator[Recorded]:
    with otlp_receiver() as collector:
        settings = {
            "RUNTIME_TELEMETRY": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{CANARY}",
        }
        tokens: list[str] = []

        async def main() -> Any:
            world = World(requests_per_s=30, app_settings=settings)
            kept: Any = KeptTokens(world.issuer, tokens)
            world.issuer = kept
            await world.boot()
            environment = await provisioned(world)
            digest = await uploaded(world, "1")
            component = a_component(digest, "1", command=["serve", CANARY])
            body = {
                "environmentId": environment,
                "releaseRef": f"v1-{CANARY}",
                "components": [component],
            }
            headers = {"traceparent": f"00-{TRACE}-{CALLER}-01", "idempotency-key": CANARY}
            status, accepted = await world.call(
                "POST", "/runtime/deployments", body, headers=headers
            )
            assert status == 202, accepted
            await world.call("GET", f"/runtime/deployments?{CANARY}=1")
            deployment = await ended(world, accepted["deploymentId"])
            await scaled(world)
            await world.clock.sleep(A_HEARTBEAT_S)
            await world.stop()
            return deployment

        deployment = run_virtual(main())
        opened = pipeline(
            Exporters(("otlp",), 1.0, collector.url, settings["OTEL_EXPORTER_OTLP_HEADERS"])
        )
        opened.flush()
        yield Recorded(collector, deployment, tokens)
        opened.close()


@pytest.mark.long
def test_the_request_is_below_its_caller(recorded: Recorded) -> None:
    request = recorded.named("POST v1/runtime/deployments", "runtime-deployments")

    assert (request.parent, request.kind) == (CALLER, SERVER)
    assert request.attributes["http.response.status_code"] == 202
    assert request.attributes["tenantId"] == "acme"
    assert request.attributes["operationId"] == recorded.deployment["operation"]["operationId"]


def test_every_span_leads_up_to_the_request(recorded: Recorded) -> None:
    roots = {recorded.above(span)[-1] for span in recorded.spans if span.parent != CALLER}

    assert roots == {"POST v1/runtime/deployments"}


def test_the_last_activity_is_below_the_start_of_its_orchestration(recorded: Recorded) -> None:
    last = recorded.named("deployments_complete_release", "runtime-deployments")

    assert recorded.above(last) == [
        "start deployments_roll_out_release",
        "POST v1/runtime/deployments",
    ]


def test_the_next_app_handles_the_event_below_its_publication(recorded: Recorded) -> None:
    handled = recorded.named("handle RuntimeDeploymentCompleted", "runtime-catalog")

    assert recorded.above(handled) == [
        "publish RuntimeDeploymentCompleted",
        "deployments_complete_release",
        "start deployments_roll_out_release",
        "POST v1/runtime/deployments",
    ]
    assert handled.attributes["outcome"] == "handled"


def test_a_gate_of_another_app_is_part_of_the_trace(recorded: Recorded) -> None:
    verdict = recorded.named("health_conclude_gate", "runtime-health")

    assert recorded.above(verdict)[:3] == [
        "start health_evaluate_gate",
        "handle EvaluateGate",
        "publish EvaluateGate",
    ]


def test_replays_repeat_no_span(recorded: Recorded) -> None:
    ids = Counter(span.span for span in recorded.spans)
    once = Counter(span.name for span in recorded.spans)

    assert max(ids.values()) == 1
    assert once["start deployments_roll_out_release"] == 1
    assert once["deployments_begin_rollout"] == 1


def test_no_token_header_query_or_body_is_exported(recorded: Recorded) -> None:
    exported = b"".join(body for _, body in recorded.collector.bodies)
    secret = [CANARY, *recorded.tokens, *(each.split(".")[2] for each in recorded.tokens)]

    assert [each for each in secret if each.encode() in exported] == []
    assert len(recorded.tokens) > 3
    assert {each["authorization"] for each in recorded.collector.headers} == {f"Bearer {CANARY}"}


def test_attributes_are_those_of_the_page(recorded: Recorded) -> None:
    attributes = {name for span in recorded.collector.spans for name in span.attributes}

    assert attributes <= set(ATTRIBUTES)
    for span in recorded.spans:
        assert {"tenantId", "traceId", "service"} <= set(span.attributes), span
        assert span.attributes["traceId"] == f"trace-{TRACE}"


def test_figures_have_few_values_and_the_names_of_the_page(recorded: Recorded) -> None:
    figures = recorded.collector.figures
    dimensions = {each.name: set(each.dimensions) for each in METRICS}
    dimensions |= {each.metric: set(each.dimensions) for each in WORKS}

    ours = {name: points for name, points in figures.items() if name.startswith("runtime.")}
    for name, points in ours.items():
        named = {key for attributes, _ in points for key in attributes}
        assert named <= dimensions[name] | {"service"}, name
        assert TRACE not in json.dumps([attributes for attributes, _ in points])


def test_a_deployment_and_its_operations_are_counted(recorded: Recorded) -> None:
    figures = recorded.collector.figures
    ended_as = ({"kind": "release", "status": "Completed", "service": "deployments"}, 1)
    operations = {
        (attributes["service"], attributes["status"]): value
        for attributes, value in figures["runtime.operations"]
    }

    assert figures["runtime.deployment.duration"] == [ended_as]
    assert figures["runtime.deployment.rollback.rate"] == [({"service": "deployments"}, 0)]
    assert operations["deployments", "NotStarted"] == 1
    assert operations["deployments", "Succeeded"] == 1
    assert operations["health", "Succeeded"] == 1
    assert {attributes["timer"] for attributes, _ in figures["runtime.sweep.due"]} >= {
        "sweep_outbox"
    }
    by_status = {each["status"]: value for each, value in figures["runtime.health.status"]}
    assert by_status["Healthy"] == 1


def test_decisions_of_scaling_are_counted_and_instances_summed(recorded: Recorded) -> None:
    figures = recorded.collector.figures
    instances = {
        (attributes["service"], attributes["kind"]): value
        for attributes, value in figures["runtime.scaling.replicas"]
    }
    decided = {attributes["reason"] for attributes, _ in figures["runtime.scaling.actions"]}

    assert instances == {("scaling", "desired"): 2, ("scaling", "actual"): 2}
    assert "Rule" in decided
