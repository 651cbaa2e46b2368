"""Inbound events and observations of catalog: load, decide, commit; and its reads."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from function_apps.catalog import model, projections
from function_apps.catalog.errors import ServiceNotFound
from function_apps.catalog.model import Change, Facts, RuntimeService, Status
from function_apps.catalog.ports import CatalogApp
from shared.contracts import catalog as published
from shared.contracts.catalog import RecordRelease, ReleaseOutcome, RetireService
from shared.contracts.deployments import (
    DeploymentEnded,
)
from shared.contracts.environments import (
    EnvironmentFacts,
    RuntimeEnvironmentDecommissioned,
    RuntimeEnvironmentProvisioned,
)
from shared.contracts.releases import CauseKind, ChangeCause
from shared.kernel.clock import isoformat, parse_instant
from shared.kernel.ids import (
    EnvironmentId,
    EnvironmentKey,
    ModuleId,
    ServiceId,
    TenantId,
    module_key,
    parse_id,
    service_id,
)
from shared.kernel.scope import PlatformScope, Scope
from shared.messaging.cause import Cause, caused_by_timer
from shared.messaging.compose import envelope_of
from shared.messaging.outbox import Publish
from shared.messaging.split import PAGE_MAX, split
from shared.messaging.unit_of_work import Audited, Decision, Outcome, Put, View
from shared.persistence.store import (
    Comparison,
    Document,
    Page,
    Partition,
    Prefix,
    Query,
    Where,
    pages,
)
from shared.surfaces.live import Instance, LiveComponent
from shared.surfaces.reading import Present

HISTORY_MAX = 1000
"""Changes of one service that a look into the past reads; a year of three a day."""


async def note_deployment_ended(
    event: DeploymentEnded, *, scope: Scope, cause: Cause, app: CatalogApp
) -> Outcome:
    """Split the end of a deployment into one command per service."""
    outcome = _OUTCOMES[event.status.value]
    unit = event.release_unit
    released = {each.module_id: each for each in unit.components} if unit else {}
    removed = list(unit.removed) if unit else []
    untouched = outcome in {ReleaseOutcome.FAILED, ReleaseOutcome.CANCELLED}
    modules = [] if untouched else [*released, *removed]
    if outcome is ReleaseOutcome.ROLLED_BACK:
        modules += [each for each in event.modules if each not in modules]
    kind = CauseKind.ROLLBACK if outcome is ReleaseOutcome.ROLLED_BACK else CauseKind.DEPLOYMENT
    units = [
        (
            module,
            RecordRelease(
                environment_id=event.environment_id,
                project_id=event.project_id,
                stage=event.stage,
                deployment_id=event.deployment_id,
                outcome=outcome,
                module_id=module,
                component=released.get(module),
                cause=ChangeCause(kind=kind, id=event.deployment_id),
                ended_at=event.ended_at,
            ),
        )
        for module in modules[:PAGE_MAX]
    ]
    return await split(
        units,
        key=parse_id(event.environment_id, "env").environment,
        project=event.project_id,
        scope=scope,
        cause=cause,
        service=app.service,
    )


_OUTCOMES = {
    "Completed": ReleaseOutcome.COMPLETED,
    "RolledBack": ReleaseOutcome.ROLLED_BACK,
    "Failed": ReleaseOutcome.FAILED,
    "Cancelled": ReleaseOutcome.CANCELLED,
}


async def record_release(
    command: RecordRelease, *, scope: Scope, cause: Cause, app: CatalogApp
) -> Outcome:
    """Write what a deployment left of one service into the inventory, older facts as history."""
    key = parse_id(command.environment_id, "env").environment
    identity = service_id(key, module_key(scope.tenant, ModuleId(command.module_id)))
    now = app.service.clock.now()

    def change(known: RuntimeService | None) -> Change | None:
        return model.apply_release(
            known, command, service_id=identity, tenant_id=scope.tenant, now=now
        )

    return await _change(identity, change, "RecordRelease", scope=scope, cause=cause, app=app)


async def retire_service(
    command: RetireService, *, scope: Scope, cause: Cause, app: CatalogApp
) -> Outcome:
    """Retire a service whose environment is gone."""
    now = app.service.clock.now()

    def change(known: RuntimeService | None) -> Change | None:
        if known is None:
            return None
        return model.retire(
            known,
            cause_kind=command.cause.kind,
            cause_id=command.cause.id,
            at=isoformat(command.ended_at),
            now=now,
        )

    identity = ServiceId(command.service_id)
    return await _change(identity, change, "RetireService", scope=scope, cause=cause, app=app)


async def note_environment(
    event: EnvironmentFacts, *, scope: Scope, cause: Cause, app: CatalogApp
) -> Outcome:
    """Watch a usable environment; retire what ran in one that is gone, 25 services a page."""
    key = parse_id(event.environment_id, "env").environment
    now = app.service.clock.now()
    ended = isinstance(event, RuntimeEnvironmentDecommissioned)
    if not ended and not isinstance(event, RuntimeEnvironmentProvisioned):
        return Outcome({})
    if ended:
        await _retire_all(event, key, scope=scope, cause=cause, app=app)

    def decide(view: View) -> Decision:
        body = view.body(projections.WATCH_ID)
        known = projections.from_body(body) if body is not None else None
        watch = projections.note(
            known,
            environment_id=event.environment_id,
            revision=event.revision,
            ended=ended,
            now=now,
        )
        if watch is None:
            return Decision()
        return Decision(writes=[Put(projections.WATCH_ID, projections.to_body(watch))])

    unmarked = replace(cause, marker=None)
    return await app.service.work.write(
        scope, Partition(scope.tenant, key), [projections.WATCH_ID], decide, unmarked
    )


async def observe_due(app: CatalogApp, scope: PlatformScope) -> int:
    """Look at every environment whose scan is due; return how many were looked at."""
    now = app.service.clock.now()
    due = await app.service.store.query_due(
        Query(
            where=[
                Where("type", Comparison.EQ, "watch"),
                Where("dueAt", Comparison.LE, isoformat(now)),
            ],
            order_by="dueAt",
        )
    )
    for document in due.documents:
        tenant = TenantId(document.partition.tenant)
        await observe_environment(document, scope=Scope(tenant, scope.caller), app=app)
    return len(due.documents)


async def observe_environment(document: Document, *, scope: Scope, app: CatalogApp) -> None:
    """Compare one environment's services with a complete scan of its surface.

    A scan that failed or is incomplete changes nothing, until nothing has been seen for longer
    than the limit: then every service is Unknown.
    """
    watch = projections.from_body(document.body)
    key = EnvironmentKey(document.partition.environment)
    cause = caused_by_timer("catalog_sweep", app.service.entropy)
    reading = await app.surface.inventory(EnvironmentId(watch.environment_id))
    now = app.service.clock.now()
    complete = isinstance(reading, Present)
    stale = now - parse_instant(watch.seen_at) > app.rules.stale_after
    if isinstance(reading, Present):
        live = {each.component.service: each for each in reading.value}
        await _compare(live, key, scope=scope, cause=cause, app=app)
    elif stale:
        await _compare(None, key, scope=scope, cause=cause, app=app)
    after = projections.scanned(watch, now, app.rules.sweep, complete=complete)

    def decide(view: View) -> Decision:
        if view.etag(projections.WATCH_ID) != document.etag:
            return Decision()
        return Decision(writes=[Put(projections.WATCH_ID, projections.to_body(after))])

    await app.service.work.write(scope, document.partition, [projections.WATCH_ID], decide, cause)


async def find_services(
    filters: Sequence[Where],
    *,
    environment: EnvironmentKey | None,
    limit: int,
    continuation: str | None,
    scope: Scope,
    app: CatalogApp,
) -> Page:
    """Return one page of the tenant's services that match, newest facts."""
    where = [Where("type", Comparison.EQ, "service"), *filters]
    return await app.service.store.query(
        Prefix(scope.tenant, environment),
        Query(where=where, limit=limit, continuation=continuation),
    )


