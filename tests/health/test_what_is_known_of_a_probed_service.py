"""A target of probes: the newest release wins, a removal ends it, and its probe has thresholds."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from function_apps.health.model.probe_target import (
    ProbeTarget,
    record_inventory,
    watch_release,
)
from function_apps.health.model.restarts import InstanceRestarts
from shared.contracts.alerts import AlertState
from shared.contracts.catalog import ReleaseOfComponent, RuntimeInventoryUpdated
from shared.contracts.health import HealthDefaults, HealthStatus, RootCause
from shared.kernel.clock import isoformat
from tests.health.test_sweeps import retired
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT, WEB, deployment_of, part_of_end, released, service_of
from tests.kit.virtual_time import EPOCH

RULES: Final = HealthDefaults(failures_to_worsen=3, passes_to_improve=2)
NOW: Final = EPOCH + timedelta(minutes=9)


def at(minutes: float) -> str:
    return isoformat(EPOCH + timedelta(minutes=minutes))


def release(number: int, minutes: float, **component: Any) -> ReleaseOfComponent:
    """Return that release *number* has been in force since then."""
    return part_of_end(ReleaseOfComponent, number, minutes, released(WEB, number, **component))


def removal(minutes: float) -> ReleaseOfComponent:
    return part_of_end(ReleaseOfComponent, 9, minutes, None)


def watch(known: ProbeTarget | None, ended: ReleaseOfComponent) -> ProbeTarget | None:
    return watch_release(known, ended, service_id=service_of(WEB), tenant_id=TENANT, now=NOW)


def watched(number: int = 2, minutes: float = 2, **component: Any) -> ProbeTarget:
    target = watch(None, release(number, minutes, **component))
    assert target is not None
    return target


def failing(target: ProbeTarget) -> ProbeTarget:
    """Return *target* with all that probes can have left in it."""
    cause = RootCause.model_validate(
        {"serviceId": service_of("module-db"), "moduleId": "module-db", "status": "Unhealthy",
         "since": at(3)}
    )  # fmt: skip
    return replace(
        target, status=HealthStatus.UNHEALTHY, since=at(3), previous=HealthStatus.HEALTHY,
        pending=HealthStatus.HEALTHY, streak=2, reason="0 of 2 instances pass",
        checks=({"code": "503"},), probed_at=at(4), failing_since=at(3), passing_since=at(4),
        burning_since=at(3), root_cause=cause, restarts={"web-0": InstanceRestarts(3)},
        alerts={"ServiceUnhealthy": AlertState(1, at(3))}, has_objective=True,
    )  # fmt: skip


def test_a_first_release_is_watched_as_unknown_from_now_on() -> None:
    target = watched()

    assert (target.service_id, target.tenant_id) == (service_of(WEB), TENANT)
    assert (target.environment_id, target.module_id, target.stage) == (ENVIRONMENT, WEB, "test")
    assert (target.status, target.reason) == (HealthStatus.UNKNOWN, "not probed yet")
    assert (target.since, target.published_at) == (at(9), at(9))
    assert (target.release_revision, target.released_at) == (2, at(2))
    assert (target.deployment_id, target.revision) == (deployment_of(2), 1)
    assert (target.instances_due(NOW, RULES), target.is_retired) == (2, False)


@pytest.mark.parametrize(
    ("number", "is_news"),
    [
        pytest.param(1, False, id="an-older-one"),
        pytest.param(2, False, id="the-same-again"),
        pytest.param(3, True, id="a-newer-one"),
    ],
)
def test_only_a_newer_release_is_news(number: int, *, is_news: bool) -> None:
    assert (watch(watched(2), release(number, 5)) is not None) is is_news


def test_a_new_release_leaves_the_health_as_it_was() -> None:
    known = failing(watched(2))

    after = watch(known, release(3, 5, replicas=4))

    assert after is not None
    assert after == replace(
        known, release_revision=3, released_at=at(5), deployment_id=deployment_of(3),
        component=after.component, revision=known.revision + 1,
    )  # fmt: skip
    assert after.instances_due(NOW, RULES) == 4


@pytest.mark.parametrize(
    ("removed_at", "released_at", "is_retired"),
    [
        pytest.param(6, 5, True, id="a-release-before-its-removal"),
        pytest.param(6, 6, True, id="at-the-same-moment"),
        pytest.param(6, 7, False, id="a-release-after-it"),
    ],
)
def test_the_later_of_removal_and_release_holds(
    removed_at: float, released_at: float, *, is_retired: bool
) -> None:
    gone = watch(watched(2), removal(removed_at))
    assert gone is not None
    assert (gone.is_retired, gone.revision) == (True, 2)

    after = watch(gone, release(3, released_at))

    assert after is not None
    assert after.is_retired is is_retired


def test_a_service_that_comes_back_begins_as_one_that_was_never_probed() -> None:
    gone = watch(failing(watched(2)), removal(6))
    assert gone is not None

    back = watch(gone, release(3, 7))

    assert back is not None
    new = replace(
        watched(3, 7), retired_at=at(6), revision=gone.revision + 1, probed_at=gone.probed_at,
        restarts=gone.restarts, alerts=gone.alerts, has_objective=True,
    )  # fmt: skip
    assert back == new


@pytest.mark.parametrize(
    ("minutes", "is_news"),
    [
        pytest.param(5, False, id="an-earlier-one"),
        pytest.param(6, False, id="the-same-again"),
        pytest.param(7, True, id="a-later-one"),
    ],
)
def test_only_a_later_removal_is_news(minutes: float, *, is_news: bool) -> None:
    gone = watch(watched(2), removal(6))

    again = watch(gone, removal(minutes))

    assert (again is not None) is is_news


def test_a_removal_before_its_release_is_kept_as_a_tombstone() -> None:
    tombstone = watch(None, removal(6))
    assert tombstone is not None
    assert (tombstone.is_retired, dict(tombstone.component), tombstone.revision) == (True, {}, 1)

    late = watch(tombstone, release(1, 5))

    assert late is not None
    assert late.is_retired


def test_the_inventory_retires_a_service_also_before_its_release_is_heard_of() -> None:
    event = retired()

    gone = record_inventory(watched(2, -5), event, tenant_id=TENANT, now=NOW, rules=RULES)
    tombstone = record_inventory(None, event, tenant_id=TENANT, now=NOW, rules=RULES)

    assert gone is not None
    assert gone.is_retired
    assert tombstone is not None
    assert tombstone.retired_at == isoformat(event.valid_from)
    assert (tombstone.service_id, tombstone.tenant_id) == (service_of(WEB), TENANT)
    assert (tombstone.since, tombstone.module_id) == (isoformat(NOW), WEB)


def listed(revision: int, release: int, replicas: int) -> RuntimeInventoryUpdated:
    """Return that the inventory has so many instances of a release that runs."""
    told = {"status": "Running", "revision": revision, "release_revision": release}
    return retired().model_copy(update={**told, "replicas": replicas})


def test_only_newer_words_of_the_inventory_about_a_known_service_are_news() -> None:
    first = record_inventory(watched(2), listed(3, 2, 1), tenant_id=TENANT, now=NOW, rules=RULES)
    assert first is not None

    again, older, newer = (
        record_inventory(first, listed(revision, 2, 0), tenant_id=TENANT, now=NOW, rules=RULES)
        for revision in (3, 2, 4)
    )

    assert first == replace(
        watched(2), inventory_revision=3, inventory_release=2, inventory_replicas=1
    )
    assert (again, older) == (None, None)
    assert newer is not None
    assert newer.inventory_replicas == 0


@pytest.mark.parametrize(
    ("release", "listed_replicas", "replicas", "may_be_none"),
    [
        pytest.param(2, 1, 1, False, id="a-policy-wants-fewer"),
        pytest.param(2, 9, 2, False, id="what-it-wants-beyond-is-growth"),
        pytest.param(2, 0, 0, True, id="it-wants-none"),
        pytest.param(1, 0, 2, False, id="of-the-release-before"),
    ],
)
def test_so_many_instances_must_pass_as_its_release_has_or_fewer_by_a_policy(
    release: int, listed_replicas: int, replicas: int, *, may_be_none: bool
) -> None:
    target = replace(watched(2), inventory_release=release, inventory_replicas=listed_replicas)

    assert target.instances_due(NOW, RULES) == replicas
    assert target.may_be_none(NOW, RULES) is may_be_none


@pytest.mark.parametrize(
    ("numbers", "replicas"),
    [
        pytest.param((2, 0), 0, id="fewer-at-once"),
        pytest.param((0, 2), 0, id="those-that-start-have-time"),
        pytest.param((2, 0, 2), 0, id="from-what-was-wanted-last"),
        pytest.param((0, 1, 2), 0, id="one-after-the-other"),
        pytest.param((1, 1), 1, id="the-same-again"),
    ],
)
def test_what_a_policy_adds_has_time_to_start(numbers: tuple[int, ...], replicas: int) -> None:
    target = watched(2)
    for revision, number in enumerate(numbers, 1):
        event = listed(revision, 2, number)
        after = record_inventory(target, event, tenant_id=TENANT, now=NOW, rules=RULES)
        assert after is not None
        target = after

    late = NOW + RULES.resumed_within
    assert target.instances_due(NOW, RULES) == replicas
    assert target.instances_due(late, RULES) == numbers[-1]


@pytest.mark.parametrize(
    ("readiness", "failures", "passes"),
    [
        pytest.param(None, 3, 2, id="without-a-probe-the-defaults"),
        pytest.param({"kind": "tcp", "failureThreshold": 7, "successThreshold": 7}, 3, 2,
                     id="one-that-its-surface-runs"),
        pytest.param({"path": "/health"}, 3, 2, id="the-defaults-of-a-probe"),
        pytest.param({"path": "/health", "failureThreshold": 1}, 1, 2, id="fewer-failures"),
        pytest.param({"path": "/health", "failureThreshold": 7}, 7, 2, id="more-failures"),
        pytest.param({"path": "/health", "successThreshold": 1}, 3, 2, id="never-fewer-passes"),
        pytest.param({"path": "/health", "successThreshold": 4}, 3, 4, id="more-passes"),
    ],
)  # fmt: skip
def test_an_http_probe_brings_its_own_thresholds(
    readiness: Any, failures: int, passes: int
) -> None:
    target = watched(probes={"readiness": readiness} if readiness else {})

    assert target.failures_to_worsen(RULES) == failures
    assert target.passes_to_improve(RULES) == passes


def test_without_a_probe_one_pass_may_improve_it_where_the_rules_say_so() -> None:
    rules = HealthDefaults(passes_to_improve=1)

    assert watched(probes={}).passes_to_improve(rules) == 1


def test_a_tombstone_has_no_probe_no_instance_and_has_not_run() -> None:
    tombstone = watch(None, removal(6))

    assert tombstone is not None
    assert (tombstone.readiness, tombstone.instances_due(NOW, RULES), tombstone.has_run) == (
        None,
        0,
        False,
    )


def test_an_objective_comes_and_goes_with_what_burned_of_it() -> None:
    target = failing(watched(2))

    without = target.without_objective()
    again = without.with_objective()

    assert (without.has_objective, without.burning_since) == (False, None)
    assert (again.has_objective, again.burning_since) == (True, None)
    assert [each.revision for each in (target, without, again)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("component", "has_run"),
    [
        pytest.param({}, False, id="one-that-goes-on"),
        pytest.param({"runsOnce": {}, "port": None, "endpoint": None, "probes": {}}, True,
                     id="a-job"),
    ],
)  # fmt: skip
def test_a_job_whose_release_is_in_force_has_run(
    component: dict[str, Any], *, has_run: bool
) -> None:
    assert watched(**component).has_run is has_run
