"""Each rule has the settings of its signal and no others, and the service has what it measures."""

from typing import Any

import pytest

from function_apps.scaling.model.rule_checks import violations
from function_apps.scaling.model.scaled_service import ScaledService
from shared.contracts.scaling import ScalingPolicyChange
from shared.surfaces.capabilities import Capabilities, Feature
from tests.scaling.policies import policy

ALL = Capabilities("Memory", {}, replicas_max=20)
WORKER = {"resources": {"cpu": 1, "memoryMib": 512}}
SERVER = {**WORKER, "port": 8080}
HOURS = {"start": "0 8 * * *", "end": "0 20 * * *"}
QUEUE = {"source": "prometheus", "query": "sum(jobs)"}


def rule_of(signal: str, target: float = 3, **settings: str) -> dict[str, Any]:
    return {"signal": signal, "target": target, "settings": settings}


def refused(
    content: ScalingPolicyChange,
    component: dict[str, Any] | None = None,
    surface: Capabilities = ALL,
) -> list[tuple[str, str]]:
    """Return where *content* is refused and what came; of a service only with *component*."""
    service = component and ScaledService("s", "t", "e", "m", component=component)
    found = violations(content, service or None, surface)
    assert all(each.expected for each in found)
    return [(each.target, each.received) for each in found]


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(rule_of("latency"), id="latency-is-of-requests"),
        pytest.param(rule_of("latency", percentile="1", latencyUnit="ms"), id="lowest-percentile"),
        pytest.param(rule_of("latency", percentile="99", latencyUnit="s"), id="highest-percentile"),
        pytest.param(rule_of("schedule", **HOURS, timeZone="Europe/Berlin"), id="a-window"),
        pytest.param(rule_of("schedule", **HOURS), id="a-window-in-utc"),
        pytest.param(rule_of("burnRate", sli="availability"), id="burn-rate"),
        pytest.param(rule_of("queueLength", **QUEUE), id="a-queue"),
        pytest.param(rule_of("cpu"), id="cpu"),
    ],
)
def test_a_rule_with_the_settings_of_its_signal_is_taken(rule: dict[str, Any]) -> None:
    assert refused(policy(rule), SERVER) == []


@pytest.mark.parametrize(
    ("rule", "place", "received"),
    [
        pytest.param(rule_of("cpu", sli="x"), "settings", "sli", id="of-another-signal"),
        pytest.param(rule_of("cpu", source="surface"), "settings/source", "surface", id="source"),
        pytest.param(rule_of("cpu", query="x"), "settings/query", "x", id="no-query-there"),
        pytest.param(
            rule_of("cpu", source="prometheus"), "settings/query", "none", id="a-query-is-lacking"
        ),
        pytest.param(
            rule_of("latency", percentile="0"), "settings/percentile", "0", id="no-percentile-0"
        ),
        pytest.param(
            rule_of("latency", percentile="100"), "settings/percentile", "100", id="nor-100"
        ),
        pytest.param(
            rule_of("latency", percentile="x"), "settings/percentile", "x", id="a-percentile"
        ),
        pytest.param(
            rule_of("latency", latencyUnit="us"), "settings/latencyUnit", "us", id="a-unit"
        ),
        pytest.param(
            rule_of("latency", source="kubernetes"), "settings/source", "kubernetes",
            id="a-latency-has-its-source",
        ),
        pytest.param(
            rule_of("schedule", end="0 20 * * *"), "settings/start", "none", id="a-start"
        ),
        pytest.param(
            rule_of("schedule", start="0 8 * * *", end="at 8"), "settings/end", "at 8", id="an-end"
        ),
        pytest.param(
            rule_of("schedule", **HOURS, timeZone="Mars"), "settings/timeZone", "Mars", id="a-zone"
        ),
        pytest.param(rule_of("schedule", 2.5, **HOURS), "target", "2.5", id="whole-instances"),
    ],
)  # fmt: skip
def test_a_setting_that_does_not_fit_is_named(
    rule: dict[str, Any], place: str, received: str
) -> None:
    assert refused(policy(rule)) == [(f"/rules/0/{place}", received)]


def test_a_queue_of_azure_names_its_resource_and_namespace() -> None:
    rule = rule_of("queueLength", source="azureMonitor", query="ActiveMessages")

    assert refused(policy(rule)) == [
        ("/rules/0/settings/resource", "none"), ("/rules/0/settings/namespace", "none"),
    ]  # fmt: skip


