"""The RuntimeService: identity, what is known of it, and how far it has been observed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from function_apps.catalog.model.history import Facts, Kind, Knowledge, Row, row_body, row_of
from function_apps.catalog.model.states import (
    TRANSITIONS,
    Released,
    Removed,
    ServiceEvent,
    Status,
    Unseen,
    status_after,
)
from shared.contracts.catalog import ReleaseOfComponent
from shared.kernel.clock import isoformat

DOCUMENT_ID: Final = "service"
"""One service has a partition of its own, so its document needs no other name."""
Instances = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Identity:
    """What never changes of a service."""

    service_id: str
    tenant_id: str
    project_id: str
    environment_id: str
    stage: str
    module_id: str


@dataclass(frozen=True)
class RuntimeService:
    """The aggregate. Without a release it is a tombstone: a removal that came before one."""

    identity: Identity
    knowledge: Knowledge = field(default_factory=Knowledge)
    revision: int = 0
    instances: Instances = field(default_factory=tuple)
    last_observed_at: str | None = None

    @property
    def facts(self) -> Facts | None:
        return self.knowledge.facts

    @property
    def status(self) -> Status | None:
        return self.facts.status if self.facts else None

    @property
    def component(self) -> Mapping[str, Any]:
        return self.knowledge.release.component if self.knowledge.release else {}

    @property
    def retired_at(self) -> str | None:
        """Return since when it is Retired; None while it is not."""
        facts = self.facts
        return facts.valid_from if facts and facts.status is Status.RETIRED else None


@dataclass(frozen=True)
class Change:
    """What is committed: a row of history or none; the service after it, None if it stays."""

    row: Row | None
    service: RuntimeService | None
    is_told: bool
    """Whether what others know of it has changed."""


def identity_of(release: ReleaseOfComponent, *, service_id: str, tenant_id: str) -> Identity:
    return Identity(
        service_id=service_id,
        tenant_id=tenant_id,
        project_id=release.project_id,
        environment_id=release.environment_id,
        stage=release.stage,
        module_id=release.module_id,
    )


def release_row(release: ReleaseOfComponent, now: datetime) -> Row:
    """Return the fact that the end of a deployment is for one service."""
    component = release.component
    if component is None:
        return removal_row(release.cause.kind, release.cause.id, isoformat(release.ended_at), now)
    return Row(
        kind=Kind.RELEASE,
        status=status_after(Released()),
        cause_kind=release.cause.kind,
        cause_id=release.cause.id,
        valid_from=isoformat(release.ended_at),
        known_from=isoformat(now),
        release_revision=component.release_revision,
        deployment_id=release.deployment_id,
        component=component.model_dump(mode="json", by_alias=True),
    )


def removal_row(cause_kind: str, cause_id: str, at: str, now: datetime) -> Row:
    return Row(
        Kind.REMOVAL, status_after(Removed()), cause_kind, cause_id, at, isoformat(now)
    )  # fmt: skip


def learn(service: RuntimeService, row: Row) -> Change:
    """Return *service* with *row*; what is older than what is known changes nothing but history."""
    knowledge = service.knowledge.with_row(row)
    if knowledge == service.knowledge:
        return Change(row, None, is_told=False)
    after = replace(service, knowledge=knowledge, revision=service.revision + 1)
    if after.status is Status.RETIRED:
        after = replace(after, instances=())
    return Change(row, after, is_told=after.facts is not None and after.facts != service.facts)


def observe(
    service: RuntimeService, event: ServiceEvent, instances: Instances, now: datetime
) -> Change | None:
    """Return *service* as it was just seen; None when nothing is different but the time.

    What cannot happen to a retired service is none of its own: its instances are unmanaged. Other
    instances with the same status are news, but no history.
    """
    if service.status is None or type(event) not in TRANSITIONS[service.status]:
        return None
    status, at = status_after(event), isoformat(now)
    is_same = _shown(instances) == _shown(service.instances)
    if status is service.status and (isinstance(event, Unseen) or is_same):
        return None
    seen = service
    if not isinstance(event, Unseen):
        seen = replace(service, instances=tuple(instances), last_observed_at=at)
    if status is service.status:
        return Change(None, replace(seen, revision=seen.revision + 1), is_told=True)
    row = Row(Kind.OBSERVATION, status, "observation", service.identity.service_id, at, at)
    return learn(seen, row)


def _shown(instances: Instances) -> list[tuple[Any, ...]]:
    return [(each["name"], each["status"], each["releaseRevision"]) for each in instances]


def to_body(service: RuntimeService) -> dict[str, Any]:
    """Return the document body; what lists filter on stands at the top level."""
    knowledge = service.knowledge
    rows = [knowledge.release, knowledge.proved, knowledge.seen, knowledge.removed]
    component = service.component
    return {
        **vars(service.identity),
        "type": "service" if service.facts else "tombstone",
        "knowledge": [None if row is None else row_body(row) for row in rows],
        "revision": service.revision,
        "instances": [dict(each) for each in service.instances],
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
