import json
from datetime import UTC, datetime
from typing import Any

import pytest

from function_apps.environments.errors import EnvironmentExists
from function_apps.environments.model.requests import differences, new_environment, spec_from
from shared.kernel.errors import Violation
from tests.environments.driven import a_request


@pytest.mark.parametrize(
    ("fields", "way"),
    [
        pytest.param(
            ("/region",),
            "region cannot change; decommission the environment and create it again",
            id="region",
        ),
        pytest.param(("/stage", "/tags"), "stage cannot change", id="stage-and-tags"),
        pytest.param(("/tags",), "update the environment", id="tags"),
    ],
)
def test_a_conflict_says_whether_an_update_or_a_new_environment_helps(
    fields: tuple[str, ...], way: str
) -> None:
    differing = [Violation("Differs", field, "differs", "a", "b") for field in fields]

    assert way in EnvironmentExists("env-w5ekllr23tyb", differing).message


def test_values_that_differ_are_shown_as_json() -> None:
    asked = a_request(dataResources=[{"kind": "LocalFolder", "name": "a"}])
    facts: dict[str, Any] = {"environment_id": "env-w5ekllr23tyb", "tenant_id": "tenant-a"}
    facts |= {"operation_id": "op-1", "trace_id": "", "now": datetime(2026, 1, 1, tzinfo=UTC)}
    known = new_environment(asked, **facts)

    (violation,) = differences(known, spec_from(a_request()), stage="test", region="westeurope")

    shown = [{"kind": "LocalFolder", "name": "a", "settings": {}}]
    assert json.loads(violation.expected or "") == shown
    assert "<" not in (violation.received or "")
