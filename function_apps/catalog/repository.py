"""The stored documents of catalog: services with their history, and the scans of environments."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from function_apps.catalog.errors import ServiceNotFound
from function_apps.catalog.events import inventory_updated
from function_apps.catalog.model.environment_scan import EnvironmentScan
from function_apps.catalog.model.history import HistoryRow
from function_apps.catalog.model.service import RuntimeService, ServiceChange
from function_apps.catalog.ports import CatalogApp
from shared.kernel.context import Context
from shared.messaging.outbox import Publish
from shared.messaging.unit_of_work import NOTHING, Audited, Decision, Json, Outcome, Put, View
from shared.persistence.codec import DocumentCodec
from shared.persistence.store import Document, partition_of

SERVICE_ID: Final = "service"
"""A service has a partition of its own, so its document needs no other name."""
SCAN_ID: Final = "watch"
_ROWS: Final = ("release", "verification", "observation", "removal")


def _service_queried(service: RuntimeService) -> Mapping[str, Any]:
    """Return the fields that lists filter on; a tombstone is in no list."""
    component = service.component
    return {
        "type": SERVICES.type_name if service.facts else "tombstone",
        "status": service.status,
        "version": component.get("version"),
        "compute_target": component.get("computeTarget"),
        "owner": component.get("owner"),
    }


def _service_from_schema_1(body: dict[str, Any]) -> dict[str, Any]:
    """Schema 1 had the four rows as a list."""
    return {**body, "rows": dict(zip(_ROWS, body["knowledge"], strict=True))}


def _scan_queried(scan: EnvironmentScan) -> Mapping[str, Any]:
    """Return when it is due; after the end it is due only while services have to be retired."""
    is_over = scan.ended_at is not None and scan.retire_after is None
    return {} if is_over else {"dueAt": scan.due_at}


def _scan_from_schema_1(body: dict[str, Any]) -> dict[str, Any]:
    """Schema 1 said `seen_at`."""
    return {**body, "scanned_at": body["seen_at"]}


def _scan_from_schema_2(body: dict[str, Any]) -> dict[str, Any]:
    """Schema 2 kept no generation, and retired until the end of the environment."""
    return {**body, "removed_at": body.get("ended_at")}


SERVICES: Final = DocumentCodec(
    RuntimeService,
    "service",
    schema=2,
    upgrades={1: _service_from_schema_1},
    queried=_service_queried,
)
HISTORY: Final = DocumentCodec(HistoryRow, "history")
SCANS: Final = DocumentCodec(
    EnvironmentScan,
    "watch",
    schema=3,
    upgrades={1: _scan_from_schema_1, 2: _scan_from_schema_2},
    queried=_scan_queried,
)


async def load_document(service_id: str, ctx: Context, app: CatalogApp) -> Document:
    """Return the document of a service, with its etag.

    Raises:
        ServiceNotFound: there is none, or a tombstone only.
    """
    document = await app.service.store.read(partition_of(ctx.tenant, service_id), SERVICE_ID)
    if document is None or document.body["type"] != SERVICES.type_name:
        raise ServiceNotFound(service_id)
    return document


async def load(service_id: str, ctx: Context, app: CatalogApp) -> RuntimeService:
    """Return the service. Raises ServiceNotFound."""
    return SERVICES.decode((await load_document(service_id, ctx, app)).body)


Decide = Callable[[RuntimeService | None], ServiceChange | None]
"""Decides the change of the stored service, or of a new one; None changes nothing."""


async def commit(
    service_id: str,
    decide: Decide,
    action: str,
    ctx: Context,
    app: CatalogApp,
    *,
    row_id: str | None = None,
) -> Outcome[Json]:
    """Commit the change that *decide* makes of the service, with its row of history, once.

    *row_id* is the id of the row if it is known before the decision: a stored row was committed
    with all its consequences, so the same fact in another message changes nothing.
    """
    reads = [SERVICE_ID, row_id] if row_id else [SERVICE_ID]

    def decide_once(view: View) -> Decision[Json]:
        if row_id is not None and view.body(row_id) is not None:
            return NOTHING
        body = view.body(SERVICE_ID)
        change = decide(None if body is None else SERVICES.decode(body))
        return NOTHING if change is None else _decision(change, service_id, action)

    partition = partition_of(ctx.tenant, service_id)
    return await app.service.work.commit(ctx, partition, reads, decide_once)


def _decision(change: ServiceChange, service_id: str, action: str) -> Decision[Json]:
    service, row = change.service, change.row
    writes = [] if service is None else [Put(SERVICE_ID, SERVICES.encode(service))]
    if row is not None:
        writes.append(Put(row.id, HISTORY.encode(row)))
    outcome = "AlreadyNewer" if service is None else str(service.status or "Tombstone")
    return Decision(
        {},
        writes=writes,
        outbox=[_publish(service)] if service and change.is_published else (),
        audited=Audited(action, service_id, outcome),
    )


def _publish(service: RuntimeService) -> Publish:
    assert service.facts is not None, service
    event = inventory_updated(service, service.facts)
    return Publish(event, project=service.project_id, module=service.module_id)


def find_scan(view: View) -> EnvironmentScan | None:
    """Return the scan in *view*; None when it is not there."""
    body = view.body(SCAN_ID)
    return None if body is None else SCANS.decode(body)


def put_scan(scan: EnvironmentScan) -> Put:
    """Return the write of *scan*."""
    return Put(SCAN_ID, SCANS.encode(scan))


async def replace_scan(
    document: Document,
    decision: Decision[Json],
    ctx: Context,
    app: CatalogApp,
) -> None:
    """Commit *decision*, which was made of *document*; nothing if the document changed."""

    def decide(view: View) -> Decision[Json]:
        return decision if view.etag(SCAN_ID) == document.etag else NOTHING

    await app.service.work.commit(ctx, document.partition, [SCAN_ID], decide)
