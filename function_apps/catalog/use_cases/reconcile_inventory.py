"""Reconcile the inventory with scans of the surfaces: Present, Absent or Unknown."""

from collections.abc import Mapping

from function_apps.catalog import projections
from function_apps.catalog.model.service import (
    Instances,
    RuntimeService,
    ServiceChange,
    from_body,
    record_observation,
)
from function_apps.catalog.model.status import (
    ObservationExpired,
    Observed,
    ServiceEvent,
)
from function_apps.catalog.ports import CatalogApp
from function_apps.catalog.repository import commit
from function_apps.catalog.use_cases.record_environment import retire_services
from shared.contracts.catalog import ServiceStatus
from shared.kernel.clock import isoformat, parse_instant
from shared.kernel.concurrency import bounded_map
from shared.kernel.ids import EnvironmentId, EnvironmentKey, ServiceId, TenantId
from shared.kernel.observation import Present, Unknown
from shared.kernel.scope import PlatformScope, Scope
from shared.messaging.cause import Cause, caused_by_timer
from shared.messaging.legacy_unit_of_work import NOTHING, Decision, Put, View
from shared.persistence.store import Comparison, Document, Prefix, Query, Where, pages
from shared.surfaces.observed_state import Instance, LiveComponent

SCANS_AT_ONCE = 8
"""Environments that one sweep scans side by side."""
Live = Mapping[ServiceId, LiveComponent]


async def reconcile_due(app: CatalogApp, scope: PlatformScope) -> int:
    """Scan every environment that is due; return how many there were."""
    due = await app.service.store.query_due(
        Query(
            where=[
                Where("type", Comparison.EQ, "watch"),
                Where("dueAt", Comparison.LE, isoformat(app.service.clock.now())),
            ],
            order_by="dueAt",
        )
    )

    async def reconcile(document: Document) -> None:
        tenant = Scope(TenantId(document.partition.tenant), scope.caller)
        await reconcile_environment(document, scope=tenant, app=app)

    await bounded_map(due.documents, reconcile, at_once=SCANS_AT_ONCE)
    return len(due.documents)


async def reconcile_environment(document: Document, *, scope: Scope, app: CatalogApp) -> None:
    """Compare one environment's services with a complete scan of its surface.

    A scan that failed changes nothing until the last complete one is older than the limit: then
    every service is Unknown.
    """
    scan = projections.from_body(document.body)
    cause = caused_by_timer("catalog_observe_due", app.service.entropy)
    if scan.ended_at is not None:
        await retire_services(document.partition, scope=scope, cause=cause, app=app)
        return
    key = EnvironmentKey(document.partition.environment)
    reading = await app.surface.inventory(EnvironmentId(scan.environment_id))
    now = app.service.clock.now()
    known = await _services(key, scope, app)
    missing: Mapping[str, int] | None = None
    if not isinstance(reading, Unknown):
        components = reading.value if isinstance(reading, Present) else ()
        live = {component.component.service: component for component in components}
        missing = await _compare(known, live, scan, scope, cause, app)
    elif now - parse_instant(scan.seen_at) > app.rules.stale_after:
        for service in known:
            await _record(service, ObservationExpired(), (), scope, cause, app)
    after = projections.record_scan(scan, now, app.rules.sweep, missing)

    def decide(view: View) -> Decision:
        if view.etag(projections.SCAN_ID) != document.etag:
            return NOTHING
        return Decision(writes=[Put(projections.SCAN_ID, projections.to_body(after))])

    await app.service.work.write(scope, document.partition, [projections.SCAN_ID], decide, cause)


async def _services(key: EnvironmentKey, scope: Scope, app: CatalogApp) -> list[RuntimeService]:
    query = Query(
        where=[
            Where("type", Comparison.EQ, "service"),
            Where("status", Comparison.NE, ServiceStatus.RETIRED.value),
        ],
        limit=200,
    )
    documents = pages(app.service.store, Prefix(scope.tenant, key), query)
    return [from_body(document.body) async for document in documents]


async def _compare(
    known: list[RuntimeService],
    live: Live,
    scan: projections.EnvironmentScan,
    scope: Scope,
    cause: Cause,
    app: CatalogApp,
) -> Mapping[str, int]:
    """Record each service that differs; return the missing ones, with the scans to confirm it."""
    absent = [
        service.identity.service_id
        for service in known
        if service.identity.service_id not in live and _is_expected(service)
    ]
    missing, confirmed = projections.confirm_absences(scan.missing, absent, len(known))
    for service in known:
        identity = ServiceId(service.identity.service_id)
        wanted = int(service.component["replicas"])
        if identity in live:
            revisions = live[identity].revisions
            running = [instance for revision in revisions for instance in revision.instances]
            event = Observed(sum(instance.is_ready for instance in running), wanted)
            await _record(service, event, tuple(map(_to_body, running)), scope, cause, app)
        elif identity in confirmed:
            await _record(service, Observed(0, wanted), (), scope, cause, app)
    return missing


def _is_expected(service: RuntimeService) -> bool:
    """Return whether its absence would be news: it is not absent already."""
    return service.status is not ServiceStatus.UNAVAILABLE or bool(service.instances)


async def _record(
    service: RuntimeService,
    event: ServiceEvent,
    instances: Instances,
    scope: Scope,
    cause: Cause,
    app: CatalogApp,
) -> None:
    """Commit the observation if it differs, unless a newer release was recorded meanwhile."""
    now = app.service.clock.now()
    if record_observation(service, event, instances, now) is None:
        return

    def decide(current: RuntimeService | None) -> ServiceChange | None:
        if current is None or current.knowledge.verification != service.knowledge.verification:
            return None
        return record_observation(current, event, instances, now)

    identity = ServiceId(service.identity.service_id)
    await commit(identity, decide, "ObserveService", scope=scope, cause=cause, app=app)


def _to_body(instance: Instance) -> Mapping[str, object]:
    return {
        "name": instance.id,
        "releaseRevision": instance.revision,
        "status": "Ready" if instance.is_ready else "NotReady",
        "endpoint": f"http://{instance.address}" if instance.address else None,
        "startedAt": isoformat(instance.started_at),
    }
