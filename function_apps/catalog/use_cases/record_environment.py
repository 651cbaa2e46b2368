"""Record an event of an environment: start its scans, or retire its services."""

from dataclasses import replace

from function_apps.catalog import projections
from function_apps.catalog.ports import CatalogApp
from shared.contracts.catalog import RetireService, ServiceStatus
from shared.contracts.environments import EnvironmentFacts, RuntimeEnvironmentDecommissioned
from shared.contracts.releases import CauseKind, ChangeCause
from shared.kernel.clock import parse_instant
from shared.kernel.ids import EnvironmentKey, parse_id
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause
from shared.messaging.compose import envelope_of
from shared.messaging.legacy_unit_of_work import NOTHING, Decision, Outcome, Put, View
from shared.messaging.outbox import Send
from shared.messaging.split import PAGE_MAX
from shared.persistence.store import Comparison, Document, Partition, Prefix, Query, Where


async def record_environment(
    event: EnvironmentFacts, *, scope: Scope, cause: Cause, app: CatalogApp
) -> Outcome:
    """Start the scans of a usable environment; retire the services of a decommissioned one.

    They retire in pages of 25. The projection keeps the last one and stays due until all are
    retired, so a repeat of this event, or the sweep, continues from there.
    """
    key = parse_id(event.environment_id, "env").environment
    ended = isinstance(event, RuntimeEnvironmentDecommissioned)
    now = app.service.clock.now()

    def decide(view: View) -> Decision:
        body = view.body(projections.SCAN_ID)
        scan = projections.on_environment_event(
            projections.from_body(body) if body is not None else None,
            environment_id=event.environment_id,
            revision=event.revision,
            ended=ended,
            now=now,
        )
        if scan is None:
            return NOTHING
        return Decision(writes=[Put(projections.SCAN_ID, projections.to_body(scan))])

    without_marker = replace(cause, marker=None)
    partition = Partition(scope.tenant, key)
    outcome = await app.service.work.write(
        scope, partition, [projections.SCAN_ID], decide, without_marker
    )
    if ended:
        await retire_services(partition, scope=scope, cause=without_marker, app=app)
    return outcome


async def retire_services(
    partition: Partition, *, scope: Scope, cause: Cause, app: CatalogApp
) -> None:
    """Send a command for every service of an ended environment, after the last one that has it."""
    while True:
        document = await app.service.store.read(partition, projections.SCAN_ID)
        if document is None or projections.from_body(document.body).retire_after is None:
            return
        await _retire_page(document, scope=scope, cause=cause, app=app)


async def _retire_page(document: Document, *, scope: Scope, cause: Cause, app: CatalogApp) -> None:
    """Commit one page of commands and its last service; nothing if the projection changed."""
    scan = projections.from_body(document.body)
    key = EnvironmentKey(document.partition.environment)
    page = await app.service.store.query(
        Prefix(scope.tenant, key),
        Query(
            where=[
                Where("type", Comparison.EQ, "service"),
                Where("status", Comparison.NE, ServiceStatus.RETIRED.value),
                Where("service_id", Comparison.GT, scan.retire_after),
            ],
            order_by="service_id",
            limit=PAGE_MAX,
        ),
    )
    is_last = len(page.documents) < PAGE_MAX
    last = None if is_last else str(page.documents[-1].body["service_id"])
    rows = [_retirement(document, scan, scope, cause, app) for document in page.documents]
    after = projections.record_retired_page(scan, last)

    def decide(view: View) -> Decision:
        if view.etag(projections.SCAN_ID) != document.etag:
            return NOTHING
        return Decision(writes=[Put(projections.SCAN_ID, projections.to_body(after))], outbox=rows)

    await app.service.work.write(scope, document.partition, [projections.SCAN_ID], decide, cause)


def _retirement(
    service: Document,
    scan: projections.EnvironmentScan,
    scope: Scope,
    cause: Cause,
    app: CatalogApp,
) -> Send:
    assert scan.ended_at is not None, scan
    command = RetireService.model_validate(
        {
            "environment_id": scan.environment_id,
            "service_id": service.body["service_id"],
            "cause": ChangeCause(kind=CauseKind.ENVIRONMENT, id=scan.environment_id),
            "ended_at": parse_instant(scan.ended_at),
        }
    )
    envelope = envelope_of(
        command,
        tenant=scope.tenant,
        cause=cause,
        clock=app.service.clock,
        entropy=app.service.entropy,
        project=str(service.body["project_id"]),
        module=str(service.body["module_id"]),
    )
    return Send(app.service.name, envelope)
