"""A service after a release, a removal, a look and a policy; and an environment's next scan."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from function_apps.catalog.model.description import INSTANCES_MAX, description
from function_apps.catalog.model.environment_scan import (
    EnvironmentScan,
    on_environment_event,
    record_retired_page,
    record_scan,
    reschedule_retirement,
)
from function_apps.catalog.model.history import RowKind
from function_apps.catalog.model.service import (
    RuntimeService,
    ServiceChange,
    new_service,
    record_observation,
    record_row,
    record_scaling,
    release_row,
    removal_row,
)
from function_apps.catalog.model.status import ObservationExpired, Observed
from shared.contracts.catalog import RecordRelease, ServiceStatus
from shared.contracts.scaling import ScalingPolicyApplied, ScalingStatus
from shared.kernel.clock import isoformat
from tests.kit.told import (
    ENVIRONMENT,
    WEB,
    deployment_of,
    environment,
    part_of_end,
    released,
    service_of,
)
from tests.kit.virtual_time import EPOCH

RUNNING, RETIRED = ServiceStatus.RUNNING, ServiceStatus.RETIRED
NOW: Final = EPOCH + timedelta(minutes=9)
READY: Final = Observed(2, 2)


def at(minutes: float) -> str:
    return isoformat(EPOCH + timedelta(minutes=minutes))


def end(number: int, minutes: float, **component: Any) -> RecordRelease:
    """Return that release *number* has been in force since then."""
    return part_of_end(RecordRelease, number, minutes, released(WEB, number, **component))


NEW: Final = new_service(end(1, 1), service_id=service_of(WEB), tenant_id="acme")


def after(change: ServiceChange | None) -> RuntimeService:
    assert change is not None
    assert change.service is not None
    return change.service


def service(**changes: Any) -> RuntimeService:
    """Return a service whose release 1 is in force since the first minute."""
    return replace(after(record_row(NEW, release_row(end(1, 1), NOW))), **changes)


def retired(minutes: float = 5) -> RuntimeService:
    row = removal_row("deployment", "dep-9", at(minutes), NOW)
    return after(record_row(service(), row))


def instance(name: str = "web-0", **changes: Any) -> dict[str, Any]:
    return {"name": name, "status": "Ready", "releaseRevision": 1, **changes}


def test_a_service_is_named_by_its_release_before_anything_is_known_of_it() -> None:
    known = new_service(end(1, 1), service_id=service_of(WEB), tenant_id="acme")

    assert known == RuntimeService(service_of(WEB), "acme", "proj-web", ENVIRONMENT, "test", WEB)
    assert (known.status, known.depends_on, dict(known.component)) == (None, (), {})


def test_the_end_of_a_deployment_is_a_row_with_its_release_or_of_a_removal() -> None:
    release = release_row(end(2, 3), NOW)
    removal = release_row(part_of_end(RecordRelease, 4, 5, None), NOW)

    assert (release.kind, release.status) == (RowKind.RELEASE, RUNNING)
    assert (release.valid_from, release.known_from) == (at(3), at(9))
    assert (release.release_revision, release.deployment_id) == (2, deployment_of(2))
    assert (release.cause_kind, release.cause_id) == ("deployment", "dep-2")
    assert release.component["version"] == "2.0"
    assert removal == removal_row("deployment", "dep-4", at(5), NOW)
    assert (removal.kind, removal.status) == (RowKind.REMOVAL, RETIRED)
    assert (removal.valid_from, removal.known_from) == (at(5), at(9))


def test_a_first_release_is_told_with_a_revision() -> None:
    row = release_row(end(1, 1), NOW)

    change = record_row(NEW, row)

    assert change == ServiceChange(row, after(change), is_published=True)
    assert (after(change).revision, after(change).status) == (1, RUNNING)


def test_a_row_that_changes_nothing_is_history_only() -> None:
    row = release_row(end(1, 1), NOW)

    assert record_row(service(), row) == ServiceChange(row, None, is_published=False)


def test_a_removal_without_a_release_is_kept_and_told_to_nobody() -> None:
    row = removal_row("deployment", "dep-9", at(5), NOW)

    change = record_row(NEW, row)

    assert (change.is_published, after(change).revision) == (False, 1)
    assert (after(change).status, after(change).retired_at) == (None, None)


def test_a_retired_service_has_no_instances_and_a_time() -> None:
    known = service(instances=(instance(),))
    change = record_row(known, removal_row("deployment", "dep-9", at(5), NOW))

    assert (change.is_published, after(change).instances) == (True, ())
    assert (after(change).status, after(change).retired_at) == (RETIRED, at(5))
    assert (known.retired_at, known.instances) == (None, (instance(),))


def test_an_observation_of_other_instances_is_told_and_no_history() -> None:
    known = service()

    change = record_observation(known, READY, (instance(),), NOW)

    seen = replace(known, instances=(instance(),), last_observed_at=at(9), revision=2)
    assert change == ServiceChange(None, seen, is_published=True)


def test_an_observation_with_another_status_is_history() -> None:
    change = record_observation(service(), Observed(1, 2), (instance(),), NOW)

    assert change is not None
    assert change.row is not None
    assert (change.row.kind, change.row.status) == (RowKind.OBSERVATION, ServiceStatus.DEGRADED)
    assert (change.row.cause_kind, change.row.cause_id) == ("observation", service_of(WEB))
    assert (change.row.valid_from, change.row.known_from) == (at(9), at(9))
    assert after(change).instances == (instance(),)
    assert after(change).last_observed_at == at(9)


@pytest.mark.parametrize(
    ("changed", "is_news"),
    [
        pytest.param({"address": "10.0.0.9"}, False, id="its-address"),
        pytest.param({"restarts": 0, "reason": ""}, False, id="the-same-written-out"),
        pytest.param({"name": "web-1"}, True, id="another-name"),
        pytest.param({"status": "NotReady"}, True, id="another-status"),
        pytest.param({"releaseRevision": 2}, True, id="another-release"),
        pytest.param({"restarts": 1}, True, id="a-restart"),
        pytest.param({"reason": "Starting"}, True, id="a-reason"),
    ],
)
def test_of_an_instance_its_name_status_release_restarts_and_reason_are_news(
    changed: dict[str, Any], *, is_news: bool
) -> None:
    known = service(instances=(instance(),))

    change = record_observation(known, READY, (instance(**changed),), NOW)

    assert (change is not None) is is_news


def test_a_look_that_is_too_long_ago_leaves_the_instances_as_they_were_seen() -> None:
    known = service(instances=(instance(),), last_observed_at=at(2))

    change = record_observation(known, ObservationExpired(), (), NOW)

    assert after(change).status is ServiceStatus.UNKNOWN
    assert (after(change).instances, after(change).last_observed_at) == ((instance(),), at(2))
    assert record_observation(after(change), ObservationExpired(), (), NOW) is None


@pytest.mark.parametrize("known", [NEW, retired()], ids=["unreleased", "retired"])
def test_what_is_seen_of_a_service_that_is_not_there_is_not_its_own(known: RuntimeService) -> None:
    assert record_observation(known, READY, (instance(),), NOW) is None


def policy(revision: int, desired: int, status: ScalingStatus) -> ScalingPolicyApplied:
    name = service_of(WEB).replace("svc", "sp", 1)
    return ScalingPolicyApplied.model_validate(
        {
            "aggregateId": name, "revision": revision, "policyId": name,
            "serviceId": service_of(WEB), "environmentId": ENVIRONMENT, "moduleId": WEB, "min": 1,
            "max": 9, "desired": desired, "actuator": "platform", "status": status,
            "reason": "Policy", "policyRevision": 1,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "replicas"),
    [
        pytest.param(ScalingStatus.APPLIED, 5, id="in-force"),
        pytest.param(ScalingStatus.PAUSED, 5, id="paused"),
        pytest.param(ScalingStatus.SUPERSEDED, 2, id="ended"),
        pytest.param(ScalingStatus.REJECTED, 2, id="refused"),
    ],
)
def test_a_policy_has_the_number_until_it_ends(status: ScalingStatus, replicas: int) -> None:
    known = service(scaling_revision=3)

    change = record_scaling(known, policy(4, 5, status))

    assert after(change).scaling_revision == 4
    assert after(change).replicas == replicas
    is_news = replicas != known.replicas
    assert change is not None
    assert (change.row, change.is_published) == (None, is_news)
    assert after(change).revision == known.revision + is_news


@pytest.mark.parametrize("revision", [2, 3], ids=["older", "the-same-again"])
def test_only_newer_news_of_a_policy_are_news(revision: int) -> None:
    event = policy(revision, 5, ScalingStatus.APPLIED)

    assert record_scaling(service(scaling_revision=3), event) is None


@pytest.mark.parametrize("known", [NEW, retired()], ids=["unreleased", "retired"])
def test_the_number_of_a_service_that_is_not_there_is_kept_and_told_to_nobody(
    known: RuntimeService,
) -> None:
    change = record_scaling(known, policy(4, 5, ScalingStatus.APPLIED))

    assert change == ServiceChange(
        None, replace(known, scaled_to=5, scaling_revision=4), is_published=False
    )


def test_the_resource_of_a_service_says_what_it_is_now() -> None:
    many = tuple(instance(f"web-{number}") for number in range(INSTANCES_MAX + 1))
    known = service(instances=many, scaled_to=7)
    facts = known.facts
    assert facts is not None

    assert description(known, facts) == {
        "serviceId": service_of(WEB), "environmentId": ENVIRONMENT, "stage": "test",
        "moduleId": WEB, "componentType": "gateway", "digest": "sha256:" + "1" * 64,
        "version": "1.0", "computeTarget": "LocalProcess", "replicas": 7,
        "instances": many[:INSTANCES_MAX], "endpointUrl": "http://shop.test/", "port": 8080,
        "dependsOn": [], "owner": "team-web", "status": RUNNING, "configurationVersion": 0,
        "releaseRevision": 1, "deploymentId": deployment_of(1), "revision": 1,
        "cause": {"kind": "deployment", "id": "dep-1"}, "validFrom": at(1),
    }  # fmt: skip


def test_in_the_past_a_service_had_the_number_of_its_release() -> None:
    known = service(scaled_to=7)
    before = known.facts
    assert before is not None

    later = after(record_row(known, release_row(end(2, 5, replicas=3), NOW)))

    assert description(later, before)["replicas"] == 2
    assert description(later, before)["version"] == "1.0"


EVERY: Final = timedelta(minutes=1)


def scan(**changes: Any) -> EnvironmentScan:
    given = {"generation": 1, **changes}
    return EnvironmentScan(ENVIRONMENT, 3, at(1), at(2), **given)


def heard(known: EnvironmentScan | None, revision: int, **of: Any) -> EnvironmentScan | None:
    """Return the scans after an event of the environment, published in the eighth minute."""
    published = EPOCH + timedelta(minutes=8)
    return on_environment_event(known, environment(revision, **of), published, NOW)


def test_a_new_environment_is_scanned_at_once() -> None:
    assert heard(None, 4) == EnvironmentScan(ENVIRONMENT, 4, at(9), at(9), generation=1)


def test_news_of_an_environment_make_it_due_and_forget_what_was_missing() -> None:
    known = scan(missing={"svc-1": 1}, removed_at=at(0))

    assert heard(known, 3) is None
    assert heard(known, 4) == replace(known, revision=4, due_at=at(9), missing={})


def test_the_end_of_an_environment_retires_what_was_released_until_then() -> None:
    assert heard(scan(), 4, gone=True) == replace(
        scan(), revision=4, due_at=at(9), ended_at=at(9), removed_at=at(8), retire_after=""
    )


def test_an_environment_that_comes_back_is_scanned_as_a_new_one() -> None:
    gone = heard(scan(), 4, gone=True)

    back = heard(gone, 5, generation=2)

    assert gone is not None
    assert back == replace(
        gone, revision=5, generation=2, scanned_at=at(9), ended_at=None, due_at=at(9)
    )


@pytest.mark.parametrize(
    ("known", "removed_at"),
    [
        pytest.param(scan(generation=1), at(8), id="its-end-was-not-heard"),
        pytest.param(scan(generation=1, ended_at=at(5), removed_at=at(5)), at(5), id="it-was"),
        pytest.param(scan(generation=0), None, id="stored-before-generations-were-kept"),
        pytest.param(scan(generation=2), None, id="of-the-same-generation"),
    ],
)
def test_a_new_generation_stands_for_an_end_that_was_not_heard(
    known: EnvironmentScan, removed_at: str | None
) -> None:
    after_it = heard(known, 4, generation=2)

    assert after_it is not None
    assert after_it.removed_at == removed_at


@pytest.mark.parametrize(
    ("known", "of", "is_news"),
    [
        pytest.param(scan(generation=2), {"generation": 1}, True, id="it-was-not-heard-before"),
        pytest.param(scan(generation=2, removed_at=at(7)), {"generation": 1}, True,
                     id="only-an-earlier-one-was"),
        pytest.param(scan(generation=2, removed_at=at(8)), {"generation": 1}, False,
                     id="it-was-heard"),
        pytest.param(scan(generation=2), {"generation": 2}, False, id="of-the-same-generation"),
    ],
)  # fmt: skip
def test_the_end_of_an_earlier_generation_counts_also_when_it_is_late(
    known: EnvironmentScan, of: dict[str, int], *, is_news: bool
) -> None:
    after_it = heard(known, 2, gone=True, **of)

    expected = replace(known, removed_at=at(8), retire_after="", due_at=at(9))
    assert after_it == (expected if is_news else None)


def test_a_scan_is_due_again_after_half_its_period_also_when_it_failed() -> None:
    known = scan(missing={"svc-1": 1}, unread_since={"svc-2": at(1)})

    assert record_scan(known, NOW, EVERY, None) == replace(known, due_at=at(9.5))
    assert record_scan(known, NOW, EVERY, {"svc-3": 1}, ["svc-2", "svc-4"]) == replace(
        known, due_at=at(9.5), scanned_at=at(9), missing={"svc-3": 1},
        unread_since={"svc-2": at(1), "svc-4": at(2)},
    )  # fmt: skip


def test_retirements_go_on_after_the_last_page_and_begin_anew_when_they_are_put_off() -> None:
    page = record_retired_page(scan(retire_after=""), "svc-5")

    assert page == scan(retire_after="svc-5")
    assert record_retired_page(page, None) == scan()
    assert reschedule_retirement(page, NOW) == replace(page, retire_after="", due_at=at(9))
