"""Coverage: how much of each plane a scan looked at. Clean and not looked at differ."""

from collections.abc import Collection, Sequence
from typing import Final

from function_apps.drift.model.desired import COMPARED
from shared.contracts.drift import Plane, PlaneCoverage
from shared.contracts.values import Reason

_NOT_COMPARED: Final = Reason(
    code="NotCompared", message="nothing of this plane is compared in this version"
)
_NOT_ASKED: Final = Reason(code="NotAsked", message="the scan was ordered for other planes")


def coverage_of(
    seen: int,
    unread: Sequence[Reason],
    planes: Collection[Plane],
) -> tuple[PlaneCoverage, ...]:
    """Return the coverage of a scan that judged *seen* services, and could not judge *unread*.

    *planes* are those that it was ordered for; all when empty.
    """
    return tuple(_of_plane(plane, seen, unread, planes) for plane in Plane)


def unreadable(reason: Reason, planes: Collection[Plane]) -> tuple[PlaneCoverage, ...]:
    """Return the coverage of a scan that could not read the environment at all."""
    return coverage_of(0, [reason], planes)


def _of_plane(
    plane: Plane, seen: int, unread: Sequence[Reason], planes: Collection[Plane]
) -> PlaneCoverage:
    if plane not in COMPARED or (planes and plane not in planes):
        reason = _NOT_COMPARED if plane not in COMPARED else _NOT_ASKED
        return PlaneCoverage(plane=plane, complete=False, seen=0, unknown=0, reason=reason)
    first = unread[0] if unread else None
    return PlaneCoverage(
        plane=plane, complete=not unread, seen=seen, unknown=len(unread), reason=first
    )
