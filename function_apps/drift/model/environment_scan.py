"""EnvironmentScan: when an environment is scanned next, and which work of the platform is on.

A deployment's step is recorded here before it acts, as its event was committed before. An older
event changes nothing newer.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

from function_apps.drift.model.environment_content import (
    EnvironmentContent,
    after_environment_event,
)
from function_apps.drift.model.rolled_back import (
    CompletedRelease,
    RolledBackRelease,
    all_but_newest,
    with_completed,
    with_holds,
)
from shared.contracts.alerts import AlertState
from shared.contracts.deployments import (
    DeploymentEnded,
    DeploymentFacts,
    DeploymentInForce,
    DeploymentKind,
    DeploymentStatus,
    RuntimeDeploymentCompleted,
    RuntimeDeploymentRequested,
    RuntimeDeploymentRolledBack,
)
from shared.contracts.drift import DriftDefaults, Plane, PlaneCoverage
from shared.contracts.environments import (
    EnvironmentFacts,
    RuntimeEnvironmentDecommissioned,
    RuntimeEnvironmentStatusChanged,
)
from shared.contracts.values import Stage
from shared.kernel.clock import isoformat
from shared.kernel.dataclass import dataclass

DEPLOYMENTS_KEPT: Final = 100
"""Of those that have ended, the newest: a late event of an older one is taken for a new step."""
UNENDED_KEPT: Final = 1_000
"""Of those that are at work, or wait: more are some whose end was lost."""
ADOPTED_MAX: Final = 200
"""Values of configuration of an environment, properties of a service: each has one document."""
_FAILED: Final = frozenset({DeploymentStatus.FAILED})


@dataclass(frozen=True)
class DeploymentWork:
    """The newest event of a deployment: its *modules* are changed while it `is_on`."""

    revision: int
    modules: tuple[str, ...]
    is_on: bool
    at: str
    has_failed: bool = False
    """It ended without a release in force that it proved."""
    from_start: bool = False
    """Its request was heard, so it is new: what is said of it later is no echo of one forgotten."""
    stepped_at: str = ""
    """The time of its newest step; empty while it waits."""
    releases: Mapping[str, int] = field(default_factory=dict)
    """The release revisions that it left in force, by module."""

    @property
    def waits(self) -> bool:
        """Return whether it was requested and has not begun; so it is too where it never did."""
        return self.from_start and not (self.is_on or self.stepped_at or self.has_failed)


@dataclass(frozen=True)
class PartRecord:
    """One surface in a plane of the environment itself, as scans saw it."""

    fence: int = 0
    """The highest fencing token that was seen there."""
    fence_moved_at: str | None = None
    differs_since: Mapping[str, str] = field(default_factory=dict)
    """The first scan of those in a row that found a property otherwise, by path; of what has no
    finding yet and is to get one."""


@dataclass(frozen=True)
class AdoptedValue:
    """Somebody let *live* be in force, though Git says *desired*; it holds while both are so."""

    desired: str | None
    live: str | None


@dataclass(frozen=True)
class EnvironmentScan:
    """The scans of one environment. `revision` is that of the newest event of it."""

    environment_id: str
    revision: int = 0
    generation: int = 0
    stage: Stage | None = None
    due_at: str = ""
    scanned_at: str | None = None
    """The time of the last scan that could read the environment."""
    ended_at: str | None = None
    coverage: tuple[PlaneCoverage, ...] = ()
    deployments: Mapping[str, DeploymentWork] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    """Services that the last scan did not find."""
    is_mass_absence: bool = False
    """So many were newly absent at once that it takes somebody's word to believe it."""
    planes: tuple[Plane, ...] = ()
    """Those of the ordered scan; all when empty."""
    confirmed: bool = False
    """Somebody has said that what is absent really is."""
    content: EnvironmentContent = field(default_factory=EnvironmentContent)
    parts: Mapping[Plane, Mapping[str, PartRecord]] = field(default_factory=dict)
    """Of the planes of the environment itself, by surface."""
    alert: AlertState = field(default_factory=AlertState)
    """Of the findings of the environment itself."""
    rolled_back: Mapping[str, RolledBackRelease] = field(default_factory=dict)
    """The release of each module that was rolled back last; of those that have ended the newest."""
    completed: Mapping[str, CompletedRelease] = field(default_factory=dict)
    """The release of each module that was completed last, of the newest."""
    adopted: Mapping[str, AdoptedValue] = field(default_factory=dict)
    """Values of configuration that somebody let be in force otherwise than Git says, by path."""

    @cached_property
    def _by_module(self) -> Mapping[str, Mapping[str, DeploymentWork]]:
        """Return the deployments of each module: a scan asks for every service."""
        by_module: dict[str, dict[str, DeploymentWork]] = defaultdict(dict)
        for name, work in self.deployments.items():
            for module in work.modules:
                by_module[module][name] = work
        return by_module

    def work_on(self, module: str, since: datetime) -> str | None:
        """Return the deployment that is changing *module*; None when none is.

        A step may be silent for days, and is at work until the deployment says its end. But one
        that has said nothing *since* then is none where its request was never heard, as what it
        said last may have come after its end; and where another began there later, as a module has
        one at a time: its end was lost.
        """
        there = self._by_module.get(module, {})
        at_work = [(name, work) for name, work in there.items() if work.is_on]
        if not at_work:
            return None
        at_least = isoformat(since)
        newest = max(work.stepped_at for work in there.values())
        return next(
            (
                name
                for name, work in at_work
                if work.at >= at_least or (work.from_start and work.at >= newest)
            ),
            None,
        )

    def released_by(self, module: str, after: int, since: datetime) -> str | None:
        """Return the deployment that left a later release of *module* than revision *after*.

        The baseline of the module hears of it by a message of its own, which may come later. One
        that has said nothing *since* then is none: that message was lost.
        """
        later = [
            (name, work)
            for name, work in self._by_module.get(module, {}).items()
            if work.releases.get(module, 0) > after
        ]
        at_least = isoformat(since) if later else ""
        return next((name for name, work in later if work.at >= at_least), None)

    def failed_since(self, module: str, at: str) -> str | None:
        """Return the newest deployment of *module* that failed after *at*; None without one."""
        failed = [
            (work.at, name)
            for name, work in self._by_module.get(module, {}).items()
            if work.has_failed and work.at > at
        ]
        return max(failed)[1] if failed else None


