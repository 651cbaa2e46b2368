"""The inventory shows as many instances as the policy of a service wants."""

from dataclasses import replace
from typing import Any

import pytest

from function_apps.catalog.model.service import (
    RuntimeService,
    new_service,
    record_row,
    record_scaling,
    release_row,
    removal_row,
)
from shared.contracts.catalog import RecordRelease
from shared.contracts.scaling import ScalingPolicyApplied
from shared.messaging.fan_out import releases_of
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT, WEB, ended, released, service_of
from tests.kit.virtual_time import EPOCH


def service() -> RuntimeService:
    """Return a service that was released with two instances."""
    (release,) = releases_of(ended(1, [released(replicas=2)]), RecordRelease)
    fresh = new_service(release, service_id=service_of(), tenant_id=TENANT)
    recorded = record_row(fresh, release_row(release, EPOCH)).service
    assert recorded is not None
    return recorded


def applied(revision: int, desired: int, **changes: Any) -> ScalingPolicyApplied:
    return ScalingPolicyApplied.model_validate(
        {
            "aggregateId": service_of().replace("svc-", "sp-"),
            "revision": revision,
            "policyId": service_of().replace("svc-", "sp-"),
            "serviceId": service_of(),
            "environmentId": ENVIRONMENT,
            "moduleId": WEB,
            "min": 1,
            "max": 9,
            "desired": desired,
            "actuator": "platform",
            "status": "Enforced",
            "reason": "Rule",
            "policyRevision": 1,
            **changes,
        }
    )


def test_a_policy_sets_the_number_and_others_hear_of_it() -> None:
    change = record_scaling(service(), applied(3, 5))

    assert change is not None
    assert change.service is not None
    assert (change.service.replicas, change.is_published) == (5, True)


def test_an_older_event_changes_nothing() -> None:
    known = replace(service(), scaled_to=5, scaling_revision=3)

    assert record_scaling(known, applied(2, 9)) is None
    assert record_scaling(known, applied(3, 9)) is None


@pytest.mark.parametrize("status", ["Superseded", "Rejected"])
def test_without_a_policy_in_force_it_is_that_of_the_release(status: str) -> None:
    known = replace(service(), scaled_to=5, scaling_revision=3)

    change = record_scaling(known, applied(4, 5, status=status))

    assert change is not None
    assert change.service is not None
    assert (change.service.replicas, change.is_published) == (2, True)


def test_of_a_retired_service_nobody_hears() -> None:
    row = removal_row("environment", ENVIRONMENT, "2027-01-01T00:00:00.000000Z", EPOCH)
    retired = record_row(replace(service(), scaled_to=5, scaling_revision=3), row).service
    assert retired is not None

    change = record_scaling(retired, applied(4, 5, status="Superseded"))

    assert change is not None
    assert not change.is_published
