"""How much of each plane a scan looked at: clean and not looked at are told apart."""

from collections.abc import Collection, Mapping
from typing import Final

from function_apps.drift.model.classification import ENVIRONMENT_PLANES
from function_apps.drift.model.coverage import coverage_of
from shared.contracts.drift import Plane, PlaneCoverage
from shared.contracts.values import Reason

AWAY: Final = Reason(code="Away", message="the surface does not answer")
LATER: Final = Reason(code="OwnWork", message="a deployment is at work")


def covered(
    *unread: Reason,
    planes: Collection[Plane] = (),
    of_environment: Mapping[Plane, PlaneCoverage] | None = None,
) -> Mapping[Plane, PlaneCoverage]:
    found = coverage_of(3, unread, planes, of_environment or {})
    assert [each.plane for each in found] == list(Plane)
    return {each.plane: each for each in found}


def own(plane: Plane, *, complete: bool, reason: Reason | None = None) -> PlaneCoverage:
    """Return what a scan looked at of *plane* of the environment itself."""
    return PlaneCoverage(plane=plane, complete=complete, seen=2, unknown=1, reason=reason)


def test_where_every_service_was_judged_a_plane_is_complete() -> None:
    assert covered()[Plane.WORKLOAD] == PlaneCoverage(
        plane=Plane.WORKLOAD, complete=True, seen=3, unknown=0, reason=None
    )


def test_services_that_could_not_be_judged_are_counted_and_the_first_says_why() -> None:
    assert covered(AWAY, LATER)[Plane.WORKLOAD] == PlaneCoverage(
        plane=Plane.WORKLOAD, complete=False, seen=3, unknown=2, reason=AWAY
    )


def test_a_plane_for_which_no_scan_was_ordered_was_not_asked_for() -> None:
    found = covered(planes=[Plane.WORKLOAD])

    assert found[Plane.WORKLOAD].complete
    routing = found[Plane.ROUTING]
    assert (routing.complete, routing.seen, routing.unknown) == (False, 0, 0)
    assert routing.reason is not None
    assert routing.reason.code == "NotAsked"


def test_a_plane_of_the_environment_itself_has_what_was_seen_of_that() -> None:
    given = {plane: own(plane, complete=True) for plane in ENVIRONMENT_PLANES}

    found = covered(AWAY, of_environment=given)

    assert {plane: found[plane] for plane in ENVIRONMENT_PLANES} == given


def test_a_plane_that_both_have_has_the_sum_of_both() -> None:
    plane = Plane.CONFIGURATION

    whole = covered(of_environment={plane: own(plane, complete=True)})[plane]
    parts = covered(AWAY, of_environment={plane: own(plane, complete=True)})[plane]

    assert (whole.complete, whole.seen, whole.unknown, whole.reason) == (True, 5, 1, None)
    assert (parts.complete, parts.seen, parts.unknown, parts.reason) == (False, 5, 2, AWAY)


def test_where_only_the_environment_could_not_be_looked_at_its_reason_is_told() -> None:
    plane = Plane.CONFIGURATION

    found = covered(of_environment={plane: own(plane, complete=False, reason=LATER)})[plane]

    assert (found.complete, found.reason) == (False, LATER)
