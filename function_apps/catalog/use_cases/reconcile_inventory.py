"""What scans of the surfaces show: a read of the world is Present, Absent or Unknown."""

from collections.abc import Mapping

from function_apps.catalog import projections
from function_apps.catalog.model.service import (
    Change,
    Instances,
    RuntimeService,
    from_body,
    observe,
)
from function_apps.catalog.model.states import Observed, ServiceEvent, Status, Unseen
from function_apps.catalog.ports import CatalogApp
from function_apps.catalog.repository import commit
from function_apps.catalog.use_cases.record_environment import retire_all
from shared.concurrency import each_of
from shared.kernel.clock import isoformat, parse_instant
from shared.kernel.ids import EnvironmentId, EnvironmentKey, ServiceId, TenantId
from shared.kernel.observation import Present, Unknown
from shared.kernel.scope import PlatformScope, Scope
from shared.messaging.cause import Cause, caused_by_timer
from shared.messaging.unit_of_work import NOTHING, Decision, Put, View
from shared.persistence.store import Comparison, Document, Prefix, Query, Where, pages
from shared.surfaces.observed_state import Instance, LiveComponent

SCANS_AT_ONCE = 8
"""Environments that one sweep looks at side by side."""
Live = Mapping[ServiceId, LiveComponent]


async def observe_due(app: CatalogApp, scope: PlatformScope) -> int:
    """Look at every environment whose scan is due; return how many were looked at."""
    due = await app.service.store.query_due(
        Query(
            where=[
                Where("type", Comparison.EQ, "watch"),
                Where("dueAt", Comparison.LE, isoformat(app.service.clock.now())),
            ],
            order_by="dueAt",
        )
    )

    async def one(document: Document) -> None:
        tenant = Scope(TenantId(document.partition.tenant), scope.caller)
        await observe_environment(document, scope=tenant, app=app)

    await each_of(due.documents, one, at_once=SCANS_AT_ONCE)
    return len(due.documents)


async def observe_environment(document: Document, *, scope: Scope, app: CatalogApp) -> None:
    """Compare one environment's services with a complete scan of its surface.

    A scan that failed or is incomplete changes nothing, until nothing has been seen for longer
    than the limit: then every service is Unknown.
    """
    watch = projections.from_body(document.body)
    cause = caused_by_timer("catalog_observe_due", app.service.entropy)
    if watch.ended_at is not None:
        await retire_all(document.partition, scope=scope, cause=cause, app=app)
        return
    key = EnvironmentKey(document.partition.environment)
    reading = await app.surface.inventory(EnvironmentId(watch.environment_id))
    now = app.service.clock.now()
    known = await _services(key, scope, app)
    missing: Mapping[str, int] | None = None
    if not isinstance(reading, Unknown):
        seen = reading.value if isinstance(reading, Present) else ()
        missing = await _compare(
            known, {each.component.service: each for each in seen}, watch, scope, cause, app
        )
    elif now - parse_instant(watch.seen_at) > app.rules.stale_after:
        for service in known:
            await _record(service, Unseen(), (), scope, cause, app)
    after = projections.scanned(watch, now, app.rules.sweep, missing)

    def decide(view: View) -> Decision:
        if view.etag(projections.WATCH_ID) != document.etag:
            return NOTHING
        return Decision(writes=[Put(projections.WATCH_ID, projections.to_body(after))])

    await app.service.work.write(scope, document.partition, [projections.WATCH_ID], decide, cause)


async def _services(key: EnvironmentKey, scope: Scope, app: CatalogApp) -> list[RuntimeService]:
    query = Query(
        where=[
            Where("type", Comparison.EQ, "service"),
            Where("status", Comparison.NE, Status.RETIRED.value),
        ],
        limit=200,
    )
    found = pages(app.service.store, Prefix(scope.tenant, key), query)
    return [from_body(document.body) async for document in found]


async def _compare(
    known: list[RuntimeService],
    live: Live,
    watch: projections.Watch,
    scope: Scope,
    cause: Cause,
    app: CatalogApp,
) -> Mapping[str, int]:
    """Record each service that is not as it was; return what is missing, and for how long yet."""
    absent = [
        each.identity.service_id
        for each in known
        if each.identity.service_id not in live and _is_wanted(each)
    ]
    missing, certain = projections.weigh_absence(watch.missing, absent, len(known))
    for service in known:
        identity = ServiceId(service.identity.service_id)
        wanted = int(service.component["replicas"])
        if identity in live:
            found = [each for one in live[identity].revisions for each in one.instances]
            event = Observed(sum(each.is_ready for each in found), wanted)
            await _record(service, event, tuple(map(_instance, found)), scope, cause, app)
        elif identity in certain:
            await _record(service, Observed(0, wanted), (), scope, cause, app)
    return missing


def _is_wanted(service: RuntimeService) -> bool:
    """Return whether its absence would be news: it is not known to be absent already."""
    return service.status is not Status.UNAVAILABLE or bool(service.instances)


async def _record(
    service: RuntimeService,
    event: ServiceEvent,
    instances: Instances,
    scope: Scope,
    cause: Cause,
    app: CatalogApp,
) -> None:
    """Commit what was seen, if it is different; nothing if a newer release came meanwhile."""
    now = app.service.clock.now()
    if observe(service, event, instances, now) is None:
        return

    def decide(current: RuntimeService | None) -> Change | None:
        if current is None or current.knowledge.proved != service.knowledge.proved:
            return None
        return observe(current, event, instances, now)

    identity = ServiceId(service.identity.service_id)
    await commit(identity, decide, "ObserveService", scope=scope, cause=cause, app=app)


def _instance(instance: Instance) -> Mapping[str, object]:
    return {
        "name": instance.id,
        "releaseRevision": instance.revision,
        "status": "Ready" if instance.is_ready else "NotReady",
        "endpoint": f"http://{instance.address}" if instance.address else None,
        "startedAt": isoformat(instance.started_at),
    }
