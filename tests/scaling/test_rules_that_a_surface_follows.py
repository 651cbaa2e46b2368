"""A policy whose number the surface sets: its rules in the words of the surface, or why not."""

from typing import Any

import pytest

from function_apps.scaling.model.native_rules import native_rules, native_violations, violation
from shared.contracts.scaling import ScalingPolicyChange
from shared.surfaces.scaling import EventRule, Measure, ScalingRules, UtilizationRule
from tests.scaling.policies import policy

CPU = {"signal": "cpu", "target": 69.6}
MEMORY = {"signal": "memory", "target": 80}
HOURS = {"start": "0 8 * * *", "end": "0 20 * * *"}
SERVICE_BUS = {"trigger": "azure-servicebus", "queueName": "jobs"}


def rule_of(signal: str, target: float, **settings: str) -> dict[str, Any]:
    return {"signal": signal, "target": target, "settings": settings}


def refusals(content: ScalingPolicyChange) -> list[tuple[str, str, str]]:
    return [(each.target, each.expected, each.received) for each in native_violations(content)]


def test_bounds_and_the_longer_of_both_waits_are_the_surfaces() -> None:
    assert native_rules(policy(CPU, stabilisation="PT2M", cooldown="PT3M")) == ScalingRules(
        1, 10, (UtilizationRule(Measure.CPU, 70),), 180.0
    )
    assert native_rules(policy(MEMORY, stabilisation="PT2M", cooldown="PT1M")).cooldown_s == 120


@pytest.mark.parametrize(
    ("rule", "native"),
    [
        pytest.param(MEMORY, UtilizationRule(Measure.MEMORY, 80), id="memory"),
        pytest.param(
            rule_of("schedule", 3, **HOURS, timeZone="Europe/Berlin"),
            EventRule("cron", {**HOURS, "timezone": "Europe/Berlin", "desiredReplicas": "3"}),
            id="a-schedule",
        ),
        pytest.param(
            rule_of("schedule", 3, **HOURS),
            EventRule("cron", {**HOURS, "timezone": "UTC", "desiredReplicas": "3"}),
            id="a-schedule-is-in-utc",
        ),
        pytest.param(
            rule_of("queueLength", 5, **SERVICE_BUS, authentication="keda-auth"),
            EventRule("azure-servicebus", {"queueName": "jobs", "messageCount": "5"}, "keda-auth"),
            id="a-queue-with-its-login",
        ),
        pytest.param(
            rule_of("queueLength", 2.5, trigger="prometheus", query="sum(jobs)"),
            EventRule("prometheus", {"query": "sum(jobs)", "threshold": "2.5"}),
            id="a-queue-without",
        ),
    ],
)
def test_a_rule_is_said_in_the_words_of_the_surface(
    rule: dict[str, Any], native: UtilizationRule | EventRule
) -> None:
    assert native_rules(policy(rule)).rules == (native,)


@pytest.mark.parametrize(
    "rule",
    [CPU, MEMORY, rule_of("schedule", 3, **HOURS), rule_of("queueLength", 5, **SERVICE_BUS)],
    ids=["cpu", "memory", "schedule", "queue"],
)
def test_what_a_surface_measures_itself_it_follows(rule: dict[str, Any]) -> None:
    assert refusals(policy(rule)) == []


@pytest.mark.parametrize(
    ("rule", "target", "expected", "received"),
    [
        pytest.param(
            {**CPU, "settings": {"source": "prometheus"}},
            "/rules/0/settings", "none", "source", id="a-measure-without-settings",
        ),
        pytest.param(
            rule_of("schedule", 3, start="0 8 * * *"),
            "/rules/0/settings", "start, end and timeZone", "{'start': '0 8 * * *'}",
            id="a-window-has-an-end",
        ),
        pytest.param(
            rule_of("schedule", 3, start="0 8 * * *", end="0 9 * * *", trigger="cron"),
            "/rules/0/settings", "start, end and timeZone",
            "{'start': '0 8 * * *', 'end': '0 9 * * *', 'trigger': 'cron'}",
            id="a-window-has-nothing-else",
        ),
        pytest.param(
            rule_of("latency", 3),
            "/rules/0/signal",
            "cpu, memory, queueLength or schedule, which a surface measures itself",
            "latency", id="what-no-surface-measures",
        ),
        pytest.param(
            rule_of("queueLength", 3),
            "/rules/0/settings/trigger",
            "one of azure-queue, azure-servicebus, kafka, prometheus, rabbitmq, redis", "none",
            id="a-queue-without-a-trigger",
        ),
        pytest.param(
            rule_of("queueLength", 3, trigger="cron"),
            "/rules/0/settings/trigger",
            "one of azure-queue, azure-servicebus, kafka, prometheus, rabbitmq, redis", "cron",
            id="a-queue-of-an-unknown-trigger",
        ),
    ],
)  # fmt: skip
def test_a_rule_that_no_surface_follows_is_named(
    rule: dict[str, Any], target: str, expected: str, received: str
) -> None:
    assert refusals(policy(rule)) == [(target, expected, received)]


def test_a_rule_is_named_by_its_place() -> None:
    assert [each[0] for each in refusals(policy(CPU, rule_of("latency", 3)))] == ["/rules/1/signal"]


def test_a_surface_needs_a_rule_and_knows_no_prices() -> None:
    none = policy().model_copy(update={"rules": ()})
    dear = policy(CPU, costCeiling={"amount": 1, "currency": "EUR", "prices": {"instance": 1}})

    assert refusals(none) == [("/rules", "at least one rule of the surface", "none")]
    assert refusals(dear) == [("/costCeiling", "none: a surface knows no prices; lower max", "one")]


def test_what_came_is_shown_in_part() -> None:
    found = violation("/min", "1", "x" * 300)

    assert (found.code, found.received) == ("PolicyInvalid", "x" * 200)
    assert found.message == f"expected 1, got {'x' * 200}"
