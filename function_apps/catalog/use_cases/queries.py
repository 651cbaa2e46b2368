"""Reads of the inventory as it is now: services, dependencies, logs."""

from collections.abc import Mapping, Sequence
from typing import Final

from function_apps.catalog import repository, resources
from function_apps.catalog.errors import LogNotFound
from function_apps.catalog.model.service import RuntimeService
from function_apps.catalog.ports import CatalogApp
from function_apps.catalog.repository import SCAN_ID, SCANS, SERVICES
from shared.contracts import catalog as published
from shared.kernel.concurrency import bounded_map
from shared.kernel.context import Context
from shared.kernel.errors import Unavailable
from shared.kernel.ids import EnvironmentId, ModuleId, TenantId
from shared.kernel.isolation import Failure, isolate
from shared.kernel.observation import Absent, Present, Unknown
from shared.persistence.store import (
    Comparison,
    Document,
    Partition,
    Prefix,
    Query,
    Where,
    pages,
    partition_of,
)
from shared.surfaces.spec import SurfaceComponent

READS_AT_ONCE: Final = 16
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
    return {
        document.partition.unit: resources.current_service(
            service, by_key[document.partition.environment]
        )
        for document, service in SERVICES.readable(documents)
    }


async def _scanned_at(partition: Partition, app: CatalogApp) -> str | None:
    """Return the time of the last complete scan of an environment."""
    document = await app.service.store.read(partition, SCAN_ID)
    return None if document is None else SCANS.decode(document.body).scanned_at


async def get_dependencies(
    service_id: str, ctx: Context, app: CatalogApp
) -> published.ServiceDependencies:
    """Return the services that it depends on and those that depend on it, one step each way."""
    service = await repository.load(service_id, ctx, app)
    query = Query(where=[Where("type", Comparison.EQ, SERVICES.type_name)], limit=200)
    prefix = Prefix(ctx.tenant, partition_of(ctx.tenant, service_id).environment)
    documents = [document async for document in pages(app.service.store, prefix, query)]
    others = [other for _, other in SERVICES.readable(documents)]
    by_module = {other.module_id: other for other in others}
    return published.ServiceDependencies(
        service_id=service_id,
        depends_on=tuple(
            resources.dependency(module, by_module.get(module)) for module in service.depends_on
        ),
        needed_by=tuple(
            resources.dependency(other.module_id, other)
            for other in others
            if service.module_id in other.depends_on
        ),
    )


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


def _component(service: RuntimeService) -> SurfaceComponent:
    return SurfaceComponent(
        EnvironmentId(service.environment_id),
        TenantId(service.tenant_id),
        ModuleId(service.module_id),
    )
