"""Reads of the inventory: now and in the past; dependencies and logs."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from function_apps.catalog import projections, resources
from function_apps.catalog.errors import LogNotFound, ServiceNotFound
from function_apps.catalog.model.history import HistoryRow, RowKind, facts_at, row_of, timeline
from function_apps.catalog.model.service import DOCUMENT_ID, RuntimeService, from_body
from function_apps.catalog.ports import CatalogApp
from function_apps.catalog.repository import partition_of
from shared.contracts import catalog as published
from shared.kernel.clock import isoformat
from shared.kernel.errors import Unavailable
from shared.kernel.ids import EnvironmentId, EnvironmentKey, ModuleId, TenantId, parse_id
from shared.kernel.observation import Absent, Unknown
from shared.kernel.scope import Scope
from shared.persistence.store import (
    Comparison,
    Document,
    Etag,
    Page,
    Partition,
    Prefix,
    Query,
    Where,
    pages,
)
from shared.surfaces.spec import SurfaceComponent as Component

INSTANCE_NAME_MAX = 253
"""As long as a name in DNS, which no surface exceeds."""

PROOFS_MAX = 50
"""Rows of one release revision that a query into the past reads: its end, and later rollbacks."""


@dataclass(frozen=True)
class ServicePage:
    """One page of services, and the continuation of the next."""

    services: Sequence[published.RuntimeService]
    continuation: str | None


async def list_services(
    filters: Mapping[str, str],
    *,
    environment: str | None,
    limit: int,
    continuation: str | None,
    scope: Scope,
    app: CatalogApp,
) -> ServicePage:
    """Return one page of the tenant's services; *filters* are stored field names."""
    where = [Where("type", Comparison.EQ, "service")]
    where += [Where(name, Comparison.EQ, value) for name, value in filters.items()]
    key = parse_id(environment, "env").environment if environment is not None else None
    page = await app.service.store.query(
        Prefix(scope.tenant, key),
        Query(where=where, order_by="service_id", limit=limit, continuation=continuation),
    )
    scans = await _scans(
        {document.partition.environment for document in page.documents}, scope, app
    )
    services = [
        _rendered(from_body(document.body), scans.get(document.partition.environment))
        for document in page.documents
    ]
    return ServicePage(services, page.continuation)


async def get_service(
    identity: str, *, scope: Scope, app: CatalogApp
) -> tuple[published.RuntimeService, Etag]:
    """Return the service and its etag. Raises ServiceNotFound."""
    document = await load(identity, scope=scope, app=app)
    key = document.partition.environment
    scans = await _scans({key}, scope, app)
    return _rendered(from_body(document.body), scans.get(key)), document.etag


async def load(identity: str, *, scope: Scope, app: CatalogApp) -> Document:
    """Return the service's document. Raises ServiceNotFound, also for a tombstone."""
    document = await app.service.store.read(partition_of(identity, scope), DOCUMENT_ID)
    if document is None or document.body["type"] != "service":
        raise ServiceNotFound(identity)
    return document


async def _scans(keys: set[str], scope: Scope, app: CatalogApp) -> Mapping[str, str]:
    """Return the time of the last complete scan of each environment key."""

    async def read(key: str) -> tuple[str, Document | None]:
        return key, await app.service.store.read(Partition(scope.tenant, key), projections.SCAN_ID)

    scans = await asyncio.gather(*(read(key) for key in sorted(keys)))
    return {key: str(scan.body["seen_at"]) for key, scan in scans if scan is not None}


def _rendered(service: RuntimeService, scanned_at: str | None) -> published.RuntimeService:
    facts = service.facts
    assert facts is not None, service
    observed_at = service.last_observed_at
    # A scan without differences writes nothing to the service, but it did observe it.
    if scanned_at is not None and scanned_at > facts.valid_from and service.retired_at is None:
        observed_at = max(observed_at or scanned_at, scanned_at)
    return resources.runtime_service(service, facts, observed_at=observed_at)


async def get_service_at(
    identity: str, as_of: datetime, known_at: datetime, *, scope: Scope, app: CatalogApp
) -> published.RuntimeService:
    """Return the service at *as_of*, as it was known at *known_at*, without its instances.

    Past instances are not kept.

    Raises:
        ServiceNotFound: no release of it was known then.
    """
    service = from_body((await load(identity, scope=scope, app=app)).body)
    partition = partition_of(identity, scope)
    at, at_knowledge = isoformat(as_of), isoformat(known_at)
    rows = await _deciding_rows(partition, at, at_knowledge, app)
    facts = facts_at(rows, at, at_knowledge)
    if facts is None:
        raise ServiceNotFound(identity, f" at {at} as known at {at_knowledge}")
    then = replace(service, instances=())
    return resources.runtime_service(then, facts, observed_at=None)


