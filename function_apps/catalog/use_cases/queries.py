"""Reads of the inventory: now, at a time, as it was known then; dependencies and logs."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from function_apps.catalog import projections, resources
from function_apps.catalog.errors import LogNotFound, ServiceNotFound
from function_apps.catalog.model.history import Kind, Row, at_time, row_of, timeline
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

PROOFS_MAX = 50
"""Rows of one release revision that a look into the past reads: its end, and later rollbacks."""


@dataclass(frozen=True)
class Listed:
    """One page: services as they are told, and where the next page begins."""

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
) -> Listed:
    """Return one page of the tenant's services; *filters* are stored field names."""
    where = [Where("type", Comparison.EQ, "service")]
    where += [Where(name, Comparison.EQ, value) for name, value in filters.items()]
    key = parse_id(environment, "env").environment if environment is not None else None
    page = await app.service.store.query(
        Prefix(scope.tenant, key),
        Query(where=where, order_by="service_id", limit=limit, continuation=continuation),
    )
    scans = await _scans({each.partition.environment for each in page.documents}, scope, app)
    services = [
        _told(from_body(each.body), scans.get(each.partition.environment))
        for each in page.documents
    ]
    return Listed(services, page.continuation)


async def get_service(
    identity: str, *, scope: Scope, app: CatalogApp
) -> tuple[published.RuntimeService, Etag]:
    """Return the service as it is told, and its etag. Raises ServiceNotFound."""
    document = await load(identity, scope=scope, app=app)
    key = document.partition.environment
    scans = await _scans({key}, scope, app)
    return _told(from_body(document.body), scans.get(key)), document.etag


async def load(identity: str, *, scope: Scope, app: CatalogApp) -> Document:
    """Return the service's document. Raises ServiceNotFound, also for a tombstone."""
    document = await app.service.store.read(partition_of(identity, scope), DOCUMENT_ID)
    if document is None or document.body["type"] != "service":
        raise ServiceNotFound(identity)
    return document


async def _scans(keys: set[str], scope: Scope, app: CatalogApp) -> Mapping[str, str]:
    """Return, by environment key, when the last complete scan was."""

    async def one(key: str) -> tuple[str, Document | None]:
        return key, await app.service.store.read(Partition(scope.tenant, key), projections.WATCH_ID)

    found = await asyncio.gather(*(one(key) for key in sorted(keys)))
    return {key: str(each.body["seen_at"]) for key, each in found if each is not None}


def _told(service: RuntimeService, scanned_at: str | None) -> published.RuntimeService:
    facts = service.facts
    assert facts is not None, service
    observed_at = service.last_observed_at
    # A scan that found everything as it was writes nothing to the service, but it did see it.
    if scanned_at is not None and scanned_at > facts.valid_from and service.retired_at is None:
        observed_at = max(observed_at or scanned_at, scanned_at)
    return resources.resource(service, facts, observed_at=observed_at)


async def get_service_at(
    identity: str, as_of: datetime, known_at: datetime, *, scope: Scope, app: CatalogApp
) -> published.RuntimeService:
    """Return the service as it was at *as_of*, as far as that was known at *known_at*.

    Which instances there were is not kept, so none are told.

    Raises:
        ServiceNotFound: nothing was known of it then.
    """
    service = from_body((await load(identity, scope=scope, app=app)).body)
    partition = partition_of(identity, scope)
    at, at_knowledge = isoformat(as_of), isoformat(known_at)
    rows = await _deciding(partition, at, at_knowledge, app)
    facts = at_time(rows, at, at_knowledge)
    if facts is None:
        raise ServiceNotFound(identity, f" at {at} as known at {at_knowledge}")
    then = replace(service, instances=())
    return resources.resource(then, facts, observed_at=None)


async def get_history(
    identity: str, *, limit: int, continuation: str | None, scope: Scope, app: CatalogApp
) -> tuple[Sequence[Mapping[str, object]], str | None]:
    """Return one page of what is recorded of a service, in the order in which it was true."""
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
    before = await _deciding(partition, rows[0].valid_from, now, app)
    earlier = [row for row in before if row.place < rows[0].place]
    told = [(facts, row) for facts, row in timeline([*earlier, *rows]) if row in rows]
    ends = [row.valid_from for _, row in told[1:]] + [until]
    value = [
        resources.history_row(facts, row, end) for (facts, row), end in zip(told, ends, strict=True)
    ]
    return value, page.continuation


async def _first_of_next(
    partition: Partition, query: Query, page: Page, app: CatalogApp
) -> str | None:
    """Return when the row after *page* began, which ends the last of *page*."""
    if page.continuation is None:
        return None
    beyond = replace(query, limit=1, continuation=page.continuation)
    found = await app.service.store.query(partition, beyond)
    return str(found.documents[0].body["valid_from"]) if found.documents else None


async def _deciding(
    partition: Partition, as_of: str, known_at: str, app: CatalogApp
) -> Sequence[Row]:
    """Return the rows that decide what was so at *as_of*: a few, however long the history is."""

    async def latest(kind: Kind, order_by: str, limit: int) -> list[Row]:
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

    found = await asyncio.gather(
        latest(Kind.RELEASE, "release_revision", PROOFS_MAX),
        latest(Kind.RELEASE, "valid_from", 1),
        latest(Kind.OBSERVATION, "valid_from", 1),
        latest(Kind.REMOVAL, "valid_from", 1),
    )
    return [row for rows in found for row in rows]


async def get_dependencies(
    identity: str, *, scope: Scope, app: CatalogApp
) -> published.ServiceDependencies:
    """Return what the service needs and what needs it, one step each way."""
    document = await load(identity, scope=scope, app=app)
    service = from_body(document.body)
    query = Query(where=[Where("type", Comparison.EQ, "service")], limit=200)
    key = EnvironmentKey(document.partition.environment)
    others = [
        from_body(each.body)
        async for each in pages(app.service.store, Prefix(scope.tenant, key), query)
    ]
    by_module = {each.identity.module_id: each for each in others}
    needing = [each for each in others if service.identity.module_id in resources.depends_on(each)]
    return published.ServiceDependencies(
        service_id=service.identity.service_id,
        depends_on=tuple(
            resources.dependency(module, by_module.get(module))
            for module in resources.depends_on(service)
        ),
        needed_by=tuple(resources.dependency(each.identity.module_id, each) for each in needing),
    )


async def get_logs(
    identity: str, *, instance: str | None, tail: int, scope: Scope, app: CatalogApp
) -> tuple[str, Sequence[str]]:
    """Return the name of an instance and the last *tail* lines that it wrote, oldest first.

    The first of the service's instances when none is named.

    Raises:
        LogNotFound: the surface has none of that instance.
        Unavailable: the surface cannot be read.
    """
    service = from_body((await load(identity, scope=scope, app=app)).body)
    names = [str(each["name"]) for each in service.instances]
    name = instance or next(iter(names), "")
    component = Component(
        EnvironmentId(service.identity.environment_id),
        TenantId(service.identity.tenant_id),
        ModuleId(service.identity.module_id),
    )
    reading = await app.surface.logs(component, name, tail)
    match reading:
        case Absent():
            raise LogNotFound(name)
        case Unknown(reason):
            raise Unavailable(f"the log of {name} cannot be read now: {reason}")
        case _:
            return name, reading.value
