"""`docs/telemetry.md` has every span, metric and attribute, as the code names them."""

import re
import tomllib
from pathlib import Path

import pytest

from shared.telemetry.names import ATTRIBUTES, METRICS, VERSION, WORKS
from tools.telemetry_reference import PAGE, rewritten

ROOT = Path(__file__).parents[2]
OF_ONE = {"tenantId", "projectId", "moduleId", "traceId", "correlationId", "environment",
          "operationId", "messaging.message.id"}  # fmt: skip
"""Attributes with a value for each tenant, environment, message: too many for a metric."""


def test_the_page_is_what_its_tool_writes() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert page == rewritten(page), "run: python -m tools.telemetry_reference"


@pytest.mark.parametrize(
    "name",
    [
        "runtime.deployment.duration",
        "runtime.deployment.rollback.rate",
        "runtime.health.status",
        "runtime.scaling.replicas",
        "runtime.scaling.actions",
        "runtime.drift.open",
        "runtime.drift.remediation.time",
        "runtime.secret.rotation.age",
    ],
)
def test_a_metric_of_the_specification_is_recorded_or_said_to_be_missing(name: str) -> None:
    missing = PAGE.read_text(encoding="utf-8").partition("## Not there yet")[2].partition("##")[0]
    recorded = {each.name for each in METRICS}

    assert (name in recorded) != (f"`{name}`" in missing)


def test_a_metric_has_only_attributes_with_few_values() -> None:
    dimensions = {name for each in (*WORKS, *METRICS) for name in each.dimensions}

    assert dimensions <= set(ATTRIBUTES) - OF_ONE


def test_every_name_is_below_ours() -> None:
    names = [each.metric for each in WORKS] + [each.name for each in METRICS]

    assert len(set(names)) == len(names)
    assert [name for name in names if not re.fullmatch(r"runtime(\.[a-z]+)+", name)] == []


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["version"] == VERSION