async def get_history(
    identity: str, *, limit: int, continuation: str | None, scope: Scope, app: CatalogApp
) -> tuple[Sequence[Mapping[str, object]], str | None]:
    """Return one page of the history of a service, in the order of valid time."""
    await load(identity, scope=scope, app=app)
    partition = partition_of(identity, scope)
    query = Query(
        where=[Where("type", Comparison.EQ, "history")], limit=limit, continuation=continuation
    )
    page = await app.service.store.query(partition, query)
    rows = [row_of(document.body) for document in page.documents]
    if not rows:
        return [], page.continuation
    until = await _first_of_next(partition, query, page, app)
    now = isoformat(app.service.clock.now())
    before = await _deciding_rows(partition, rows[0].valid_from, now, app)
    earlier = [row for row in before if row.order_key < rows[0].order_key]
    entries = [(facts, row) for facts, row in timeline([*earlier, *rows]) if row in rows]
    ends = [row.valid_from for _, row in entries[1:]] + [until]
    value = [
        resources.history_row(facts, row, end)
        for (facts, row), end in zip(entries, ends, strict=True)
    ]
    return value, page.continuation


async def _first_of_next(
    partition: Partition, query: Query, page: Page, app: CatalogApp
) -> str | None:
    """Return the valid time of the row after *page*, which ends the last row of *page*."""
    if page.continuation is None:
        return None
    beyond = replace(query, limit=1, continuation=page.continuation)
    following = await app.service.store.query(partition, beyond)
    documents = following.documents
    return str(documents[0].body["valid_from"]) if documents else None


async def _deciding_rows(
    partition: Partition, as_of: str, known_at: str, app: CatalogApp
) -> Sequence[HistoryRow]:
    """Return the rows that decide the facts at *as_of*: a few, however long the history is."""

    async def latest(kind: RowKind, order_by: str, limit: int) -> list[HistoryRow]:
        query = Query(
            where=[
                Where("type", Comparison.EQ, "history"),
                Where("kind", Comparison.EQ, kind.value),
                Where("valid_from", Comparison.LE, as_of),
                Where("known_from", Comparison.LE, known_at),
            ],
            order_by=order_by,
            descending=True,
            limit=limit,
        )
        page = await app.service.store.query(partition, query)
        return [row_of(document.body) for document in page.documents]

    kinds = await asyncio.gather(
        latest(RowKind.RELEASE, "release_revision", PROOFS_MAX),
        latest(RowKind.RELEASE, "valid_from", 1),
        latest(RowKind.OBSERVATION, "valid_from", 1),
        latest(RowKind.REMOVAL, "valid_from", 1),
    )
    return [row for rows in kinds for row in rows]


async def get_dependencies(
    identity: str, *, scope: Scope, app: CatalogApp
) -> published.ServiceDependencies:
    """Return the services that it depends on and those that depend on it, one step each way."""
    document = await load(identity, scope=scope, app=app)
    service = from_body(document.body)
    query = Query(where=[Where("type", Comparison.EQ, "service")], limit=200)
    key = EnvironmentKey(document.partition.environment)
    others = [
        from_body(other.body)
        async for other in pages(app.service.store, Prefix(scope.tenant, key), query)
    ]
    by_module = {other.identity.module_id: other for other in others}
    module = service.identity.module_id
    dependents = [other for other in others if module in resources.depends_on(other)]
    return published.ServiceDependencies(
        service_id=service.identity.service_id,
        depends_on=tuple(
            resources.dependency(module, by_module.get(module))
            for module in resources.depends_on(service)
        ),
        needed_by=tuple(
            resources.dependency(dependent.identity.module_id, dependent)
            for dependent in dependents
        ),
    )


async def get_logs(
    identity: str, *, instance: str | None, tail: int, scope: Scope, app: CatalogApp
) -> tuple[str, Sequence[str]]:
    """Return the name of an instance and the last *tail* lines that it wrote, oldest first.

    The first of the service's instances when none is named.

    Raises:
        LogNotFound: the service has no instance, or the surface no log of that one.
        Unavailable: the surface cannot be read.
    """
    service = from_body((await load(identity, scope=scope, app=app)).body)
    names = [str(known["name"]) for known in service.instances]
    name = instance or next(iter(names), "")
    if not 0 < len(name) <= INSTANCE_NAME_MAX:
        raise LogNotFound(identity, name, names)
    component = Component(
        EnvironmentId(service.identity.environment_id),
        TenantId(service.identity.tenant_id),
        ModuleId(service.identity.module_id),
    )
    reading = await app.surface.logs(component, name, tail)
    match reading:
        case Absent():
            raise LogNotFound(identity, name, names)
        case Unknown(reason):
            raise Unavailable(f"the log of {name} cannot be read: {reason}")
        case _:
            return name, reading.value
