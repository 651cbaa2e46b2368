"""The inventory shows as many instances as the policy of a service wants."""

from dataclasses import replace
from datetime import datetime, timedelta
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
    change = record_scaling(service(), applied(3, 5), EPOCH)

    assert change is not None
    assert change.service is not None
    assert (change.service.replicas, change.is_published) == (5, True)


def test_an_older_event_changes_nothing() -> None:
    known = replace(service(), scaled_to=5, scaling_revision=3)

    assert record_scaling(known, applied(2, 9), EPOCH) is None
    assert record_scaling(known, applied(3, 9), EPOCH) is None


@pytest.mark.parametrize("status", ["Superseded", "Rejected"])
def test_of_a_policy_that_never_scaled_or_was_refused_it_is_that_of_the_release(
    status: str,
) -> None:
    known = replace(service(), scaled_to=5, scaling_revision=3)

    change = record_scaling(known, applied(4, 5, status=status), EPOCH)

    assert change is not None
    assert change.service is not None
    assert (change.service.replicas, change.is_published) == (2, True)


def ended_policy(known: RuntimeService, at: datetime) -> RuntimeService:
    """Return *known* after its policy ended *at* that time, and left five instances."""
    change = record_scaling(known, applied(4, 5, actual=5, status="Superseded"), at)
    assert change is not None
    assert change.service is not None
    return change.service


def test_the_number_that_a_policy_left_stays_until_the_next_release() -> None:
    scaled = replace(service(), scaled_to=5, scaling_revision=3)
    left = ended_policy(scaled, EPOCH + timedelta(hours=1))
    (release,) = releases_of(
        ended(2, [released(revision=2, replicas=2)], at=EPOCH + timedelta(hours=2)), RecordRelease
    )
    released_again = record_row(left, release_row(release, EPOCH)).service
    assert released_again is not None

    assert (left.replicas, released_again.replicas) == (5, 2)


def test_the_end_of_a_policy_that_is_told_after_the_next_release_changes_nothing() -> None:
    (release,) = releases_of(
        ended(2, [released(revision=2, replicas=2)], at=EPOCH + timedelta(hours=2)), RecordRelease
    )
    scaled = replace(service(), scaled_to=5, scaling_revision=3)
    released_again = record_row(scaled, release_row(release, EPOCH)).service
    assert released_again is not None

    assert ended_policy(released_again, EPOCH + timedelta(hours=1)).replicas == 2


def test_of_a_retired_service_nobody_hears() -> None:
    row = removal_row("environment", ENVIRONMENT, "2027-01-01T00:00:00.000000Z", EPOCH)
    retired = record_row(replace(service(), scaled_to=5, scaling_revision=3), row).service
    assert retired is not None

    change = record_scaling(retired, applied(4, 5, status="Superseded"), EPOCH)

    assert change is not None
    assert not change.is_published