def test_nothing_but_a_queue_and_a_schedule_wake_a_service_without_instances() -> None:
    assert refused(policy(rule_of("cpu"), min=0)) == [("/min", "0")]
    assert refused(policy(rule_of("cpu"), rule_of("queueLength", **QUEUE), min=0)) == []
    assert refused(policy(rule_of("schedule", **HOURS), min=0), WORKER) == []


def test_a_service_that_answers_keeps_an_instance() -> None:
    assert refused(policy(rule_of("schedule", **HOURS), min=0), SERVER) == [("/min", "0")]
    assert refused(policy(rule_of("requests"), min=0), SERVER) == [("/min", "0")]


def test_a_surface_without_the_feature_keeps_an_instance() -> None:
    lacking = Capabilities("Other", {Feature.SCALE_TO_ZERO: "it has one"}, replicas_max=20)

    assert refused(policy(rule_of("schedule", **HOURS), min=0), WORKER, lacking) == [("/min", "0")]


@pytest.mark.parametrize("ends", ["runsOnce", "schedule"])
def test_a_service_that_runs_to_its_end_has_no_number(ends: str) -> None:
    assert refused(policy(rule_of("cpu")), {**WORKER, ends: {}}) == [
        ("/serviceId", "one that runs to its end")
    ]


def test_no_more_than_the_surface_runs() -> None:
    assert refused(policy(rule_of("cpu"), max=20), WORKER) == []
    assert refused(policy(rule_of("cpu"), max=21), WORKER) == [("/max", "21")]


@pytest.mark.parametrize("signal", ["requests", "concurrency", "latency"])
def test_a_worker_has_no_requests_that_the_surface_counts(signal: str) -> None:
    measured = rule_of(signal, source="prometheus", query="sum(x)")

    assert refused(policy(rule_of(signal)), WORKER) == [("/rules/0/signal", signal)]
    assert refused(policy(rule_of(signal, source="surface")), WORKER) == [
        ("/rules/0/signal", signal)
    ]
    assert refused(policy(rule_of(signal)), SERVER) == []
    assert refused(policy(measured), WORKER) == []


@pytest.mark.parametrize("signal", ["cpu", "memory"])
def test_a_share_needs_a_limit_that_it_is_a_share_of(signal: str) -> None:
    of_other = {"cpu": {"memoryMib": 512}, "memory": {"cpu": 1}}[signal]

    assert refused(policy(rule_of(signal)), WORKER) == []
    assert refused(policy(rule_of(signal)), {"resources": of_other}) == [
        ("/rules/0/signal", signal)
    ]


def test_a_ceiling_is_of_instances_that_cost_something() -> None:
    ceiling = {"amount": 1, "currency": "EUR", "prices": {"cpu": 1}}
    free = {"resources": {"memoryMib": 512}}

    assert refused(policy(rule_of("memory"), costCeiling=ceiling), WORKER) == []
    assert refused(policy(rule_of("memory"), costCeiling=ceiling), free) == [
        ("/costCeiling/prices", "an instance that costs nothing")
    ]


@pytest.mark.parametrize(
    ("rule", "feature"),
    [
        pytest.param(rule_of("cpu"), Feature.NATIVE_SCALING, id="a-measure"),
        pytest.param(rule_of("schedule", **HOURS), Feature.EVENT_SCALING, id="a-schedule"),
        pytest.param(rule_of("queueLength", trigger="kafka"), Feature.EVENT_SCALING, id="a-queue"),
    ],
)
def test_a_surface_that_cannot_scale_by_itself_is_not_asked_to(
    rule: dict[str, Any], feature: Feature
) -> None:
    lacking = Capabilities("Other", {feature: "it has none"}, replicas_max=20)

    assert refused(policy(rule, actuator="native"), WORKER) == []
    assert refused(policy(rule, actuator="native"), WORKER, lacking) == [("/actuator", "native")]


def test_the_windows_of_a_surface_are_checked_as_ours() -> None:
    rule = rule_of("schedule", start="at 8", end="0 20 * * *")

    assert refused(policy(rule, actuator="native")) == [("/rules/0/settings/start", "at 8")]