async def get_service(identity: str, *, scope: Scope, app: CatalogApp) -> Document:
    """Return the service's document. Raises ServiceNotFound."""
    document = await app.service.store.read(partition_of(identity, scope), model.DOCUMENT_ID)
    if document is None:
        raise ServiceNotFound(identity)
    return document


async def get_history(identity: str, *, scope: Scope, app: CatalogApp) -> Sequence[Facts]:
    """Return every recorded fact of a service, in the order in which they were true."""
    query = Query(where=[Where("type", Comparison.EQ, "history")], limit=200)
    rows = [
        model.facts_of(document.body)
        async for document in pages(app.service.store, partition_of(identity, scope), query)
    ]
    if not rows:
        raise ServiceNotFound(identity)
    rows.sort(key=lambda row: (row.valid_from, row.known_from))
    return rows[-HISTORY_MAX:]


async def get_service_at(
    identity: str, as_of: datetime, known_at: datetime, *, scope: Scope, app: CatalogApp
) -> RuntimeService:
    """Return the service as it was at *as_of*, as far as that was known at *known_at*.

    Raises:
        ServiceNotFound: nothing was known of it then.
    """
    head = model.from_body((await get_service(identity, scope=scope, app=app)).body)
    rows = await get_history(identity, scope=scope, app=app)
    facts = model.at_time(rows, isoformat(as_of), isoformat(known_at))
    if facts is None:
        when = f" at {isoformat(as_of)} as known at {isoformat(known_at)}"
        raise ServiceNotFound(identity, when)
    return replace(head, facts=facts, instances=())


