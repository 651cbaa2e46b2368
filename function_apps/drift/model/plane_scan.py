"""The scan of a plane of the environment itself: what differs on its surfaces. Pure.

A part is what one surface has of the plane. Nobody tells of every write to it, so a difference is
believed when it has been there for a while, and nothing is judged soon after its fence has moved.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import field, replace
from datetime import datetime
from typing import Final

from function_apps.drift.model.classification import Circumstances, classify
from function_apps.drift.model.comparison import Change, compare
from function_apps.drift.model.environment_scan import EnvironmentScan, PartRecord, is_own_fence
from function_apps.drift.model.finding import (
    Finding,
    clear,
    new_finding,
    see_again,
    too_many,
    with_findings,
)
from shared.contracts.drift import (
    DriftDefaults,
    FindingStatus,
    Plane,
    PlaneCoverage,
    RemediationPolicy,
)
from shared.contracts.values import Reason, TenantId
from shared.kernel.clock import isoformat
from shared.kernel.dataclass import dataclass
from shared.kernel.ids import drift_finding_id, parse_id

_SINCE: Final = {
    Plane.TENANCY: "its isolation",
    Plane.INFRASTRUCTURE: "its last update",
    Plane.CONFIGURATION: "",
}
"""By plane, the work that made it as it is to be; what Git says is no work."""
_WROTE: Final = Reason(code="OwnWork", message="the platform wrote there a moment ago")


@dataclass(frozen=True)
class Part:
    """A plane on one *surface*: the words that it is to have, and those it has."""

    surface: str
    desired: Mapping[str, str]
    live: Mapping[str, str]
    fence: int = 0


@dataclass(frozen=True)
class PlaneReading:
    """A plane as it was read: its *parts*, and why others could not be, by path.

    The path of what could not be read is a surface, or leads to all that is below it.
    With `reason` nothing of it is compared: there is nothing, or `is_unfinished`, as its owner is
    at work on it or stopped half-way.
    """

    plane: Plane
    parts: tuple[Part, ...] = ()
    unread: Mapping[str, Reason] = field(default_factory=dict)
    reason: Reason | None = None
    is_unfinished: bool = False
    said_by: Mapping[str, str] = field(default_factory=dict)
    """The commit that says what is desired, by path; of what Git says."""
    adopted: frozenset[str] = frozenset()
    """Paths of which somebody took the live value for the desired one, which holds still."""


def unread_surface(name: str, reason: str) -> Reason:
    """Return that the surface *name* did not answer, and why."""
    return Reason(code="Unread", message=f"{name}: {reason}"[:500])


@dataclass(frozen=True)
class PlaneScan:
    """The meaning of *reading*, after what was *recorded* of its parts before.

    `records` are those of its parts from now on, `not_judged` says of a surface why it is not.
    """

    reading: PlaneReading
    records: Mapping[str, PartRecord]
    changes: Mapping[str, Change]
    """Those that are believed, by path."""
    not_judged: Mapping[str, Reason]
    differing: frozenset[str] = frozenset()
    """All that differs, by path: also what is not believed yet, or has no finding."""
    left_out: int = 0
    """Differences that have no finding, as so many are open."""

    @property
    def coverage(self) -> PlaneCoverage:
        reading, unknown = self.reading, [*self.not_judged.values()]
        reasons = [*unknown, *([too_many(self.left_out)] if self.left_out else [])]
        reason = reading.reason or (reasons[0] if reasons else None)
        seen = sum(each.surface not in self.not_judged for each in reading.parts)
        return PlaneCoverage(
            plane=reading.plane,
            complete=reason is None,
            seen=seen,
            unknown=len(unknown),
            reason=reason,
        )

    def leaves(self, finding: Finding) -> bool:
        """Return whether *finding* stays as it is: nobody could look, or it differs still."""
        is_unread = any(f"{finding.path}/".startswith(f"{each}/") for each in self.not_judged)
        return self.reading.is_unfinished or is_unread or finding.path in self.differing


def scan_plane(
    reading: PlaneReading,
    recorded: Mapping[str, PartRecord],
    known: Collection[Finding],
    now: datetime,
    rules: DriftDefaults,
) -> PlaneScan:
    """Return what *reading* means, where *known* findings are active.

    What could not be read stays as it was *recorded*. Of what differs only that is recorded which
    has no finding yet and is to get one: the environment is one document.
    """
    if reading.is_unfinished:
        kept = {surface: PartRecord(each.fence) for surface, each in recorded.items()}
        return PlaneScan(reading, kept, {}, {})
    records = {name: recorded[name] for name in reading.unread if name in recorded}
    not_judged, found = dict(reading.unread), dict[str, Change]()
    for part in reading.parts:
        record = _with_fence(recorded.get(part.surface, PartRecord()), part, now)
        records[part.surface] = record
        if is_own_fence(record.fence_moved_at, now, rules.own_work):
            not_judged[part.surface] = _WROTE
            continue
        for change in compare(part.desired, part.live):
            path = f"{part.surface}/{change.path}"
            found[path] = replace(change, path=path)
    by_path = {each.path: each for each in known}
    told = with_findings([*found], by_path)
    is_let_be = {path for path, each in by_path.items() if each.status is FindingStatus.ADOPTED}
    since = {
        path: _differs_since(path, recorded) or isoformat(now)
        for path in found
        if path in told and (path not in by_path or path in is_let_be)
    }
    believed_at = isoformat(now - rules.own_work)
    changes = {
        path: change
        for path, change in found.items()
        if path in told and since.get(path, believed_at) <= believed_at
    }
    records |= {
        each.surface: replace(records[each.surface], differs_since=_below(each.surface, since))
        for each in reading.parts
    }
    return PlaneScan(
        reading,
        records,
        changes,
        not_judged,
        frozenset(found),
        left_out=len(found) - len(told),
    )


def _with_fence(known: PartRecord, part: Part, now: datetime) -> PartRecord:
    """Return the record of *part* by its fence, without what differs in it."""
    moved_at = isoformat(now) if part.fence > known.fence else known.fence_moved_at
    return PartRecord(max(part.fence, known.fence), moved_at)


def _differs_since(path: str, recorded: Mapping[str, PartRecord]) -> str | None:
    surface, _, below = path.partition("/")
    known = recorded.get(surface)
    return known.differs_since.get(below) if known else None


def _below(surface: str, since: Mapping[str, str]) -> Mapping[str, str]:
    """Return the part of *since* whose paths are of *surface*, by the path below it."""
    place = f"{surface}/"
    return {path.removeprefix(place): at for path, at in since.items() if path.startswith(place)}


def seen_of_plane(
    found: PlaneScan,
    scan: EnvironmentScan,
    tenant: TenantId,
    policy: RemediationPolicy,
    now: datetime,
) -> Iterator[tuple[str, Finding]]:
    """Yield the findings of what differs, by id, as if each were seen for the first time."""
    since, said_by = _SINCE[found.reading.plane], found.reading.said_by
    key = parse_id(scan.environment_id, "env").environment
    plane = found.reading.plane
    for path, change in found.changes.items():
        finding_id = drift_finding_id(key, None, plane, path)
        known = Circumstances(
            stage=scan.stage, since=since, policy=policy, desired_by=said_by.get(path, "")
        )
        yield (
            finding_id,
            new_finding(
                finding_id,
                tenant_id=tenant,
                environment_id=scan.environment_id,
                service_id=None,
                module_id=None,
                project_id=None,
                plane=plane,
                change=change,
                classification=classify(plane, change, known),
                baseline_revision=scan.revision,
                now=now,
            ),
        )


def judge_of_plane(
    known: Finding | None,
    seen: Finding | None,
    found: PlaneScan,
    now: datetime,
    rules: DriftDefaults,
) -> Finding | None:
    """Return a finding after a scan that has *seen* its difference, or not; None without news."""
    if seen is not None:
        return seen if known is None else see_again(known, seen, now, rules)
    if known is None or found.leaves(known):
        return None
    reason = found.reading.reason.message if found.reading.reason else "as desired again"
    return clear(known, reason, now, ends_adoption=known.path not in found.reading.adopted)
