"""The RuntimeService and its history: what ran, from when, since when that is known, and why.

Two times: `valid_from` is when it became so, `known_from` when it was recorded here. Rows are only
added. What was true at T as known at K is the row with the latest `valid_from` up to T among those
known by K; of equal ones, the one recorded last. A fact that arrives late is a row like any other.
Snodgrass, "Developing Time-Oriented Database Applications in SQL", 1999.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from shared.contracts.catalog import ReleaseOfComponent, ReleaseOutcome, ServiceStatus
from shared.kernel.clock import isoformat

Status = ServiceStatus


@dataclass(frozen=True)
class ServiceEvent:
    """Something that happened to a service."""


@dataclass(frozen=True)
class Released(ServiceEvent):
    """A deployment ended and this is what runs, proved."""


@dataclass(frozen=True)
class Observed(ServiceEvent):
    """A complete read of the surface: so many instances ready of so many wanted."""

    ready: int
    wanted: int


@dataclass(frozen=True)
class Unseen(ServiceEvent):
    """It has not been observed for longer than the limit."""


@dataclass(frozen=True)
class Removed(ServiceEvent):
    """Nothing of it runs any more, on purpose."""


_SEEN: Final = {
    Released: frozenset({Status.RUNNING}),
    Observed: frozenset({Status.RUNNING, Status.DEGRADED, Status.UNAVAILABLE}),
    Unseen: frozenset({Status.UNKNOWN}),
    Removed: frozenset({Status.RETIRED}),
}

# What is not in this table cannot happen. A retired service comes back with a release only.
TRANSITIONS: Final[Mapping[Status, Mapping[type[ServiceEvent], frozenset[Status]]]] = (
    MappingProxyType(
        {
            Status.DEPLOYING: _SEEN,
            Status.RUNNING: _SEEN,
            Status.DEGRADED: _SEEN,
            Status.UNAVAILABLE: _SEEN,
            Status.UNKNOWN: _SEEN,
            Status.RETIRED: {Released: frozenset({Status.RUNNING})},
        }
    )
)


def status_after(event: ServiceEvent) -> Status:
    """Return the status that *event* says; running needs at least one healthy instance."""
    match event:
        case Observed(ready, wanted):
            if ready == 0:
                return Status.UNAVAILABLE
            return Status.RUNNING if ready >= wanted else Status.DEGRADED
        case Unseen():
            return Status.UNKNOWN
        case Removed():
            return Status.RETIRED
        case _:
            return Status.RUNNING


@dataclass(frozen=True)
class Facts:
    """What is known of a service at one time. `component` is the released one, as JSON."""

    status: Status
    release_revision: int
    deployment_id: str | None
    component: Mapping[str, Any]
    cause_kind: str
    cause_id: str
    valid_from: str
    known_from: str


@dataclass(frozen=True)
class RuntimeService:
    """The aggregate: identity, the facts in force, and how far it has been observed."""

    service_id: str
    tenant_id: str
    project_id: str
    environment_id: str
    stage: str
    module_id: str
    facts: Facts
    revision: int = 1
    instances: tuple[Mapping[str, Any], ...] = ()
    last_observed_at: str | None = None
    retired_at: str | None = None
    retired_by: Mapping[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> Status:
        return self.facts.status


@dataclass(frozen=True)
class Change:
    """`head` is None when the fact is older than what is in force; `row` is history anyway."""

    row: Facts
    head: RuntimeService | None


def apply_release(
    known: RuntimeService | None,
    release: ReleaseOfComponent,
    *,
    service_id: str,
    tenant_id: str,
    now: datetime,
) -> Change | None:
    """Return what a deployment left of one service; None when it says nothing new.

    Ordered by release revision, because each deployment is an aggregate of its own.
    """
    component = release.component
    if component is None:
        return _removal(known, release, now)
    row = Facts(
        status=status_after(Released()),
        release_revision=component.release_revision,
        deployment_id=release.deployment_id,
        component=component.model_dump(mode="json", by_alias=True),
        cause_kind=release.cause.kind,
        cause_id=release.cause.id,
        valid_from=isoformat(release.ended_at),
        known_from=isoformat(now),
    )
    if known is None:
        head = RuntimeService(
            service_id=service_id,
            tenant_id=tenant_id,
            project_id=release.project_id,
            environment_id=release.environment_id,
            stage=release.stage,
            module_id=release.module_id,
            facts=row,
        )
        return Change(row, head)
    if component.release_revision <= known.facts.release_revision:
        return Change(row, None)
    return Change(
        row,
        replace(
            known, facts=row, revision=known.revision + 1, instances=(), retired_at=None,
        ),
    )  # fmt: skip


def retire(
    known: RuntimeService, *, cause_kind: str, cause_id: str, at: str, now: datetime
) -> Change | None:
    """Return *known* retired since *at*; None when it was already, or has run again since."""
    if known.status is Status.RETIRED or at < known.facts.valid_from:
        return None
    row = replace(
        known.facts,
        status=status_after(Removed()),
        cause_kind=cause_kind,
        cause_id=cause_id,
        valid_from=at,
        known_from=isoformat(now),
    )
    head = replace(known, facts=row, revision=known.revision + 1, instances=(), retired_at=at)
    return Change(row, head)


def observe(
    known: RuntimeService,
    event: ServiceEvent,
    instances: tuple[Mapping[str, Any], ...],
    now: datetime,
) -> Change | None:
    """Return *known* as it was just seen; None when nothing is different but the time.

    What cannot happen to a retired service is none of its own: its instances are unmanaged.
    """
    if type(event) not in TRANSITIONS[known.status]:
        return None
    status = status_after(event)
    same_instances = [_identity(each) for each in instances] == [
        _identity(each) for each in known.instances
    ]
    if status is known.status and (isinstance(event, Unseen) or same_instances):
        return None
    at = isoformat(now)
    row = replace(
        known.facts,
        status=status,
        cause_kind="observation",
        cause_id=known.service_id,
        valid_from=at,
        known_from=at,
    )
    seen = None if isinstance(event, Unseen) else at
    return Change(
        row,
        replace(
            known,
            facts=row,
            revision=known.revision + 1,
            instances=known.instances if isinstance(event, Unseen) else instances,
            last_observed_at=seen or known.last_observed_at,
        ),
    )


def at_time(rows: Iterable[Facts], as_of: str, known_at: str) -> Facts | None:
    """Return what was true at *as_of* as far as it was known at *known_at*; None if nothing was."""
    seen = [row for row in rows if row.known_from <= known_at and row.valid_from <= as_of]
    return max(seen, key=lambda row: (row.valid_from, row.known_from), default=None)


def _removal(
    known: RuntimeService | None, release: ReleaseOfComponent, now: datetime
) -> Change | None:
    gone = release.outcome in {ReleaseOutcome.COMPLETED, ReleaseOutcome.ROLLED_BACK}
    if known is None or not gone:
        return None
    return retire(
        known,
        cause_kind=release.cause.kind,
        cause_id=release.cause.id,
        at=isoformat(release.ended_at),
        now=now,
    )


def _identity(instance: Mapping[str, Any]) -> tuple[Any, ...]:
    return (instance["name"], instance["status"], instance["releaseRevision"])


def row_id(facts: Facts) -> str:
    """Return the history row's id: equal facts from the same cause are one row, however often."""
    return f"history/{facts.valid_from}-{facts.cause_kind}-{facts.cause_id}"


def row_body(facts: Facts) -> dict[str, Any]:
    return asdict(facts) | {"type": "history", "component": dict(facts.component)}


def facts_of(body: Mapping[str, Any]) -> Facts:
    fields = {name: body[name] for name in Facts.__dataclass_fields__}
    return Facts(**{**fields, "status": Status(body["status"])})


def to_body(service: RuntimeService) -> dict[str, Any]:
    """Return the document body; what lists filter on stands at the top level."""
    component = service.facts.component
    return {
        **vars(service),
        "type": "service",
        "facts": row_body(service.facts),
        "instances": [dict(each) for each in service.instances],
        "status": service.status,
        "version": component["version"],
        "compute_target": component["computeTarget"],
        "owner": component.get("owner"),
    }


def from_body(body: Mapping[str, Any]) -> RuntimeService:
    fields = {name: body[name] for name in RuntimeService.__dataclass_fields__}
    instances = tuple(body["instances"])
    return RuntimeService(**{**fields, "facts": facts_of(body["facts"]), "instances": instances})


DOCUMENT_ID: Final = "service"
"""One service has a partition of its own, so its document needs no other name."""
