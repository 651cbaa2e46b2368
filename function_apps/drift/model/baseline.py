"""The baseline of a service: what deployments left of it, which a scan compares with what is live.

Releases are ordered by their revision and removals by their time, so late and repeated events
change nothing. Until the first release is heard of, what the inventory says stands for it.
"""

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from function_apps.drift.model.planes import Planes, released_planes
from shared.contracts.alerts import AlertState
from shared.contracts.catalog import RuntimeInventoryUpdated, ServiceStatus
from shared.contracts.drift import CompareRelease, Plane
from shared.contracts.health import HealthStatus
from shared.contracts.releases import ReleasedComponent
from shared.contracts.scaling import (
    Actuator,
    LeftReplicas,
    ScalingPolicyApplied,
    ScalingStatus,
    Signal,
)
from shared.contracts.values import (
    REPLICAS_MAX,
    EnvironmentId,
    ModuleId,
    ProjectId,
    Stage,
    TenantId,
)
from shared.kernel.clock import isoformat
from shared.kernel.dataclass import dataclass
from shared.surfaces.scaling import ReplicasOwner, rules_in_words

_MEASURES: Final = frozenset({Signal.CPU, Signal.MEMORY})
ABSENCES_MAX: Final = 10
"""As many are counted; far more than it takes to believe them."""


@dataclass(frozen=True)
class ServiceBaseline:
    """`component` is None while only the inventory is known, whose words are in `inventory`.

    A scan is due at `due_at`: after a release, or to look again after work of the platform.
    """

    service_id: str
    tenant_id: TenantId
    environment_id: EnvironmentId
    module_id: ModuleId
    stage: Stage | None
    project_id: ProjectId | None = None
    component: ReleasedComponent | None = None
    deployment_id: str | None = None
    release_revision: int = 0
    released_at: str = ""
    retired_at: str | None = None
    inventory: Mapping[str, str] = field(default_factory=dict)
    inventory_revision: int = 0
    health: HealthStatus = HealthStatus.UNKNOWN
    health_revision: int = 0
    scaling_revision: int = 0
    is_scaled: bool = False
    """A scaling policy has the number of its instances."""
    scaling: Mapping[str, str] = field(default_factory=dict)
    """The words of the rules by which its surface scales it, as a policy in force says."""
    left: LeftReplicas | None = None
    """The number of instances that a policy left that is over."""
    replicas_differ_since: str | None = None
    """The scan that first found another number of instances, or other rules; so did each since."""
    fence: int = 0
    """The highest fencing token that was seen on the surface."""
    fence_moved_at: str | None = None
    configuration: Mapping[str, str] | None = None
    """Digests of what its configuration was given as, as the first scan of the release found."""
    adopted: Mapping[str, str | None] = field(default_factory=dict)
    """Live values that somebody took for the desired ones, until the next release: by property."""
    absences: int = 0
    """Complete scans in a row that did not find it."""
    absent_since: str | None = None
    """The first of them."""
    snapshot: str = ""
    """Digest of what the last snapshot has."""
    digest_key: str = ""
    """Of the digests that are shown of what may be secret; it is shown nowhere itself."""
    due_at: str | None = None
    alert: AlertState = field(default_factory=AlertState)

    @property
    def is_retired(self) -> bool:
        return self.retired_at is not None and self.retired_at >= self.released_at

    @property
    def is_known(self) -> bool:
        """Return whether there is something to compare with."""
        return self.component is not None or bool(self.inventory)

    @property
    def is_expected(self) -> bool:
        """Return whether its absence would be news; a job has run, also where nothing is left."""
        is_job = self.component is not None and self.component.runs_once is not None
        return self.is_known and not self.is_retired and not is_job

    @cached_property
    def release_planes(self) -> Planes:
        """Return what its release asks for, before what was learned and adopted; asked thrice."""
        if self.component is None:
            return {}
        return released_planes(self.component, self.environment_id, self.tenant_id)

    @property
    def replicas_left(self) -> int | None:
        """Return the number that stays since a policy is over; None where a release has its own."""
        policy = self.component.scaling_policy_revision if self.component else 0
        left = None if self.is_scaled else self.left
        is_left = left is not None and left.is_of(self.release_revision, policy)
        return left.replicas if left is not None and is_left else None

    @property
    def adopted_replicas(self) -> int | None:
        """Return the number of instances that somebody adopted, as many as a release may have."""
        adopted = self.adopted.get(f"{Plane.REPLICAS}/replicas") or ""
        return min(int(adopted), REPLICAS_MAX) if adopted.isdecimal() else None

    @property
    def is_healthy(self) -> bool:
        return self.health in {HealthStatus.HEALTHY, HealthStatus.UNKNOWN}


def record_release(
    known: ServiceBaseline | None,
    release: CompareRelease,
    *,
    service_id: str,
    tenant_id: TenantId,
    now: datetime,
) -> ServiceBaseline | None:
    """Return the baseline after the end of a deployment; None when the release is not newer.

    It is scanned at once. What was adopted of the release before is not any more, and what the
    inventory said stands for nothing now, whichever was heard first.
    """
    before = known or ServiceBaseline(
        service_id, tenant_id, release.environment_id, release.module_id, release.stage
    )
    component, ended_at = release.component, isoformat(release.ended_at)
    if component is None:
        return _retire(before, ended_at, now)
    if component.release_revision <= before.release_revision and before.component is not None:
        return None
    return replace(
        before,
        stage=release.stage,
        project_id=release.project_id,
        component=component,
        inventory={},
        deployment_id=release.deployment_id,
        release_revision=component.release_revision,
        released_at=ended_at,
        configuration=None,
        adopted={},
        absences=0,
        absent_since=None,
        replicas_differ_since=None,
        due_at=isoformat(now),
    )


