"""The stored documents of catalog: services with their history, and the scans of environments."""

from collections.abc import Mapping
from typing import Any, Final

from function_apps.catalog.errors import ServiceNotFound
from function_apps.catalog.events import inventory_updated
from function_apps.catalog.model.environment_scan import EnvironmentScan
from function_apps.catalog.model.history import HistoryRow
from function_apps.catalog.model.service import RuntimeService, ServiceChange
from function_apps.catalog.ports import CatalogApp
from shared.contracts.retention import Kept
from shared.kernel.context import Context
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import NOTHING, Decision, Json, View
from shared.persistence.codec import DocumentCodec
from shared.persistence.store import Document, partition_of

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


def _service_from_schema_2(body: dict[str, Any]) -> dict[str, Any]:
    """Schema 2 kept the number that a policy left, which is over, in the place of a wanted one.

    No later event of that policy ends it, so it is left out.
    """
    return {**body, "scaled_to": None} if body.get("left_at") else body


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
    key="service_id",
    document="service",
    missing=ServiceNotFound,
    schema=3,
    upgrades={1: _service_from_schema_1, 2: _service_from_schema_2},
    queried=_service_queried,
    kept=Kept.MESSAGE,
    has_ended=lambda service: service.facts is None,
)
"""A service has a partition of its own, so its document needs no other id."""
HISTORY: Final = DocumentCodec(HistoryRow, "history", key="id")
# Stored under this name since schema 1; everywhere else it is a scan.
SCANS: Final = DocumentCodec(
    EnvironmentScan,
    "watch",
    key="environment_id",
    document="watch",
    schema=3,
    upgrades={1: _scan_from_schema_1, 2: _scan_from_schema_2},
    queried=_scan_queried,
)


async def load_document(service_id: str, ctx: Context, app: CatalogApp) -> Document:
    """Return the document of a service, with its etag.

    Raises:
        ServiceNotFound: there is none, or a tombstone only.
    """
    partition = partition_of(ctx.tenant, service_id)
    document = await app.service.store.read(partition, SERVICES.document_id(service_id))
    if document is None or document.body["type"] != SERVICES.type_name:
        raise ServiceNotFound(service_id)
    return document


async def load(service_id: str, ctx: Context, app: CatalogApp) -> RuntimeService:
    """Return the service. Raises ServiceNotFound."""
    return SERVICES.decode((await load_document(service_id, ctx, app)).body)


def changed(change: ServiceChange | None, service_id: str, action: str) -> Decision[Json]:
    """Return the decision that stores *change* of a service with its row; None changes nothing."""
    if change is None:
        return NOTHING
    service, row = change.service, change.row
    outcome = "AlreadyNewer" if service is None else str(service.status or "Tombstone")
    is_published = service is not None and change.is_published
    return Decision(
        {},
        writes=[
            *([SERVICES.put(service)] if service else ()),
            *([HISTORY.put(row)] if row else ()),
        ],
        outbox=[inventory_updated(service)] if service and is_published else (),
        audited=Audited(action, service_id, outcome),
    )


async def replace_scan(
    document: Document,
    decision: Decision[Json],
    ctx: Context,
    app: CatalogApp,
) -> None:
    """Commit *decision*, which was made of *document*; nothing if the document changed."""

    def decide(view: View) -> Decision[Json]:
        return decision if view.etag(document.id) == document.etag else NOTHING

    await app.service.work.commit(ctx, document.partition, [document.id], decide)