async def get_dependencies(
    identity: str, *, scope: Scope, app: CatalogApp
) -> published.ServiceDependencies:
    """Return what the service needs and what needs it, one step each way."""
    service = model.from_body((await get_service(identity, scope=scope, app=app)).body)
    key = parse_id(identity, "svc").environment
    query = Query(where=[Where("type", Comparison.EQ, "service")], limit=200)
    others = [
        model.from_body(document.body)
        async for document in pages(app.service.store, Prefix(scope.tenant, key), query)
    ]
    by_module = {each.module_id: each for each in others}
    needed = _depends_on(service)
    needing = [each for each in others if service.module_id in _depends_on(each)]
    return published.ServiceDependencies(
        service_id=identity,
        depends_on=tuple(_dependency(module, by_module.get(module)) for module in needed),
        needed_by=tuple(_dependency(each.module_id, each) for each in needing),
    )


def partition_of(identity: str, scope: Scope) -> Partition:
    """Return the service's own partition. Raises NotFound for what is no service id."""
    return Partition(scope.tenant, parse_id(identity, "svc").environment, identity)


def resource(service: RuntimeService) -> published.RuntimeService:
    """Return what clients see of *service*."""
    facts, component = service.facts, service.facts.component
    return published.RuntimeService.model_validate(
        {
            "serviceId": service.service_id,
            "tenantId": service.tenant_id,
            "projectId": service.project_id,
            "environmentId": service.environment_id,
            "stage": service.stage,
            "moduleId": service.module_id,
            "componentType": component["componentType"],
            "image": component.get("image"),
            "digest": component["digest"],
            "version": component["version"],
            "computeTarget": component["computeTarget"],
            "replicas": component["replicas"],
            "instances": service.instances,
            "endpointUrl": component.get("endpoint"),
            "port": component.get("port"),
            "dependsOn": component.get("dependsOn", ()),
            "status": facts.status,
            "releaseRevision": facts.release_revision,
            "configurationVersion": component["configuration"]["module"],
            "deploymentId": facts.deployment_id,
            "revision": service.revision,
            "owner": component.get("owner"),
            "tier": None,
            "links": (),
            "cause": {"kind": facts.cause_kind, "id": facts.cause_id},
            "validFrom": facts.valid_from,
            "validUntil": None,
            "knownFrom": facts.known_from,
            "lastObservedAt": service.last_observed_at,
            "retiredAt": service.retired_at,
        }
    )


def history_row(facts: Facts, valid_until: str | None) -> Mapping[str, Any]:
    """Return one row of a service's history as clients see it."""
    component = facts.component
    return {
        "status": facts.status,
        "version": component["version"],
        "digest": component["digest"],
        "releaseRevision": facts.release_revision,
        "deploymentId": facts.deployment_id,
        "cause": {"kind": facts.cause_kind, "id": facts.cause_id},
        "validFrom": facts.valid_from,
        "validUntil": valid_until,
        "knownFrom": facts.known_from,
    }


async def _change(
    identity: ServiceId,
    change: Any,
    action: str,
    *,
    scope: Scope,
    cause: Cause,
    app: CatalogApp,
) -> Outcome:
    """Commit what *change* makes of the service: its head if newer, its history row always."""

    def decide(view: View) -> Decision:
        body = view.body(model.DOCUMENT_ID)
        known = model.from_body(body) if body is not None else None
        made: Change | None = change(known)
        if made is None:
            return Decision()
        row = Put(model.row_id(made.row), model.row_body(made.row))
        if made.head is None:
            return Decision(writes=[row], audited=Audited(action, identity, "AlreadyNewer"))
        return Decision(
            writes=[Put(model.DOCUMENT_ID, model.to_body(made.head)), row],
            outbox=[_updated(made.head, cause, app)],
            audited=Audited(action, identity, made.head.status),
        )

    return await app.service.work.write(
        scope, partition_of(identity, scope), [model.DOCUMENT_ID], decide, cause
    )


