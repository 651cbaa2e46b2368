"""An environment is one document: it does not grow with the number of its services."""

from datetime import timedelta
from typing import Any

import pytest

from function_apps.drift.model import rolled_back
from function_apps.drift.model.environment_scan import EnvironmentScan, on_deployment_event
from shared.contracts.releases import Hold
from shared.contracts.values import Reason
from tests.kit.told import ENVIRONMENT, deployment_of, ended, released
from tests.kit.virtual_time import EPOCH

KEPT = 5
MODULES = [f"module-{number}" for number in range(2 * KEPT)]


@pytest.fixture(autouse=True)
def few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rolled_back, "RELEASES_KEPT", KEPT)


def heard(scan: EnvironmentScan, number: int, module: str, **how: Any) -> EnvironmentScan:
    """Return *scan* after the end of a deployment of *module*."""
    unit = released(module)
    at = EPOCH + timedelta(minutes=number)
    event = ended(number, [unit], at=at, **how)
    if how:
        hold = Hold(
            environment_id=ENVIRONMENT,
            module_id=module,
            digest=unit["digest"],
            version=unit["version"],
            release_ref="v1",
            deployment_id=deployment_of(number),
            reason=Reason(code="ProbeFailed", message="not ready in time"),
            held_at=at,
        )
        event = event.model_copy(update={"holds": (hold,)})
    return on_deployment_event(scan, event, at) or scan


def test_of_many_completed_releases_the_newest_are_known() -> None:
    scan = EnvironmentScan(ENVIRONMENT)
    for number, module in enumerate(MODULES, 1):
        scan = heard(scan, number, module)

    assert [*scan.completed] == MODULES[-KEPT:]


def test_of_many_holds_those_that_have_not_ended_and_the_newest_are_known() -> None:
    scan = EnvironmentScan(ENVIRONMENT)
    for number, module in enumerate(MODULES, 1):
        scan = heard(scan, number, module, rolled_back=True)
    for number, module in enumerate(MODULES[1:], 100):
        scan = heard(scan, number, module)

    assert [*scan.rolled_back] == [MODULES[0], *MODULES[-KEPT:]]
    assert [name for name, each in scan.rolled_back.items() if not each.has_ended] == [MODULES[0]]
