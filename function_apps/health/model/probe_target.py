"""The target of probes: a service, its release in force, and its health.

Releases and news of the inventory are ordered by their revisions and removals by their time, so
late and repeated events change nothing.
"""

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime
from typing import Any

from function_apps.health.model.restarts import Restarts
from shared.contracts.alerts import AlertState
from shared.contracts.catalog import ReleaseOfComponent, RuntimeInventoryUpdated, ServiceStatus
from shared.contracts.health import HealthDefaults, HealthStatus, RootCause
from shared.contracts.values import Probe, ProbeKind
from shared.kernel.clock import isoformat, parse_instant
from shared.kernel.dataclass import dataclass


@dataclass(frozen=True)
class ProbeTarget:
    """The health of one service. `streak` probes in a row had the outcome `pending`.

    `checks` and `reason` belong to the last probe that was written. A target without a component
    has no release yet: its removal, or news of the inventory, came first.
    """

    service_id: str
    tenant_id: str
    environment_id: str
    module_id: str
    stage: str
    since: str
    published_at: str
    status: HealthStatus = HealthStatus.UNKNOWN
    deployment_id: str | None = None
    release_revision: int = 0
    released_at: str = ""
    component: Mapping[str, Any] = field(default_factory=dict)
    """The released component, as JSON."""
    retired_at: str | None = None
    reason: str = "not probed yet"
    previous: HealthStatus | None = None
    pending: HealthStatus | None = None
    streak: int = 0
    revision: int = 1
    checks: tuple[Mapping[str, Any], ...] = ()
    probed_at: str | None = None
    restarts: Restarts = field(default_factory=dict)
    has_objective: bool = False
    failing_since: str | None = None
    """Since its first probe that did not pass; until it is Healthy."""
    passing_since: str | None = None
    """Since its first probe that passed after one that did not, also in a crash loop."""
    burning_since: str | None = None
    """Since when its error budget has been used up too fast."""
    root_cause: RootCause | None = None
    """The dependency that explains its failure."""
    alerts: Mapping[str, AlertState] = field(default_factory=dict)
    inventory_revision: int = 0
    """That of the last news of the inventory, which said the two below."""
    inventory_release: int = 0
    inventory_replicas: int = 0
    replicas_before: int = 0
    """As many as had to pass when the inventory said another number, at `scaled_at`."""
    scaled_at: str | None = None

    @property
    def is_retired(self) -> bool:
        return self.retired_at is not None and self.retired_at >= self.released_at

    def instances_due(self, now: datetime, rules: HealthDefaults) -> int:
        """Return how many instances must pass: those of its release, or fewer by a policy.

        What a policy wants beyond its release is growth, and may never fit; what it wants more than
        before is given as long to start as after an interruption.
        """
        if self.inventory_release != self.release_revision:
            return self._replicas_of_release
        wanted = min(self._replicas_of_release, self.inventory_replicas)
        since = None if self.scaled_at is None else parse_instant(self.scaled_at)
        starts = since is not None and now < since + rules.resumed_within
        return min(wanted, self.replicas_before) if starts else wanted

    def may_be_none(self, now: datetime, rules: HealthDefaults) -> bool:
        """Return whether a policy wants no instance of what its release had run."""
        return self.instances_due(now, rules) == 0 < self._replicas_of_release

    @property
    def _replicas_of_release(self) -> int:
        return int(self.component.get("replicas", 0))

    @property
    def has_run(self) -> bool:
        """Return whether its release ran it once, to its end: nothing of it is there to be asked.

        It went well, or the release were not in force.
        """
        return self.component.get("runsOnce") is not None

    @property
    def readiness(self) -> Probe | None:
        """Return the component's own HTTP probe; its surface runs those of other kinds."""
        readiness = self.component.get("probes", {}).get("readiness")
        probe = None if readiness is None else Probe.model_validate(readiness)
        return probe if probe is not None and probe.kind is ProbeKind.HTTP else None

    def with_objective(self) -> "ProbeTarget":
        """Return this with an objective, which its probes count for from now on."""
        return replace(self, has_objective=True, revision=self.revision + 1)

    def without_objective(self) -> "ProbeTarget":
        """Return this without one: nothing is counted, and no budget is used up."""
        return replace(self, has_objective=False, burning_since=None, revision=self.revision + 1)

    def failures_to_worsen(self, rules: HealthDefaults) -> int:
        """Return how many failing probes in a row worsen it: the component's own threshold."""
        probe = self.readiness
        return rules.failures_to_worsen if probe is None else probe.failure_threshold

    def passes_to_improve(self, rules: HealthDefaults) -> int:
        """Return how many passing probes in a row improve it: the greater of both thresholds.

        A surface may send traffic after one pass, Kubernetes' default; an event takes more.
        """
        probe = self.readiness
        own = 1 if probe is None else probe.success_threshold
        return max(rules.passes_to_improve, own)