async def _retire_all(
    event: EnvironmentFacts, key: EnvironmentKey, *, scope: Scope, cause: Cause, app: CatalogApp
) -> None:
    query = Query(where=[Where("type", Comparison.EQ, "service")], limit=PAGE_MAX)
    continuation: str | None = None
    while True:
        page = await app.service.store.query(
            Prefix(scope.tenant, key), replace(query, continuation=continuation)
        )
        units = [
            (
                str(document.body["module_id"]),
                RetireService(
                    environment_id=event.environment_id,
                    service_id=document.body["service_id"],
                    cause=ChangeCause(kind=CauseKind.ENVIRONMENT, id=event.environment_id),
                    ended_at=app.service.clock.now(),
                ),
            )
            for document in page.documents
            if document.body["status"] != Status.RETIRED
        ]
        if units:
            paged = replace(cause, marker=f"{cause.marker}/{units[0][0]}")
            await split(units, key=key, project=None, scope=scope, cause=paged, service=app.service)
        continuation = page.continuation
        if continuation is None:
            return


async def _compare(
    live: Mapping[ServiceId, LiveComponent] | None,
    key: EnvironmentKey,
    *,
    scope: Scope,
    cause: Cause,
    app: CatalogApp,
) -> None:
    """Record each service that is not as it was; *live* None means that nothing was seen."""
    now = app.service.clock.now()
    query = Query(where=[Where("type", Comparison.EQ, "service")], limit=200)
    documents = pages(app.service.store, Prefix(scope.tenant, key), query)
    for known in [model.from_body(document.body) async for document in documents]:
        identity = ServiceId(known.service_id)
        event, instances = _seen(live.get(identity) if live is not None else None, known, live)
        if model.observe(known, event, instances, now) is None:
            continue

        def change(
            current: RuntimeService | None,
            event: model.ServiceEvent = event,
            instances: tuple[Mapping[str, Any], ...] = instances,
        ) -> Change | None:
            return model.observe(current, event, instances, now) if current else None

        await _change(identity, change, "ObserveService", scope=scope, cause=cause, app=app)


def _seen(
    component: LiveComponent | None,
    known: RuntimeService,
    live: Mapping[ServiceId, LiveComponent] | None,
) -> tuple[model.ServiceEvent, tuple[Mapping[str, Any], ...]]:
    if live is None:
        return model.Unseen(), ()
    wanted = int(known.facts.component["replicas"])
    if component is None:
        return model.Observed(0, wanted), ()
    found = [each for revision in component.revisions for each in revision.instances]
    ready = sum(each.is_ready for each in found)
    return model.Observed(ready, wanted), tuple(_instance(each) for each in found)


def _instance(instance: Instance) -> Mapping[str, Any]:
    return {
        "name": instance.id,
        "releaseRevision": instance.revision,
        "status": "Ready" if instance.is_ready else "NotReady",
        "endpoint": f"http://{instance.address}" if instance.address else None,
        "startedAt": isoformat(instance.started_at),
    }


def _updated(service: RuntimeService, cause: Cause, app: CatalogApp) -> Publish:
    facts, component = service.facts, service.facts.component
    payload = published.RuntimeInventoryUpdated.model_validate(
        {
            "aggregateId": service.service_id,
            "revision": service.revision,
            "serviceId": service.service_id,
            "environmentId": service.environment_id,
            "stage": service.stage,
            "moduleId": service.module_id,
            "componentType": component["componentType"],
            "version": component["version"],
            "digest": component["digest"],
            "computeTarget": component["computeTarget"],
            "replicas": component["replicas"],
            "instances": service.instances,
            "instancesTotal": len(service.instances),
            "endpointUrl": component.get("endpoint"),
            "port": component.get("port"),
            "probes": component.get("probes", {}),
            "dependsOn": component.get("dependsOn", ()),
            "owner": component.get("owner"),
            "status": facts.status,
            "configurationVersion": component["configuration"]["module"],
            "releaseRevision": facts.release_revision,
            "deploymentId": facts.deployment_id,
            "cause": {"kind": facts.cause_kind, "id": facts.cause_id},
            "validFrom": facts.valid_from,
        }
    )
    return Publish(
        envelope_of(
            payload,
            tenant=service.tenant_id,
            cause=cause,
            clock=app.service.clock,
            entropy=app.service.entropy,
            project=service.project_id,
            module=service.module_id,
        )
    )


def _depends_on(service: RuntimeService) -> Sequence[str]:
    return list(service.facts.component.get("dependsOn", ()))


def _dependency(module: str, found: RuntimeService | None) -> published.Dependency:
    return published.Dependency(
        module_id=module,
        service_id=found.service_id if found else None,
        status=found.status if found else Status.UNKNOWN,
    )
