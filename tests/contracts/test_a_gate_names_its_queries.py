"""The metrics of a gate: what each source takes, and what is refused before anything is asked."""

import json
from typing import Any, Final

import pytest
from pydantic import ValidationError

from shared.contracts.gates import EvaluateGate, Gate
from tests.health.traffic import a_gate

GOOD: Final = {
    "source": "prometheus",
    "requests": 'sum(increase(r{a="{{component}}"}[{{window}}]))',
    "errors": 'sum(increase(e{a="{{component}}"}[{{window}}]))',
}
RESOURCE: Final = (
    "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/shop/providers"
    "/Microsoft.App/containerApps/web"
)
AZURE: Final = {
    "source": "azureMonitor", "resource": RESOURCE, "namespace": "Microsoft.App/containerApps",
    "requests": "Requests | Total | revisionName eq 'web--{{revision}}'",
    "errors": "Requests | Total | revisionName eq 'web--{{revision}}' | statusCodeCategory = 5xx",
}  # fmt: skip
LOGS: Final = {
    "source": "logAnalytics",
    "requests": "R | where a == '{{revision}}' | summarize value=count(), latest=max(t)",
    "errors": "R | where a == '{{revision}}' | summarize value=count(), latest=max(t)",
}
REFUSED: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "an-unknown-source": ({**GOOD, "source": "statsd"}, "'surface', 'prometheus'"),
    "a-source-of-no-gate": ({**GOOD, "source": "kubernetes"}, "'surface', 'prometheus'"),
    "an-unknown-figure": ({**GOOD, "cpu": "up"}, "Extra inputs"),
    "queries-of-the-surface": ({"source": "surface", "errors": GOOD["errors"]}, "takes no queries"),
    "no-errors": ({k: v for k, v in GOOD.items() if k != "errors"}, "errors for prometheus"),
    "no-queries": ({"source": "prometheus"}, "requests and errors for prometheus"),
    "an-unknown-placeholder": ({**GOOD, "errors": 'e{a="{{pod}}"}[{{window}}]'}, "errors: one of"),
    "an-id-in-no-string": ({**GOOD, "errors": "{{component}}[{{window}}]"}, "inside a string"),
    "no-window": ({**GOOD, "errors": 'e{a="{{component}}"}[5m]'}, "in errors: {{window}}"),
    "too-long": ({**GOOD, "errors": GOOD["errors"] + " " * 2000}, "at most 2000"),
    "a-control-character": ({**GOOD, "errors": "\x00" + GOOD["errors"]}, "pattern"),
    "azure-without-a-resource": ({**AZURE, "resource": None}, "resource and namespace for"),
    "a-resource-of-prometheus": ({**GOOD, "resource": RESOURCE}, "resource and namespace for"),
    "a-resource-that-is-none": ({**AZURE, "resource": "/shop"}, "pattern"),
    "a-resource-above-its-own": (
        {**AZURE, "resource": RESOURCE.replace("/web", "/../../../rival")}, "pattern",
    ),
    "a-resource-group-of-dots": ({**AZURE, "resource": RESOURCE.replace("shop", "..")}, "pattern"),
    "a-resource-with-escapes": ({**AZURE, "resource": f"{RESOURCE}/%2e%2e"}, "pattern"),
    "latency-of-azure": ({**AZURE, "latency": "R | Average |"}, "has no histogram"),
    "an-unknown-aggregation": ({**AZURE, "errors": "Requests | P99 |"}, "metric | Total, Average"),
    "a-dimension-of-an-average": (
        {**AZURE, "errors": "R | Average | | a = b"}, "metric | Total, Average",
    ),
    "a-dimension-without-a-value": ({**AZURE, "errors": "R | Total | | a"}, "metric | Total"),
    "five-parts": ({**AZURE, "errors": "R | Total | | a = b | c"}, "metric | Total"),
    "kusto-with-an-id-outside": ({**LOGS, "errors": "{{component}} | count"}, "inside a string"),
    "an-unknown-unit": ({**GOOD, "latencyUnit": "us"}, "'s' or 'ms'"),
}  # fmt: skip


@pytest.mark.parametrize(("metrics", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_could_not_be_asked_is_refused(metrics: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Gate.model_validate({"metrics": metrics})
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    "metrics",
    [GOOD, AZURE, LOGS, {"source": "surface"}, {}],
    ids=["prometheus", "azure-monitor", "log-analytics", "surface", "default"],
)
def test_what_can_be_asked_is_read_back_as_it_was_written(metrics: dict[str, Any]) -> None:
    gate = Gate.model_validate({"metrics": metrics})

    assert Gate.model_validate_json(gate.model_dump_json()) == gate


def test_a_gate_without_metrics_is_one_that_an_earlier_release_reads() -> None:
    written = json.loads(a_gate().model_dump_json())

    assert "metrics" not in written
    assert "metrics" not in json.loads(Gate().model_dump_json())
    assert EvaluateGate.model_validate(written) == a_gate()