def on_environment_event(
    known: EnvironmentScan | None, event: EnvironmentFacts, now: datetime
) -> EnvironmentScan | None:
    """Return the scans after *event*; None when it is not newer.

    One that is at work on an environment that is not known yet says nothing of what to scan.
    """
    before = known or EnvironmentScan(event.environment_id)
    if event.revision <= before.revision:
        return None
    content = after_environment_event(before.content, event)
    if isinstance(event, RuntimeEnvironmentStatusChanged):
        at_work = replace(before, revision=event.revision, content=content)
        return at_work if before.revision else None
    at = isoformat(now)
    return replace(
        before,
        revision=event.revision,
        generation=event.generation,
        stage=event.stage,
        due_at=at,
        ended_at=at if isinstance(event, RuntimeEnvironmentDecommissioned) else None,
        content=content,
    )


def on_deployment_event(
    known: EnvironmentScan | None, event: DeploymentFacts, now: datetime
) -> EnvironmentScan | None:
    """Return the scans after *event* of a deployment; None when it says nothing new.

    One that is requested changes nothing yet, except a repair: what it repairs is judged after it.
    """
    before = known or EnvironmentScan(event.environment_id, due_at=isoformat(now))
    work = before.deployments.get(event.deployment_id)
    is_request = isinstance(event, RuntimeDeploymentRequested)
    if work is not None and event.revision <= work.revision:
        if not is_request or work.from_start:
            return None
        of_start = replace(work, from_start=True)  # it came late
        return replace(before, deployments={**before.deployments, event.deployment_id: of_start})
    is_repair = event.kind is DeploymentKind.REPAIR
    has_ended = isinstance(event, DeploymentEnded)
    at = isoformat(now)
    stepped_at = work.stepped_at if work else ""
    heard = DeploymentWork(
        event.revision,
        tuple(event.modules),
        is_on=not has_ended and (is_repair or not is_request),
        at=at,
        has_failed=has_ended and event.status in _FAILED,
        from_start=is_request or (work is not None and work.from_start),
        stepped_at=stepped_at if has_ended or is_request else at,
        releases=event.release_revisions if isinstance(event, DeploymentInForce) else {},
    )
    deployments = {**before.deployments, event.deployment_id: heard}
    after = replace(before, deployments=_without_old_work(deployments))
    if isinstance(event, RuntimeDeploymentRolledBack):
        held = with_holds(after.rolled_back, after.completed, event)
        return replace(after, rolled_back=held)
    if isinstance(event, RuntimeDeploymentCompleted):
        held, completed = with_completed(after.rolled_back, after.completed, event)
        return replace(after, rolled_back=held, completed=completed)
    return after


