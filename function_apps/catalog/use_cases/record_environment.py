"""RuntimeEnvironmentProvisioned and Decommissioned: start scans, retire what has ended."""

from function_apps.catalog.model.environment_scan import (
    EnvironmentScan,
    on_environment_event,
    record_retired_page,
)
from function_apps.catalog.ports import CatalogApp
from function_apps.catalog.repository import (
    SCANS,
    SERVICES,
    replace_scan,
)
from shared.contracts.catalog import RetireService, ServiceStatus
from shared.contracts.environments import EnvironmentFacts, RuntimeEnvironmentDecommissioned
from shared.contracts.releases import CauseKind, ChangeCause
from shared.kernel.clock import parse_instant
from shared.kernel.context import Context
from shared.messaging.fan_out import PAGE_MAX
from shared.messaging.outbox import Send
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View
from shared.persistence.store import (
    Comparison,
    Document,
    Prefix,
    Query,
    Where,
    partition_of,
)


async def record_environment(
    event: EnvironmentFacts, ctx: Context, app: CatalogApp
) -> Outcome[Json]:
    """Start the scans of a usable environment; retire the services of a generation that is over.

    They retire in pages of 25. The projection keeps the last one and stays due until all are
    retired, so a repeat of this event, or the sweep, continues from there.
    """
    occurred_at = ctx.said_at()

    def decide(view: View) -> Decision[Json]:
        scan = on_environment_event(
            view.find(SCANS, event.environment_id), event, occurred_at, ctx.now()
        )
        return NOTHING if scan is None else Decision({}, writes=[SCANS.put(scan)])

    without_marker = ctx.without_marker()
    outcome = await app.service.work.change(without_marker, SCANS, event.environment_id, decide)
    if isinstance(event, RuntimeEnvironmentDecommissioned):
        await retire_services(event.environment_id, without_marker, app)
    return outcome


async def retire_services(environment_id: str, ctx: Context, app: CatalogApp) -> None:
    """Send a command for every service of the environment, after the last one that has it.

    A service that was released after the generation ended stays as it is.
    """
    partition = partition_of(ctx.tenant, environment_id)
    while True:
        document = await app.service.store.read(partition, SCANS.document_id(environment_id))
        scan = None if document is None else SCANS.decode(document.body)
        if document is None or scan is None or scan.retire_after is None:
            return
        await _retire_page(document, scan, ctx, app)


async def _retire_page(
    document: Document, scan: EnvironmentScan, ctx: Context, app: CatalogApp
) -> None:
    """Commit one page of commands and its last service."""
    page = await app.service.store.query(
        Prefix(ctx.tenant, document.partition.environment),
        Query(
            where=[
                *SERVICES.conditions,
                Where("status", Comparison.NE, ServiceStatus.RETIRED.value),
                Where("service_id", Comparison.GT, scan.retire_after),
            ],
            order_by="service_id",
            limit=PAGE_MAX,
        ),
    )
    goes_on = page.more and page.documents
    last = str(page.documents[-1].body["service_id"]) if goes_on else None
    decision: Decision[Json] = Decision(
        {},
        writes=[SCANS.put(record_retired_page(scan, last))],
        outbox=[_retirement(service, scan, app) for service in page.documents],
    )
    await replace_scan(document, decision, ctx, app)


def _retirement(service: Document, scan: EnvironmentScan, app: CatalogApp) -> Send:
    assert scan.removed_at is not None, scan
    # The body may be damaged: its command names what the partition says, and fails for itself.
    command = RetireService.model_validate(
        {
            "environment_id": scan.environment_id,
            "service_id": service.partition.unit,
            "cause": ChangeCause(kind=CauseKind.ENVIRONMENT, id=scan.environment_id),
            "ended_at": parse_instant(scan.removed_at),
        }
    )
    return Send(app.service.name, command)
