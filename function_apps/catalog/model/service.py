"""The aggregate RuntimeService: its identity, its knowledge, and its last observation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from function_apps.catalog.model.history import (
    Facts,
    HistoryRow,
    Knowledge,
    RowKind,
    row_body,
    row_of,
)
from function_apps.catalog.model.status import (
    ObservationExpired,
    Released,
    Removed,
    ServiceEvent,
    status_after,
)
from shared.contracts.catalog import ReleaseOfComponent, ServiceStatus
from shared.kernel.clock import isoformat

DOCUMENT_ID: Final = "service"
"""One service has a partition of its own, so its document needs no other name."""
Instances = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Identity:
    """The fields of a service that never change."""

    service_id: str
    tenant_id: str
    project_id: str
    environment_id: str
    stage: str
    module_id: str


@dataclass(frozen=True)
class RuntimeService:
    """The aggregate. Without a release it is a tombstone: its removal came before its release."""

    identity: Identity
    knowledge: Knowledge = field(default_factory=Knowledge)
    revision: int = 0
    instances: Instances = field(default_factory=tuple)
    last_observed_at: str | None = None

    @property
    def facts(self) -> Facts | None:
        return self.knowledge.facts

    @property
    def status(self) -> ServiceStatus | None:
        return self.facts.status if self.facts else None

    @property
    def component(self) -> Mapping[str, Any]:
        return self.knowledge.release.component if self.knowledge.release else {}

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
    """Whether the change is visible to other services."""


def identity_of(release: ReleaseOfComponent, *, service_id: str, tenant_id: str) -> Identity:
    return Identity(
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
    )  # fmt: skip


def record_row(service: RuntimeService, row: HistoryRow) -> ServiceChange:
    """Return *service* with *row*; an older row changes the history only."""
    knowledge = service.knowledge.with_row(row)
    if knowledge == service.knowledge:
        return ServiceChange(row, None, is_published=False)
    after = replace(service, knowledge=knowledge, revision=service.revision + 1)
    if after.status is ServiceStatus.RETIRED:
        after = replace(after, instances=())
    return ServiceChange(
        row, after, is_published=after.facts is not None and after.facts != service.facts
    )


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
        observed = replace(service, instances=tuple(instances), last_observed_at=at)
    if status is service.status:
        return ServiceChange(
            None, replace(observed, revision=observed.revision + 1), is_published=True
        )
    row = HistoryRow(
        RowKind.OBSERVATION, status, "observation", service.identity.service_id, at, at
    )
    return record_row(observed, row)


def _summary(instances: Instances) -> list[tuple[Any, ...]]:
    return [
        (instance["name"], instance["status"], instance["releaseRevision"])
        for instance in instances
    ]


def to_body(service: RuntimeService) -> dict[str, Any]:
    """Return the document body; the filters of lists need their fields at its top level."""
    knowledge = service.knowledge
    rows = [
        knowledge.release,
        knowledge.verification,
        knowledge.observation,
        knowledge.removal,
    ]
    component = service.component
    return {
        **vars(service.identity),
        "type": "service" if service.facts else "tombstone",
        "knowledge": [None if row is None else row_body(row) for row in rows],
        "revision": service.revision,
        "instances": [dict(instance) for instance in service.instances],
        "last_observed_at": service.last_observed_at,
        "status": service.status,
        "version": component.get("version"),
        "compute_target": component.get("computeTarget"),
        "owner": component.get("owner"),
    }


def from_body(body: Mapping[str, Any]) -> RuntimeService:
    identity = Identity(**{name: body[name] for name in Identity.__dataclass_fields__})
    rows = [None if row is None else row_of(row) for row in body["knowledge"]]
    return RuntimeService(
        identity,
        Knowledge(*rows),
        body["revision"],
        tuple(body["instances"]),
        body["last_observed_at"],
    )
