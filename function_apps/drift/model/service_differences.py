"""The differences of one service: what is live otherwise than its baseline says. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from function_apps.drift.model.baseline import ServiceBaseline
from function_apps.drift.model.classification import INSTANCES, REVISION, SERVICE
from function_apps.drift.model.comparison import Change, compare
from function_apps.drift.model.desired import COMPARED, desired_planes, live_planes
from function_apps.drift.model.finding import Finding
from function_apps.drift.model.harmless import why_harmless
from function_apps.drift.model.live_service import LiveService
from shared.contracts.drift import DriftDefaults, DriftKind, Plane
from shared.kernel.clock import isoformat, parse_instant
from shared.kernel.dataclass import dataclass

VALUE_MAX: Final = 2000
"""Characters of a value that are kept; what is longer is cut."""
PATH_MAX: Final = 1024
SHOWN_MAX: Final = 5


@dataclass(frozen=True)
class Difference:
    """A change in one plane."""

    plane: Plane
    change: Change


def differences(
    baseline: ServiceBaseline, live: LiveService, now: datetime, rules: DriftDefaults
) -> list[Difference]:
    """Return what is not as *baseline* says, harmless differences left out.

    The number of instances is scaling's, which writes with the token that it read, and whose event
    may come after that: it is believed when it has been other for a while.
    """
    is_unconfirmed = are_replicas_unconfirmed(baseline, now, rules)
    return [
        each
        for each in _all(baseline, live, now, rules)
        if not _is_harmless(each) and not (is_unconfirmed and each.plane is Plane.REPLICAS)
    ]


def are_replicas_unconfirmed(
    baseline: ServiceBaseline, now: datetime, rules: DriftDefaults
) -> bool:
    """Return whether its number of instances is another, which is not believed yet."""
    confirmed_at = replicas_confirmed_at(baseline, rules)
    return confirmed_at is not None and confirmed_at > now


def replicas_confirmed_at(baseline: ServiceBaseline, rules: DriftDefaults) -> datetime | None:
    """Return from when on another number of instances is believed; None while it is as desired."""
    since = baseline.replicas_differ_since
    return None if since is None else parse_instant(since) + rules.own_work


def has_other_replicas(baseline: ServiceBaseline, live: LiveService) -> bool:
    """Return whether *live* has another number of instances, or rules for it, than it is to."""
    planes = live.revisions.get(baseline.release_revision)
    if planes is None or Plane.REPLICAS not in _compared(baseline):
        return False
    desired = desired_planes(baseline)
    replicas = {Plane.REPLICAS: planes.get(Plane.REPLICAS, {})}
    actual = live_planes(replicas, desired, baseline)
    changes = compare(desired.get(Plane.REPLICAS, {}), actual.get(Plane.REPLICAS, {}))
    return any(why_harmless(Plane.REPLICAS, each) is None for each in changes)


def _is_harmless(each: Difference) -> bool:
    return why_harmless(each.plane, each.change) is not None


def _all(
    baseline: ServiceBaseline, live: LiveService, now: datetime, rules: DriftDefaults
) -> Iterator[Difference]:
    if baseline.is_retired or not baseline.is_known:
        for number, version in sorted(live.versions.items()):
            change = Change(SERVICE, DriftKind.UNMANAGED, None, f"{version} as revision {number}")
            yield Difference(Plane.WORKLOAD, change)
            return
        return
    planes = live.revisions.get(baseline.release_revision)
    if planes is not None:
        desired = desired_planes(baseline)
        actual = live_planes(planes, desired, baseline)
        for plane in _compared(baseline):
            for change in compare(desired.get(plane, {}), actual.get(plane, {})):
                yield Difference(plane, _bounded(change))
        if live.departures:
            yield Difference(Plane.WORKLOAD, _of_instances(live.departures))
    elif baseline.is_expected and _is_gone(baseline, now, rules):
        version = baseline.component.version if baseline.component else ""
        gone = Change(REVISION, DriftKind.MISSING, version or None, None)
        yield Difference(Plane.WORKLOAD, gone)
    if baseline.component is not None:
        for number in sorted({*live.revisions} - {baseline.release_revision}):
            version = live.versions.get(number, "")
            path = f"{REVISION}/{number}"
            yield Difference(Plane.WORKLOAD, Change(path, DriftKind.UNMANAGED, None, version))


def _is_gone(baseline: ServiceBaseline, now: datetime, rules: DriftDefaults) -> bool:
    """Return whether its absence is believed: scans of a moment may all have read too early."""
    is_counted = baseline.absences >= rules.scans_to_believe_absent
    since = baseline.absent_since
    return is_counted and since is not None and since <= isoformat(now - rules.own_work)


def _compared(baseline: ServiceBaseline) -> Sequence[Plane]:
    """Return the planes to compare; a scaling policy has the number where there is one.

    What the policy gave to the surface is compared instead.
    """
    has_number = not baseline.is_scaled or bool(baseline.scaling)
    return [each for each in COMPARED if each is not Plane.REPLICAS or has_number]


def _of_instances(departures: Sequence[str]) -> Change:
    more = len(departures) - SHOWN_MAX
    shown = "; ".join(departures[:SHOWN_MAX]) + (f"; and {more} more" if more > 0 else "")
    return _bounded(Change(INSTANCES, DriftKind.CHANGED, "as released", shown))


def _bounded(change: Change) -> Change:
    desired, actual = (
        f"{value[: VALUE_MAX - 1]}…" if isinstance(value, str) and len(value) > VALUE_MAX else value
        for value in (change.desired, change.actual)
    )
    path = change.path if len(change.path) <= PATH_MAX else f"{change.path[: PATH_MAX - 1]}…"
    return replace(change, path=path, desired=desired, actual=actual)


def is_cut(finding: Finding) -> bool:
    """Return whether a part of *finding* is the beginning of one that was too long to be kept."""
    bounds = ((finding.actual or "", VALUE_MAX), (finding.path, PATH_MAX))
    return any(len(text) == at_most and text.endswith("…") for text, at_most in bounds)