def _without_old_work(deployments: Mapping[str, DeploymentWork]) -> Mapping[str, DeploymentWork]:
    """Return *deployments* without old ones that have ended, or whose end was lost long ago.

    One that waits, for days where others are before it, has not ended.
    """
    is_open = {name: each.is_on or each.waits for name, each in deployments.items()}
    ended = {name: each.at for name, each in deployments.items() if not is_open[name]}
    going_on = {name: each.at for name, each in deployments.items() if is_open[name]}
    old = all_but_newest(ended, DEPLOYMENTS_KEPT) | all_but_newest(going_on, UNENDED_KEPT)
    return {name: each for name, each in deployments.items() if name not in old}


def make_due(scan: EnvironmentScan, now: datetime) -> EnvironmentScan | None:
    """Return *scan* due at once; None where it is already, or has ended."""
    is_due = scan.due_at <= isoformat(now) or scan.ended_at is not None
    return None if is_due else replace(scan, due_at=isoformat(now))


def order_scan(
    scan: EnvironmentScan, planes: Collection[Plane], now: datetime, *, confirmed: bool
) -> EnvironmentScan:
    """Return *scan* due at once, of *planes*, as somebody asked for."""
    return replace(
        scan,
        due_at=isoformat(now),
        planes=tuple(planes),
        confirmed=confirmed or scan.confirmed,
    )


@dataclass(frozen=True)
class ScanResult:
    """`absent` is None where the environment could not be read."""

    coverage: tuple[PlaneCoverage, ...]
    absent: tuple[str, ...] | None
    is_mass_absence: bool = False
    parts: Mapping[Plane, Mapping[str, PartRecord]] = field(default_factory=dict)
    """Of the planes of the environment that were looked at."""
    ended_adoptions: Collection[str] = ()
    """Paths of what was adopted, of which Git or what is in force says something else now."""


def record_scan(
    scan: EnvironmentScan,
    made: EnvironmentScan,
    result: ScanResult,
    now: datetime,
    every: timedelta,
) -> EnvironmentScan:
    """Return *scan* after the scan that was *made* as it was then.

    What was ordered meanwhile is due still.
    """
    is_ordered = (scan.due_at, scan.planes, scan.confirmed) != (
        made.due_at, made.planes, made.confirmed,
    )  # fmt: skip
    adopted = {
        path: each
        for path, each in scan.adopted.items()
        if path not in result.ended_adoptions or each != made.adopted.get(path)
    }
    after = replace(
        scan,
        coverage=result.coverage,
        parts={**scan.parts, **result.parts},
        adopted=adopted,
    )
    if not is_ordered:
        after = replace(after, due_at=isoformat(now + every))
    if result.absent is None:
        return after
    after = replace(
        after,
        scanned_at=isoformat(now),
        absent=result.absent,
        is_mass_absence=result.is_mass_absence,
    )
    return after if is_ordered else replace(after, planes=(), confirmed=False)


def are_too_many_absent(
    scan: EnvironmentScan, absent: Collection[str], total: int, rules: DriftDefaults
) -> bool:
    """Return whether *absent* of *total* services are too many at once to be believed.

    That more often is a surface with an incomplete listing than a disaster. Once they are, they
    stay so until somebody confirms, or they are there again.
    """
    new = set(absent) if scan.is_mass_absence else set(absent) - {*scan.absent}
    is_much = len(new) >= rules.absent_min and len(new) > rules.absent_ratio_max * total
    return is_much and not scan.confirmed


def is_own_fence(moved_at: str | None, now: datetime, window: timedelta) -> bool:
    """Return whether the platform wrote to the resource so lately that it may still be at work."""
    return moved_at is not None and moved_at > isoformat(now - window)
