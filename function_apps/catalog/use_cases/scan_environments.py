"""Scan environments: what their surfaces show is recorded as observations of their services.

A service that cannot be read or committed does not stop the others of its environment, and an
environment not the others: it is postponed and shown in the app's health.
"""

from collections.abc import Awaitable, Collection, Mapping, Sequence
from typing import Final, TypeVar

from function_apps.catalog.model.environment_scan import (
    EnvironmentScan,
    confirm_absences,
    record_scan,
)
from function_apps.catalog.model.service import (
    Instances,
    RuntimeService,
    record_observation,
)
from function_apps.catalog.model.status import ObservationExpired, Observed, ServiceEvent
from function_apps.catalog.ports import CatalogApp
from function_apps.catalog.repository import SCANS, SERVICES, changed, replace_scan
from function_apps.catalog.use_cases.record_environment import retire_services
from shared.contracts.catalog import ServiceStatus
from shared.kernel.clock import isoformat
from shared.kernel.concurrency import Failure
from shared.kernel.context import Context, timer_context
from shared.kernel.dataclass import dataclass
from shared.kernel.ids import EnvironmentId, ServiceId, TenantId
from shared.kernel.observation import Present, Unknown
from shared.messaging.sweep import LATE, Sweep
from shared.messaging.unit_of_work import NOTHING, Decision, Json, View
from shared.persistence.store import Comparison, Document, Prefix, Query, Where, pages, partition_of
from shared.surfaces.observed_state import Instance, Inventory, LiveComponent

T = TypeVar("T")
SCAN: Final = "observe_due"
"""The timer; health and runbooks name it so since 0.2.0."""


@dataclass(frozen=True)
class KnownService:
    """A service of the inventory, and how many instances it is to have."""

    service: RuntimeService
    wanted: int


@dataclass(frozen=True)
class ServiceObservation:
    """The result of one scan for one service."""

    service: RuntimeService
    event: ServiceEvent
    instances: Instances = ()


async def scan_due_environments(app: CatalogApp) -> int:
    """Scan every environment that is due; return how many there were."""
    service = app.service

    async def scan(document: Document) -> None:
        tenant = TenantId(document.partition.tenant)
        ctx = timer_context(f"catalog_{SCAN}", tenant, service.clock, service.entropy)
        await scan_environment(document, ctx, app)

    sweep = Sweep(SCAN, SCANS.type_name, service.store, service.clock, service.sweeps)
    return await sweep.run(scan)


async def scan_environment(document: Document, ctx: Context, app: CatalogApp) -> None:
    """Compare one environment's services with a complete scan of its surface.

    A scan that failed changes nothing until the last complete one is older than the limit: then
    every service is Unknown. One that could not read all says nothing of what it may have missed.
    """
    scan = SCANS.decode(document.body)
    if scan.ended_at is not None or scan.retire_after is not None:
        await retire_services(scan.environment_id, ctx, app)
        return
    reading = await app.surface.inventory(EnvironmentId(scan.environment_id))
    now, known = ctx.now(), await _services(document, ctx, app)
    observations: list[ServiceObservation] = []
    stale = isoformat(now - app.rules.inventory.stale_after)
    if isinstance(reading, Unknown):
        after = record_scan(scan, now, app.rules.inventory.sweep, None)
        expired = known if scan.scanned_at < stale else []
    else:
        inventory = reading.value if isinstance(reading, Present) else Inventory(())
        unread = {each.service.service_id for each in known if _is_unread(each, inventory)}
        missing, observations = _compare(known, inventory, unread, scan)
        after = record_scan(scan, now, app.rules.inventory.sweep, missing, unread)
        late = {service for service, since in after.unread_since.items() if since < stale}
        expired = [each for each in known if each.service.service_id in late]
    observations += [ServiceObservation(each.service, ObservationExpired()) for each in expired]
    for observation in observations:
        service_id = ServiceId(observation.service.service_id)
        await _attempt(service_id, _record(observation, ctx, app), ctx, app)
    decision: Decision[Json] = Decision({}, writes=[SCANS.put(after)])
    await replace_scan(document, decision, ctx, app)


