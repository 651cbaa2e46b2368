"""Reads of the inventory as it is now: services, dependencies, logs."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from function_apps.catalog import repository, resources
from function_apps.catalog.errors import LogNotFound
from function_apps.catalog.model.live_words import shown_words
from function_apps.catalog.model.service import RuntimeService
from function_apps.catalog.ports import CatalogApp
from function_apps.catalog.repository import SCANS, SERVICES
from shared.contracts import catalog as published
from shared.kernel.concurrency import Failure, bounded_map, isolate
from shared.kernel.context import Context
from shared.kernel.errors import Unavailable
from shared.kernel.ids import EnvironmentId, EnvironmentKey, ModuleId, TenantId, module_key
from shared.kernel.ids import service_id as service_id_of
from shared.kernel.observation import Absent, Present, Unknown
from shared.persistence.store import (
    Document,
    Partition,
    Prefix,
    Query,
    partition_of,
)
from shared.surfaces.properties import Properties
from shared.surfaces.spec import SurfaceComponent

READS_AT_ONCE: Final = 16
DEPENDENCIES_MAX: Final = 100
"""As many as the contract lets one answer carry each way."""
PAGES_MAX: Final = 5
INSTANCE_NAME_MAX: Final = 253
"""As long as a name in DNS, which no surface exceeds."""


async def to_resources(
    documents: Sequence[Document], ctx: Context, app: CatalogApp
) -> Mapping[str, published.RuntimeService]:
    """Return the resource of each readable one of *documents* by service id, in their order."""
    keys = sorted({document.partition.environment for document in documents})

    async def scanned_at(key: str) -> str | None:
        scan = await isolate(_scanned_at(Partition(ctx.tenant, key), app), f"scan of {key}")
        return None if isinstance(scan, Failure) else scan

    times = await bounded_map(keys, scanned_at, at_once=READS_AT_ONCE)
    by_key = dict(zip(keys, times, strict=True))

    def show(document: Document, service: RuntimeService) -> tuple[str, published.RuntimeService]:
        scanned = by_key[document.partition.environment]
        return document.partition.unit, resources.current_service(service, scanned)

    return dict(SERVICES.shown(documents, show))


async def _scanned_at(partition: Partition, app: CatalogApp) -> str | None:
    """Return the time of the last complete scan of an environment."""
    document = await app.service.store.read(partition, SCANS.document_id(partition.environment))
    return None if document is None else SCANS.decode(document.body).scanned_at


async def get_dependencies(
    service_id: str, ctx: Context, app: CatalogApp
) -> published.ServiceDependencies:
    """Return the services that it depends on and those that depend on it, one step each way.

    Both are bounded: at most 100 each, among the first thousand services of the environment.
    """
    service = await repository.load(service_id, ctx, app)
    key = partition_of(ctx.tenant, service_id).environment
    depends_on, needed_by = await asyncio.gather(
        bounded_map(
            service.depends_on[:DEPENDENCIES_MAX],
            lambda module: _dependency(ModuleId(module), EnvironmentKey(key), ctx, app),
            at_once=READS_AT_ONCE,
        ),
        _needed_by(ModuleId(service.module_id), key, ctx, app),
    )
    return published.ServiceDependencies(
        service_id=service_id, depends_on=tuple(depends_on), needed_by=tuple(needed_by)
    )


async def _dependency(
    module: ModuleId, key: EnvironmentKey, ctx: Context, app: CatalogApp
) -> published.Dependency:
    service_id = service_id_of(key, module_key(ctx.tenant, module))
    document = await app.service.store.read(
        partition_of(ctx.tenant, service_id), SERVICES.document_id(service_id)
    )
    is_service = document is not None and document.body.get("type") == SERVICES.type_name
    found = SERVICES.readable([document]) if document is not None and is_service else []
    return resources.dependency(module, found[0][1] if found else None)


async def _needed_by(
    module: ModuleId, key: str, ctx: Context, app: CatalogApp
) -> list[published.Dependency]:
    def show(_document: Document, other: RuntimeService) -> published.Dependency | None:
        is_needed = module in other.depends_on
        return resources.dependency(other.module_id, other) if is_needed else None

    dependencies: list[published.Dependency] = []
    query = Query(where=SERVICES.conditions, limit=200)
    for _ in range(PAGES_MAX):
        page = await app.service.store.query(Prefix(ctx.tenant, key), query)
        dependencies += filter(None, SERVICES.shown(page.documents, show))
        if page.continuation is None or len(dependencies) >= DEPENDENCIES_MAX:
            break
        query = replace(query, continuation=page.continuation)
    return dependencies[:DEPENDENCIES_MAX]


async def get_logs(
    service_id: str, ctx: Context, app: CatalogApp, *, instance: str | None, tail: int
) -> tuple[str, Sequence[str]]:
    """Return the name of an instance and the last *tail* lines that it wrote, oldest first.

    The first of the service's instances when none is named.

    Raises:
        LogNotFound: the service has no instance, or the surface no log of that one.
        Unavailable: the surface cannot be read.
    """
    service = await repository.load(service_id, ctx, app)
    names = [str(known["name"]) for known in service.instances]
    name = instance or next(iter(names), "")
    if not 0 < len(name) <= INSTANCE_NAME_MAX:
        raise LogNotFound(service_id, name, names)
    match await app.surface.logs(_component(service), name, tail):
        case Absent():
            raise LogNotFound(service_id, name, names)
        case Unknown(reason):
            raise Unavailable(f"the log of {name} cannot be read: {reason}")
        case Present(lines):
            return name, lines


async def get_live_properties(
    service_id: str, ctx: Context, app: CatalogApp
) -> published.LiveProperties:
    """Return what the revisions of a service are on their surface now, whoever changed them.

    What may be a secret, and is not what was released, is not shown.

    Raises:
        Unavailable: the surface cannot be read.
    """
    service = await repository.load(service_id, ctx, app)
    found: Mapping[int, Properties]
    match await app.surface.properties(_component(service)):
        case Unknown(reason):
            raise Unavailable(f"what {service.module_id} is cannot be read: {reason}")
        case Absent():
            found = {}
        case Present(value):
            found = shown_words(service, value)
    return published.LiveProperties(
        service_id=service_id,
        release_revision=service.facts.release.release_revision if service.facts else 0,
        revisions=tuple(
            resources.live_revision(number, properties)
            for number, properties in sorted(found.items())[-published.LIVE_REVISIONS_MAX :]
        ),
    )


def _component(service: RuntimeService) -> SurfaceComponent:
    return SurfaceComponent(
        EnvironmentId(service.environment_id),
        TenantId(service.tenant_id),
        ModuleId(service.module_id),
    )
