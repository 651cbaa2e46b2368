"""Coverage: how much of each plane a scan looked at. Clean and not looked at differ."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from function_apps.drift.model.classification import ENVIRONMENT_PLANES
from shared.contracts.drift import Plane, PlaneCoverage
from shared.contracts.values import Reason

_NOT_ASKED: Final = Reason(code="NotAsked", message="the scan was ordered for other planes")


def coverage_of(
    seen: int,
    unread: Sequence[Reason],
    planes: Collection[Plane],
    of_environment: Mapping[Plane, PlaneCoverage],
) -> tuple[PlaneCoverage, ...]:
    """Return the coverage of a scan that judged *seen* services, and could not judge *unread*.

    *planes* are those that it was ordered for; all when empty. The planes of the environment itself
    have their own coverage; a plane that services have too has that of both.
    """
    return tuple(
        of_environment[plane]
        if plane in ENVIRONMENT_PLANES and plane in of_environment
        else _with(_of_plane(plane, seen, unread, planes), of_environment.get(plane))
        for plane in Plane
    )


def _with(one: PlaneCoverage, other: PlaneCoverage | None) -> PlaneCoverage:
    if other is None:
        return one
    return PlaneCoverage(
        plane=one.plane,
        complete=one.complete and other.complete,
        seen=one.seen + other.seen,
        unknown=one.unknown + other.unknown,
        reason=one.reason or other.reason,
    )


def _of_plane(
    plane: Plane, seen: int, unread: Sequence[Reason], planes: Collection[Plane]
) -> PlaneCoverage:
    if planes and plane not in planes:
        return PlaneCoverage(plane=plane, complete=False, seen=0, unknown=0, reason=_NOT_ASKED)
    first = unread[0] if unread else None
    return PlaneCoverage(
        plane=plane, complete=not unread, seen=seen, unknown=len(unread), reason=first
    )