async def _attempt(
    service_id: ServiceId, work: Awaitable[T], ctx: Context, app: CatalogApp
) -> T | Failure:
    """Return the result of *work* on one service, or its failure until the next scan."""
    key = (partition_of(ctx.tenant, service_id), SERVICES.type_name)
    until = ctx.now() + app.rules.inventory.sweep + LATE
    return await app.service.sweeps.attempt(SCAN, key, work, until)


async def _services(scan: Document, ctx: Context, app: CatalogApp) -> list[KnownService]:
    query = Query(
        where=[
            *SERVICES.conditions,
            Where("status", Comparison.NE, ServiceStatus.RETIRED.value),
        ],
        limit=200,
    )
    prefix = Prefix(ctx.tenant, scan.partition.environment)
    documents = [document async for document in pages(app.service.store, prefix, query)]
    services = [
        await _attempt(ServiceId(document.partition.unit), _known(document), ctx, app)
        for document in documents
    ]
    return [service for service in services if not isinstance(service, Failure)]


async def _known(document: Document) -> KnownService:
    service = SERVICES.decode(document.body)
    return KnownService(service, service.replicas)


def _is_unread(known: KnownService, inventory: Inventory) -> bool:
    service = ServiceId(known.service.service_id)
    return inventory.may_have(service) and service not in _live(inventory)


def _live(inventory: Inventory) -> Mapping[ServiceId, LiveComponent]:
    return {each.component.service: each for each in inventory.components}


def _compare(
    known: Sequence[KnownService],
    inventory: Inventory,
    unread: Collection[str],
    scan: EnvironmentScan,
) -> tuple[Mapping[str, int], list[ServiceObservation]]:
    """Return the missing services with the scans to confirm them, and the observations.

    One that is *unread* is neither missing nor observed.
    """
    live = _live(inventory)
    absent = [
        each.service.service_id
        for each in known
        if each.service.service_id not in {*live, *unread} and _is_expected(each.service)
    ]
    missing, confirmed = confirm_absences(scan.missing, absent, len(known))
    observations = []
    for each in known:
        service, wanted = each.service, each.wanted
        component = live.get(ServiceId(service.service_id))
        if component is not None:
            running = [
                instance for revision in component.revisions for instance in revision.instances
            ]
            event = Observed(sum(instance.is_ready for instance in running), wanted)
            instances = tuple(_to_body(instance) for instance in running)
            observations.append(ServiceObservation(service, event, instances))
        elif service.service_id in confirmed:
            observations.append(ServiceObservation(service, Observed(0, wanted)))
    return missing, observations


def _is_expected(service: RuntimeService) -> bool:
    """Return whether its absence would be news: it is not absent already, and is no job.

    A job has run when its release is in force, whether or not something of it is left.
    """
    if service.component.get("runsOnce") is not None:
        return False
    return service.status is not ServiceStatus.UNAVAILABLE or bool(service.instances)


async def _record(observation: ServiceObservation, ctx: Context, app: CatalogApp) -> None:
    """Commit the observation if it differs, unless a newer release was recorded meanwhile."""
    service, event, instances = observation.service, observation.event, observation.instances
    now = ctx.now()
    if record_observation(service, event, instances, now) is None:
        return

    def decide(view: View) -> Decision[Json]:
        current = view.find(SERVICES, service.service_id)
        if current is None or current.rows.verification != service.rows.verification:
            return NOTHING
        change = record_observation(current, event, instances, now)
        return changed(change, service.service_id, "ObserveService")

    await app.service.work.change(ctx, SERVICES, service.service_id, decide)


def _to_body(instance: Instance) -> Mapping[str, object]:
    return {
        "name": instance.id,
        "releaseRevision": instance.revision,
        "status": "Ready" if instance.is_ready else "NotReady",
        "endpoint": f"http://{instance.address}" if instance.address else None,
        "startedAt": isoformat(instance.started_at),
        "restarts": instance.restarts,
        "lastExit": instance.last_exit,
        "restartedAt": isoformat(instance.restarted_at) if instance.restarted_at else None,
        "reason": instance.unready_because,
    }