def watch_release(
    known: ProbeTarget | None,
    release: ReleaseOfComponent,
    *,
    service_id: str,
    tenant_id: str,
    now: datetime,
) -> ProbeTarget | None:
    """Return the target after the end of a deployment; None when the release is not newer.

    A new release does not make a healthy service unhealthy: the status stays until probes of the
    new instances change it. A service that comes back after a removal begins Unknown.
    """
    component, ended_at, at = release.component, isoformat(release.ended_at), isoformat(now)
    target = known or _new_target(release, service_id, tenant_id, at)
    if component is None:
        return _retire(target, ended_at)
    if component.release_revision <= target.release_revision:
        return None
    after = replace(
        target,
        deployment_id=release.deployment_id,
        release_revision=component.release_revision,
        released_at=ended_at,
        component=component.model_dump(mode="json", by_alias=True),
        revision=target.revision + 1,
    )
    if target.is_retired and not after.is_retired:
        return replace(
            after, status=HealthStatus.UNKNOWN, since=at, previous=None, pending=None, streak=0,
            reason="not probed yet", checks=(), failing_since=None, passing_since=None,
            burning_since=None, root_cause=None,
        )  # fmt: skip
    return after


def record_inventory(
    known: ProbeTarget | None,
    event: RuntimeInventoryUpdated,
    *,
    tenant_id: str,
    now: datetime,
    rules: HealthDefaults,
) -> ProbeTarget | None:
    """Return the target with what the inventory says of it; None when nothing changes.

    That is its end, and how many instances there are to be, which a policy changes. Releases come
    from their deployments.
    """
    if event.status is ServiceStatus.RETIRED:
        target = known or _new_target(event, event.service_id, tenant_id, isoformat(now))
        return _retire(target, isoformat(event.valid_from))
    known = known or _new_target(event, event.service_id, tenant_id, isoformat(now))
    if event.revision <= known.inventory_revision:
        return None
    after = replace(
        known,
        inventory_revision=event.revision,
        inventory_release=event.release_revision,
        inventory_replicas=event.replicas,
    )
    if event.release_revision != known.inventory_release:
        return replace(after, scaled_at=None)
    if event.replicas == known.inventory_replicas:
        return after
    return replace(after, replicas_before=known.instances_due(now, rules), scaled_at=isoformat(now))


def _new_target(
    source: ReleaseOfComponent | RuntimeInventoryUpdated, service_id: str, tenant_id: str, at: str
) -> ProbeTarget:
    return ProbeTarget(
        service_id=service_id,
        tenant_id=tenant_id,
        environment_id=source.environment_id,
        module_id=source.module_id,
        stage=source.stage,
        since=at,
        published_at=at,
        revision=0,
    )


def _retire(target: ProbeTarget, at: str) -> ProbeTarget | None:
    if target.retired_at is not None and at <= target.retired_at:
        return None
    return replace(target, retired_at=at, revision=target.revision + 1)
