"""The aggregate RuntimeService: the rows that decide its facts, and its last observation."""

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime
from typing import Any

from function_apps.catalog.model.history import EffectiveRows, Facts, HistoryRow, RowKind
from function_apps.catalog.model.status import (
    ObservationExpired,
    Released,
    Removed,
    ServiceEvent,
    status_after,
)
from shared.contracts.catalog import ReleaseOfComponent, ServiceStatus
from shared.contracts.scaling import LeftReplicas, ScalingPolicyApplied
from shared.kernel.clock import isoformat
from shared.kernel.dataclass import dataclass

Instances = tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class RuntimeService:
    """The aggregate. Without a release it is a tombstone: its removal came before its release."""

    service_id: str
    tenant_id: str
    project_id: str
    environment_id: str
    stage: str
    module_id: str
    rows: EffectiveRows = field(default_factory=EffectiveRows)
    revision: int = 0
    instances: Instances = ()
    last_observed_at: str | None = None
    scaled_to: int | None = None
    """As many instances as a policy in force wants."""
    left: LeftReplicas | None = None
    """As many as a policy left that is over."""
    scaling_revision: int = 0

    @property
    def replicas(self) -> int:
        """Return how many instances it is to have."""
        if self.scaled_to is not None:
            return self.scaled_to
        revision, policy = (
            int(self.component.get(name, 0))
            for name in ("releaseRevision", "scalingPolicyRevision")
        )
        if self.left is not None and self.left.is_of(revision, policy):
            return self.left.replicas
        return int(self.component["replicas"])

    @property
    def facts(self) -> Facts | None:
        return self.rows.facts

    @property
    def status(self) -> ServiceStatus | None:
        return self.facts.status if self.facts else None

    @property
    def component(self) -> Mapping[str, Any]:
        return self.rows.release.component if self.rows.release else {}

    @property
    def depends_on(self) -> tuple[str, ...]:
        return tuple(self.component.get("dependsOn", ()))

    @property
    def retired_at(self) -> str | None:
        """Return the time from which it is Retired; None while it is not."""
        facts = self.facts
        return facts.valid_from if facts and facts.status is ServiceStatus.RETIRED else None


@dataclass(frozen=True)
class ServiceChange:
    """The documents to commit: a row of history, and the service if it changed."""

    row: HistoryRow | None
    service: RuntimeService | None
    is_published: bool
    """Other services see the change."""


def new_service(release: ReleaseOfComponent, *, service_id: str, tenant_id: str) -> RuntimeService:
    """Return the service of *release* before anything is known of it."""
    return RuntimeService(
        service_id=service_id,
        tenant_id=tenant_id,
        project_id=release.project_id,
        environment_id=release.environment_id,
        stage=release.stage,
        module_id=release.module_id,
    )


def release_row(release: ReleaseOfComponent, now: datetime) -> HistoryRow:
    """Return the row for one service of the end of a deployment."""
    component = release.component
    if component is None:
        return removal_row(release.cause.kind, release.cause.id, isoformat(release.ended_at), now)
    return HistoryRow(
        kind=RowKind.RELEASE,
        status=status_after(Released()),
        cause_kind=release.cause.kind,
        cause_id=release.cause.id,
        valid_from=isoformat(release.ended_at),
        known_from=isoformat(now),
        release_revision=component.release_revision,
        deployment_id=release.deployment_id,
        component=component.model_dump(mode="json", by_alias=True),
    )


def removal_row(cause_kind: str, cause_id: str, at: str, now: datetime) -> HistoryRow:
    return HistoryRow(
        RowKind.REMOVAL, status_after(Removed()), cause_kind, cause_id, at, isoformat(now)
    )


def record_row(service: RuntimeService, row: HistoryRow) -> ServiceChange:
    """Return *service* with *row*; an older row changes the history only."""
    rows = service.rows.with_row(row)
    if rows == service.rows:
        return ServiceChange(row, None, is_published=False)
    after = replace(service, rows=rows, revision=service.revision + 1)
    if after.status is ServiceStatus.RETIRED:
        after = replace(after, instances=())
    is_published = after.facts is not None and after.facts != service.facts
    return ServiceChange(row, after, is_published)


def record_observation(
    service: RuntimeService, event: ServiceEvent, instances: Instances, now: datetime
) -> ServiceChange | None:
    """Return *service* after *event*; None when only the time differs.

    The instances of a retired service are unmanaged, so they do not change it. Other instances with
    the same status are published, but are no history.
    """
    if service.status in {None, ServiceStatus.RETIRED}:
        return None
    status, at = status_after(event), isoformat(now)
    is_same = _summary(instances) == _summary(service.instances)
    if status is service.status and (isinstance(event, ObservationExpired) or is_same):
        return None
    observed = service
    if not isinstance(event, ObservationExpired):
        observed = replace(service, instances=instances, last_observed_at=at)
    if status is service.status:
        after = replace(observed, revision=observed.revision + 1)
        return ServiceChange(None, after, is_published=True)
    row = HistoryRow(RowKind.OBSERVATION, status, "observation", service.service_id, at, at)
    return record_row(observed, row)


def record_scaling(service: RuntimeService, event: ScalingPolicyApplied) -> ServiceChange | None:
    """Return *service* with the number that its policy wants; None when that is no news.

    A policy that ended, or is refused, leaves the number as it is until the next release.
    """
    if event.revision <= service.scaling_revision:
        return None
    after = replace(
        service,
        scaling_revision=event.revision,
        scaled_to=event.number,
        left=event.left_replicas,
    )
    is_shown = service.status not in {None, ServiceStatus.RETIRED}
    if not is_shown or after.replicas == service.replicas:
        return ServiceChange(None, after, is_published=False)
    return ServiceChange(None, replace(after, revision=service.revision + 1), is_published=True)


def _summary(instances: Instances) -> list[tuple[Any, ...]]:
    return [
        (
            instance["name"],
            instance["status"],
            instance["releaseRevision"],
            instance.get("restarts", 0),
            instance.get("reason", ""),
        )
        for instance in instances
    ]
