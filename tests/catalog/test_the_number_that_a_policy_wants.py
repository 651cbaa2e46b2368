"""The inventory shows as many instances as the policy of a service wants."""

from dataclasses import replace
from datetime import timedelta
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
from function_apps.catalog.repository import SERVICES
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


@pytest.mark.parametrize(
    ("left_at", "number"), [("2026-07-30T12:00:00Z", 2), (None, 5)], ids=["over", "in-force"]
)
def test_a_number_that_was_left_before_an_update_is_no_number_of_a_policy_in_force(
    left_at: str | None, number: int
) -> None:
    stored = SERVICES.encode(replace(service(), scaled_to=5))
    before = {**stored, "schema": 2, "left_at": left_at}

    known = SERVICES.decode(before)

    assert known.replicas == number


OVER = pytest.mark.parametrize("status", ["Superseded", "Rejected"])


@OVER
def test_of_a_policy_that_left_nothing_it_is_that_of_the_release(status: str) -> None:
    known = replace(service(), scaled_to=5, scaling_revision=3)

    change = record_scaling(known, applied(4, 5, actual=5, status=status))

    assert change is not None
    assert change.service is not None
    assert (change.service.replicas, change.is_published) == (2, True)


def left(known: RuntimeService, release: int, status: str = "Superseded") -> RuntimeService:
    """Return *known* after its policy is over, and left five with that *release*."""
    number = {"replicas": 5, "releaseRevision": release}
    change = record_scaling(known, applied(4, 1, status=status, leftReplicas=number))
    assert change is not None
    assert change.service is not None
    return change.service


def released_again(known: RuntimeService, policy: int = 0) -> RuntimeService:
    """Return *known* after its second release, begun under that *policy*."""
    component = released(revision=2, replicas=2, scalingPolicyRevision=policy)
    at = EPOCH + timedelta(hours=2)
    (release,) = releases_of(ended(2, [component], at=at), RecordRelease)
    recorded = record_row(known, release_row(release, EPOCH)).service
    assert recorded is not None
    return recorded


@OVER
def test_the_number_that_a_policy_left_stays_until_the_next_release(status: str) -> None:
    known = left(replace(service(), scaled_to=5, scaling_revision=3), 1, status)

    assert (known.replicas, released_again(known).replicas) == (5, 2)


@OVER
def test_the_end_of_a_policy_that_is_told_after_the_next_release_changes_nothing(
    status: str,
) -> None:
    known = replace(service(), scaled_to=5, scaling_revision=3)

    assert left(released_again(known), 1, status).replicas == 2


def test_a_release_that_the_policy_scaled_beside_the_one_in_force_has_the_number_that_it_left() -> (
    None
):
    assert released_again(left(service(), 2)).replicas == 5


def test_a_release_that_was_begun_under_the_policy_has_the_number_that_it_left() -> None:
    known = replace(service(), scaled_to=5, scaling_revision=3)

    assert left(released_again(known, policy=1), 1).replicas == 5
    assert released_again(left(known, 1), policy=1).replicas == 5


def test_what_a_policy_left_is_nothing_beside_one_that_is_in_force() -> None:
    number = {"replicas": 5, "releaseRevision": 2}
    again = record_scaling(left(service(), 1), applied(5, 4, status="Applied", leftReplicas=number))
    assert again is not None
    assert again.service is not None

    assert again.service.replicas == 4
    assert released_again(again.service).replicas == 4


def test_of_a_retired_service_nobody_hears() -> None:
    row = removal_row("environment", ENVIRONMENT, "2027-01-01T00:00:00.000000Z", EPOCH)
    retired = record_row(replace(service(), scaled_to=5, scaling_revision=3), row).service
    assert retired is not None

    change = record_scaling(retired, applied(4, 5, status="Superseded"))

    assert change is not None
    assert not change.is_published