def record_inventory(
    known: ServiceBaseline | None,
    event: RuntimeInventoryUpdated,
    project: ProjectId | None,
    *,
    tenant_id: TenantId,
    now: datetime,
) -> ServiceBaseline | None:
    """Return the baseline after news of the inventory; None when they change nothing.

    A retired service is compared no more. Of one whose release nobody told, as it was deployed
    before drift was there, version, artifact and port of the inventory are compared.
    """
    if known is not None and event.revision <= known.inventory_revision:
        return None
    before = known or ServiceBaseline(
        event.service_id, tenant_id, event.environment_id, event.module_id, event.stage,
        project_id=project,
    )  # fmt: skip
    heard = replace(before, inventory_revision=event.revision)
    if event.status is ServiceStatus.RETIRED:
        return _retire(heard, isoformat(event.valid_from), now)
    if before.component is not None:
        return None
    words = {"version": event.version}
    if event.port is not None:
        words["port"] = str(event.port)
    return replace(
        heard,
        inventory=words,
        deployment_id=event.deployment_id,
        release_revision=event.release_revision,
        released_at=isoformat(event.valid_from),
        due_at=isoformat(now),
    )


def record_scaling(
    known: ServiceBaseline | None, event: ScalingPolicyApplied
) -> ServiceBaseline | None:
    """Return the baseline after news of its scaling policy; None when they are not newer.

    The number of instances is the policy's while there is one, whoever brings it about, and stays
    as it is when that ends or is refused. What its surface scales by is compared once the policy
    says that the surface has it.
    """
    if known is None or event.revision <= known.scaling_revision:
        return None
    is_scaled = event.number is not None
    is_enforced = event.status is ScalingStatus.ENFORCED and event.actuator is Actuator.NATIVE
    heard = replace(
        known,
        scaling_revision=event.revision,
        is_scaled=is_scaled,
        scaling=_rules_of_surface(event) if is_enforced else {},
        left=event.left_replicas,
    )
    is_same = (heard.is_scaled, heard.scaling) == (known.is_scaled, known.scaling)
    return heard if is_same else replace(heard, replicas_differ_since=None)


def _rules_of_surface(event: ScalingPolicyApplied) -> Mapping[str, str]:
    """Return the words of a policy that a surface follows.

    Sources of events are the adapter's words for a policy's settings, which nobody compares here.
    """
    bounds = {
        "owner": ReplicasOwner.SURFACE,
        "minimum": str(event.min),
        "maximum": str(event.max),
    }
    if not all(rule.signal in _MEASURES for rule in event.rules):
        return bounds
    words = rules_in_words((rule.signal.value, round(rule.target)) for rule in event.rules)
    return {**bounds, "rules": words}


def record_health(
    known: ServiceBaseline | None, status: HealthStatus, revision: int, now: datetime
) -> ServiceBaseline | None:
    """Return the baseline with the health of its service; None when it is not newer.

    What says the same is kept too, so that an older event which comes late changes nothing. A
    service that has become worse is scanned at once: what is wrong may be drift.
    """
    if known is None or revision <= known.health_revision:
        return None
    heard = replace(known, health=status, health_revision=revision)
    is_as_before = status is known.health or heard.is_healthy or heard.is_retired
    return heard if is_as_before else replace(heard, due_at=isoformat(now))


def new_baseline(
    service_id: str,
    tenant_id: TenantId,
    environment_id: EnvironmentId,
    module_id: ModuleId,
    stage: Stage | None,
) -> ServiceBaseline:
    """Return the baseline of a service that is live and that nobody is known to have released."""
    return ServiceBaseline(service_id, tenant_id, environment_id, module_id, stage)


def observe(
    baseline: ServiceBaseline,
    *,
    is_there: bool,
    fence: int,
    configuration: Mapping[str, str] | None,
    now: datetime,
    is_counted: bool = True,
    has_other_replicas: bool = False,
) -> ServiceBaseline:
    """Return *baseline* after a complete read of its service; itself where all is as before.

    A higher *fence* than before shows that the platform wrote there. An absence is counted unless
    so many are absent that nobody believes it.
    """
    absences = 0 if is_there else min(baseline.absences + is_counted, ABSENCES_MAX)
    has_moved = fence > baseline.fence
    differ_since = (
        (baseline.replicas_differ_since or isoformat(now)) if has_other_replicas else None
    )
    seen: dict[str, Any] = {
        "fence": max(fence, baseline.fence),
        "fence_moved_at": isoformat(now) if has_moved else baseline.fence_moved_at,
        "configuration": baseline.configuration if configuration is None else configuration,
        "absences": absences,
        "absent_since": (baseline.absent_since or isoformat(now)) if absences else None,
        "replicas_differ_since": differ_since,
        "due_at": None,
    }
    news = {name: value for name, value in seen.items() if value != getattr(baseline, name)}
    return replace(baseline, **news) if news else baseline


def _retire(baseline: ServiceBaseline, at: str, now: datetime) -> ServiceBaseline | None:
    """Return *baseline* retired, and due once more, so that its findings end."""
    if baseline.retired_at is not None and at <= baseline.retired_at:
        return None
    return replace(baseline, retired_at=at, due_at=isoformat(now))
