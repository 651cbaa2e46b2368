"""The baseline of a service after each event and each look: the newest of each kind holds."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from function_apps.drift.model.baseline import (
    ABSENCES_MAX,
    ServiceBaseline,
    new_baseline,
    observe,
    record_health,
    record_inventory,
    record_release,
    record_scaling,
)
from shared.contracts.alerts import AlertState
from shared.contracts.drift import CompareRelease
from shared.contracts.health import HealthStatus
from shared.contracts.scaling import ScalingPolicyApplied
from shared.contracts.values import Stage
from shared.kernel.clock import isoformat
from tests.drift.compared import scaled
from tests.drift.test_what_others_say_of_a_service import inventory
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT, WEB, deployment_of, part_of_end, released, service_of
from tests.kit.virtual_time import EPOCH

NOW: Final = EPOCH + timedelta(minutes=9)
FRESH: Final = ServiceBaseline(service_of(WEB), TENANT, ENVIRONMENT, WEB, Stage.TEST)


def at(minutes: float) -> str:
    return isoformat(EPOCH + timedelta(minutes=minutes))


def release(number: int, minutes: float, **component: Any) -> CompareRelease:
    """Return that release *number* has been in force since then."""
    return part_of_end(CompareRelease, number, minutes, released(WEB, number, **component))


def removal(minutes: float) -> CompareRelease:
    return part_of_end(CompareRelease, 9, minutes, None)


def after(known: ServiceBaseline | None, ended: CompareRelease) -> ServiceBaseline | None:
    return record_release(known, ended, service_id=service_of(WEB), tenant_id=TENANT, now=NOW)


def released_at(number: int, minutes: float, **component: Any) -> ServiceBaseline:
    baseline = after(None, release(number, minutes, **component))
    assert baseline is not None
    return baseline


def heard(known: ServiceBaseline | None, event: Any) -> ServiceBaseline | None:
    return record_inventory(known, event, None, tenant_id=TENANT, now=NOW)


def listed(revision: int = 1, **changes: Any) -> ServiceBaseline:
    """Return what stands where only the inventory has told of the service."""
    baseline = heard(None, inventory(revision, **changes))
    assert baseline is not None
    return baseline


def scanned(baseline: ServiceBaseline) -> ServiceBaseline:
    """Return *baseline* with all that scans, people and other events can have left in it."""
    return replace(
        baseline, health=HealthStatus.DEGRADED, health_revision=3, scaling_revision=4,
        is_scaled=True, scaling={"minimum": "1"}, replicas_differ_since=at(3), fence=7,
        fence_moved_at=at(3), configuration={"a": "sha256:1"}, adopted={"environ/A": "1"},
        absences=2, absent_since=at(3), snapshot="sha256:2", digest_key="key", due_at=None,
        alert=AlertState(1, at(3)),
    )  # fmt: skip


def test_a_first_release_is_compared_at_once() -> None:
    baseline = released_at(2, 2)

    assert baseline == replace(
        FRESH, project_id="proj-web", component=baseline.component, release_revision=2,
        deployment_id=deployment_of(2), released_at=at(2), due_at=at(9),
    )  # fmt: skip
    assert baseline.component is not None
    assert baseline.component.version == "2.0"
    assert (baseline.is_known, baseline.is_expected, baseline.is_retired) == (True, True, False)


@pytest.mark.parametrize(
    ("number", "is_news"),
    [
        pytest.param(1, False, id="an-older-one"),
        pytest.param(2, False, id="the-same-again"),
        pytest.param(3, True, id="a-newer-one"),
    ],
)
def test_only_a_newer_release_is_news(number: int, *, is_news: bool) -> None:
    assert (after(released_at(2, 2), release(number, 5)) is not None) is is_news


def test_the_release_that_the_inventory_told_of_is_taken_from_its_deployment() -> None:
    baseline = after(listed(releaseRevision=1), release(1, 1))

    assert baseline is not None
    assert baseline.component is not None
    assert (dict(baseline.inventory), baseline.inventory_revision) == ({}, 1)


def test_a_new_release_ends_what_was_learned_and_adopted_of_the_one_before() -> None:
    known = scanned(released_at(2, 2))

    baseline = after(known, release(3, 5))

    assert baseline == replace(
        known, component=baseline.component if baseline else None, release_revision=3,
        deployment_id=deployment_of(3), released_at=at(5), due_at=at(9), configuration=None,
        adopted={}, absences=0, absent_since=None, replicas_differ_since=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("removed_at", "again_at", "is_retired"),
    [
        pytest.param(6, 5, True, id="a-release-before-its-removal"),
        pytest.param(6, 6, True, id="at-the-same-moment"),
        pytest.param(6, 7, False, id="a-release-after-it"),
    ],
)
def test_the_later_of_removal_and_release_holds(
    removed_at: float, again_at: float, *, is_retired: bool
) -> None:
    gone = after(replace(released_at(2, 2), due_at=None), removal(removed_at))
    assert gone is not None
    assert (gone.is_retired, gone.is_expected, gone.due_at) == (True, False, at(9))

    baseline = after(gone, release(3, again_at))

    assert baseline is not None
    assert (baseline.is_retired, baseline.is_expected) == (is_retired, not is_retired)


@pytest.mark.parametrize(
    ("minutes", "is_news"),
    [
        pytest.param(5, False, id="an-earlier-one"),
        pytest.param(6, False, id="the-same-again"),
        pytest.param(7, True, id="a-later-one"),
    ],
)
def test_only_a_later_removal_is_news(minutes: float, *, is_news: bool) -> None:
    gone = after(released_at(2, 2), removal(6))

    assert (after(gone, removal(minutes)) is not None) is is_news


def test_the_absence_of_a_job_is_no_news() -> None:
    job = released_at(1, 1, runsOnce={}, port=None, endpoint=None, probes={})

    assert (job.is_known, job.is_expected) == (True, False)


def test_of_a_service_that_nobody_released_nothing_is_known() -> None:
    baseline = new_baseline(service_of(WEB), TENANT, ENVIRONMENT, WEB, Stage.TEST)

    assert baseline == FRESH
    assert (baseline.is_known, baseline.is_expected) == (False, False)
    assert dict(baseline.release_planes) == {}


def test_until_a_release_is_heard_of_the_words_of_the_inventory_are_compared() -> None:
    event = inventory(3, releaseRevision=5, deploymentId=deployment_of(5), validFrom=at(2))

    baseline = record_inventory(None, event, "proj-web", tenant_id=TENANT, now=NOW)

    assert baseline == replace(
        FRESH, project_id="proj-web", inventory={"version": "1.0", "port": "8080"},
        inventory_revision=3, release_revision=5, deployment_id=deployment_of(5),
        released_at=at(2), due_at=at(9),
    )  # fmt: skip
    assert (baseline.is_known, baseline.is_expected) == (True, True)
    assert dict(listed(port=None).inventory) == {"version": "1.0"}


@pytest.mark.parametrize(
    ("revision", "is_news"),
    [
        pytest.param(2, False, id="older"),
        pytest.param(3, False, id="the-same-again"),
        pytest.param(4, True, id="newer"),
    ],
)
def test_only_newer_words_of_the_inventory_are_news(revision: int, *, is_news: bool) -> None:
    assert (heard(listed(3), inventory(revision, version="2.0")) is not None) is is_news


def test_beside_a_release_the_inventory_only_says_that_a_service_is_gone() -> None:
    known = released_at(2, 2)

    assert heard(known, inventory(3)) is None
    gone = heard(known, inventory(3, "Retired", validFrom=at(4)))
    assert gone == replace(known, inventory_revision=3, retired_at=at(4), due_at=at(9))


NATIVE: Final = {"actuator": "native", "rules": [{"signal": "cpu", "target": 69.6}]}
RULES: Final = {"owner": "Surface", "minimum": "1", "maximum": "9", "rules": "cpu 70"}


@pytest.mark.parametrize(
    ("status", "changes", "is_scaled", "rules"),
    [
        pytest.param("Enforced", NATIVE, True, True, id="its-surface-scales-it"),
        pytest.param("Applied", NATIVE, True, False, id="its-surface-has-not-got-the-rules-yet"),
        pytest.param("Enforced", {}, True, False, id="the-platform-scales-it"),
        pytest.param("Paused", NATIVE, True, False, id="a-pause-keeps-the-number"),
        pytest.param("Superseded", NATIVE, False, False, id="the-policy-is-gone"),
    ],
)
def test_a_policy_in_force_has_the_number_and_its_surface_the_rules_once_it_is_enforced(
    status: str, changes: Any, *, is_scaled: bool, rules: bool
) -> None:
    baseline = record_scaling(FRESH, scaled(1, status, **changes))

    assert baseline is not None
    assert (baseline.is_scaled, baseline.scaling_revision) == (is_scaled, 1)
    assert bool(baseline.scaling) is rules


def test_the_words_of_a_policys_rules_are_compared_where_all_are_of_processor_and_memory() -> None:
    event = {"signal": "cpu", "target": 70}, {"signal": "queueLength", "target": 5}

    native = record_scaling(FRESH, scaled(1, **NATIVE))
    mixed = record_scaling(FRESH, scaled(1, actuator="native", rules=event))

    assert native is not None
    assert mixed is not None
    assert {**native.scaling} == {**mixed.scaling, "rules": native.scaling["rules"]}
    assert {**mixed.scaling} == {"owner": "Surface", "minimum": "1", "maximum": "9"}
    assert "70" in native.scaling["rules"]


@pytest.mark.parametrize(
    ("revision", "is_news"),
    [
        pytest.param(3, False, id="older"),
        pytest.param(4, False, id="the-same-again"),
        pytest.param(5, True, id="newer"),
    ],
)
def test_only_newer_words_of_a_policy_are_news(revision: int, *, is_news: bool) -> None:
    known = replace(FRESH, scaling_revision=4)

    assert (record_scaling(known, scaled(revision)) is not None) is is_news
    assert record_scaling(None, scaled(revision)) is None


@pytest.mark.parametrize(
    ("event", "since"),
    [
        pytest.param(scaled(2, **NATIVE), at(3), id="the-same-said-again"),
        pytest.param(scaled(2, **{**NATIVE, "max": 5}), None, id="other-bounds"),
        pytest.param(scaled(2, "Superseded", **NATIVE), None, id="no-policy-any-more"),
        pytest.param(scaled(2, "Paused", **NATIVE), None, id="no-rules-any-more"),
    ],
)
def test_what_a_policy_changes_begins_the_time_of_a_difference_anew(
    event: ScalingPolicyApplied, since: str | None
) -> None:
    native = record_scaling(FRESH, scaled(1, **NATIVE))
    assert native is not None

    baseline = record_scaling(replace(native, replicas_differ_since=at(3)), event)

    assert baseline is not None
    assert baseline.replicas_differ_since == since


@pytest.mark.parametrize("status", ["Superseded", "Rejected"])
@pytest.mark.parametrize(
    ("scaled_release", "policy", "left"),
    [
        pytest.param(2, 0, 5, id="of-this-release"),
        pytest.param(1, 0, None, id="of-the-release-before"),
        pytest.param(1, 1, 5, id="of-the-release-before-and-this-was-begun-under-the-policy"),
        pytest.param(None, 1, None, id="nothing"),
    ],
)
def test_what_a_policy_left_stays_until_a_release_has_its_own_number(
    status: str, scaled_release: int | None, policy: int, left: int | None
) -> None:
    known = record_release(
        FRESH, release(2, 5, scalingPolicyRevision=policy),
        service_id=service_of(WEB), tenant_id=TENANT, now=NOW,
    )  # fmt: skip
    number = scaled_release and {"replicas": 5, "releaseRevision": scaled_release}
    baseline = record_scaling(known, scaled(2, status, desired=1, leftReplicas=number))

    assert baseline is not None
    assert baseline.replicas_left == left


def test_what_a_policy_left_is_nothing_beside_one_that_is_in_force() -> None:
    number = {"replicas": 5, "releaseRevision": 9}
    baseline = record_scaling(FRESH, scaled(2, "Applied", leftReplicas=number))

    assert baseline is not None
    assert (baseline.is_scaled, baseline.replicas_left) == (True, None)


HEALTHY, UNKNOWN = HealthStatus.HEALTHY, HealthStatus.UNKNOWN


@pytest.mark.parametrize(
    ("status", "due_at"),
    [
        pytest.param(HealthStatus.DEGRADED, at(9), id="worse"),
        pytest.param(HealthStatus.UNHEALTHY, at(9), id="much-worse"),
        pytest.param(HEALTHY, None, id="well"),
    ],
)
def test_a_service_that_becomes_worse_is_due_at_once(
    status: HealthStatus, due_at: str | None
) -> None:
    baseline = record_health(FRESH, status, 1, NOW)

    assert baseline == replace(FRESH, health=status, health_revision=1, due_at=due_at)


def test_a_retired_service_is_not_due_because_it_fails() -> None:
    baseline = record_health(replace(FRESH, retired_at=at(1)), HealthStatus.UNHEALTHY, 1, NOW)

    assert baseline is not None
    assert (baseline.health, baseline.due_at) == (HealthStatus.UNHEALTHY, None)


def test_health_that_is_not_newer_is_no_news() -> None:
    known = replace(FRESH, health=HEALTHY, health_revision=3)

    assert record_health(None, HealthStatus.UNHEALTHY, 4, NOW) is None
    assert record_health(known, HealthStatus.UNHEALTHY, 3, NOW) is None
    assert record_health(known, HealthStatus.UNHEALTHY, 2, NOW) is None
    assert record_health(known, HealthStatus.UNHEALTHY, 4, NOW) is not None


@pytest.mark.parametrize("status", [HEALTHY, HealthStatus.UNHEALTHY])
def test_the_same_health_said_again_is_kept_and_makes_nothing_due(status: HealthStatus) -> None:
    known = replace(FRESH, health=status, health_revision=3)

    assert record_health(known, status, 4, NOW) == replace(known, health_revision=4)


@pytest.mark.parametrize(
    ("status", "is_healthy"),
    [
        pytest.param(HEALTHY, True, id="healthy"),
        pytest.param(UNKNOWN, True, id="nobody-knows-better"),
        pytest.param(HealthStatus.DEGRADED, False, id="degraded"),
        pytest.param(HealthStatus.UNHEALTHY, False, id="unhealthy"),
    ],
)
def test_a_service_is_well_until_it_is_known_to_be_worse(
    status: HealthStatus, *, is_healthy: bool
) -> None:
    assert replace(FRESH, health=status).is_healthy is is_healthy


def look(baseline: ServiceBaseline, **seen: Any) -> ServiceBaseline:
    given = {"is_there": True, "fence": 0, "configuration": None, **seen}
    return observe(baseline, now=NOW, **given)


def test_a_look_leaves_nothing_due_and_what_it_did_not_see_as_it_was() -> None:
    known = replace(scanned(released_at(2, 2)), due_at=at(1))

    assert look(known) == replace(
        known, absences=0, absent_since=None, replicas_differ_since=None, due_at=None
    )


@pytest.mark.parametrize(
    ("fence", "highest", "moved_at"),
    [
        pytest.param(6, 7, at(3), id="an-older-token"),
        pytest.param(7, 7, at(3), id="the-same"),
        pytest.param(8, 8, at(9), id="somebody-wrote"),
    ],
)
def test_a_higher_token_shows_that_the_platform_wrote(
    fence: int, highest: int, moved_at: str
) -> None:
    baseline = look(replace(FRESH, fence=7, fence_moved_at=at(3)), fence=fence)

    assert (baseline.fence, baseline.fence_moved_at) == (highest, moved_at)


def test_what_its_configuration_is_given_as_is_kept_when_it_was_read() -> None:
    read = look(FRESH, configuration={"a": "sha256:1"})

    assert read.configuration == {"a": "sha256:1"}
    assert look(read, configuration={}).configuration == {}


def test_absences_in_a_row_are_counted_from_the_first_one_on() -> None:
    first = look(FRESH, is_there=False)
    second = observe(
        first, is_there=False, fence=0, configuration=None, now=NOW + timedelta(minutes=5)
    )
    back = look(second)

    assert (first.absences, first.absent_since) == (1, at(9))
    assert (second.absences, second.absent_since) == (2, at(9))
    assert (back.absences, back.absent_since) == (0, None)


def test_an_absence_that_nobody_believes_is_not_counted() -> None:
    assert look(FRESH, is_there=False, is_counted=False).absences == 0
    assert look(FRESH, is_there=False, is_counted=False).absent_since is None
    once = replace(FRESH, absences=1, absent_since=at(3))
    assert look(once, is_there=False, is_counted=False) == once


def test_absences_are_counted_up_to_a_bound() -> None:
    known = replace(FRESH, absences=ABSENCES_MAX, absent_since=at(3))

    assert look(known, is_there=False).absences == ABSENCES_MAX


def test_another_number_of_instances_is_dated_by_the_first_scan_that_found_it() -> None:
    first = look(FRESH, has_other_replicas=True)
    again = look(replace(FRESH, replicas_differ_since=at(3)), has_other_replicas=True)

    assert first.replicas_differ_since == at(9)
    assert again.replicas_differ_since == at(3)
