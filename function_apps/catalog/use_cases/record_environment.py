"""What environments tell: one to watch from now on, or one that is gone with all that ran in it."""

from dataclasses import replace

from function_apps.catalog import projections
from function_apps.catalog.model.states import Status
from function_apps.catalog.ports import CatalogApp
from shared.contracts.catalog import RetireService
from shared.contracts.environments import EnvironmentFacts, RuntimeEnvironmentDecommissioned
from shared.contracts.releases import CauseKind, ChangeCause
from shared.kernel.clock import parse_instant
from shared.kernel.ids import EnvironmentKey, parse_id
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause
from shared.messaging.compose import envelope_of
from shared.messaging.outbox import Send
from shared.messaging.split import PAGE_MAX
from shared.messaging.unit_of_work import NOTHING, Decision, Outcome, Put, View
from shared.persistence.store import Comparison, Document, Partition, Prefix, Query, Where


async def note_environment(
    event: EnvironmentFacts, *, scope: Scope, cause: Cause, app: CatalogApp
) -> Outcome:
    """Watch a usable environment; retire what ran in one that is gone, 25 services a page.

    The watch remembers how far the retiring is and stays due until it is done: whoever finds it
    there, this event again or the sweep, goes on with it.
    """
    key = parse_id(event.environment_id, "env").environment
    ended = isinstance(event, RuntimeEnvironmentDecommissioned)
    now = app.service.clock.now()

    def decide(view: View) -> Decision:
        body = view.body(projections.WATCH_ID)
        watch = projections.note(
            projections.from_body(body) if body is not None else None,
            environment_id=event.environment_id,
            revision=event.revision,
            ended=ended,
            now=now,
        )
        if watch is None:
            return NOTHING
        return Decision(writes=[Put(projections.WATCH_ID, projections.to_body(watch))])

    unmarked = replace(cause, marker=None)
    partition = Partition(scope.tenant, key)
    outcome = await app.service.work.write(
        scope, partition, [projections.WATCH_ID], decide, unmarked
    )
    if ended:
        await retire_all(partition, scope=scope, cause=unmarked, app=app)
    return outcome


async def retire_all(partition: Partition, *, scope: Scope, cause: Cause, app: CatalogApp) -> None:
    """Send for every service of an ended environment, from where this was left off."""
    while True:
        document = await app.service.store.read(partition, projections.WATCH_ID)
        if document is None or projections.from_body(document.body).retire_after is None:
            return
        await _retire_page(document, scope=scope, cause=cause, app=app)


async def _retire_page(document: Document, *, scope: Scope, cause: Cause, app: CatalogApp) -> None:
    """Commit one page: a command per service, and how far that is; nothing if the watch moved."""
    watch = projections.from_body(document.body)
    key = EnvironmentKey(document.partition.environment)
    page = await app.service.store.query(
        Prefix(scope.tenant, key),
        Query(
            where=[
                Where("type", Comparison.EQ, "service"),
                Where("status", Comparison.NE, Status.RETIRED.value),
                Where("service_id", Comparison.GT, watch.retire_after),
            ],
            order_by="service_id",
            limit=PAGE_MAX,
        ),
    )
    is_last = len(page.documents) < PAGE_MAX
    last = None if is_last else str(page.documents[-1].body["service_id"])
    rows = [_send_for(each, watch, scope, cause, app) for each in page.documents]
    after = projections.retired_up_to(watch, last)

    def decide(view: View) -> Decision:
        if view.etag(projections.WATCH_ID) != document.etag:
            return NOTHING
        return Decision(writes=[Put(projections.WATCH_ID, projections.to_body(after))], outbox=rows)

    await app.service.work.write(scope, document.partition, [projections.WATCH_ID], decide, cause)


def _send_for(
    service: Document, watch: projections.Watch, scope: Scope, cause: Cause, app: CatalogApp
) -> Send:
    assert watch.ended_at is not None, watch
    command = RetireService.model_validate(
        {
            "environment_id": watch.environment_id,
            "service_id": service.body["service_id"],
            "cause": ChangeCause(kind=CauseKind.ENVIRONMENT, id=watch.environment_id),
            "ended_at": parse_instant(watch.ended_at),
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
