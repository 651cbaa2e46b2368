"""The stored documents of a service: load and commit."""

from collections.abc import Callable, Sequence

from function_apps.catalog import events
from function_apps.catalog.model.history import row_body
from function_apps.catalog.model.service import (
    DOCUMENT_ID,
    RuntimeService,
    ServiceChange,
    from_body,
    to_body,
)
from function_apps.catalog.ports import CatalogApp
from shared.kernel.ids import ServiceId, parse_id
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause
from shared.messaging.compose import envelope_of
from shared.messaging.legacy_unit_of_work import NOTHING, Audited, Decision, Outcome, Put, View
from shared.messaging.outbox import Publish, Row
from shared.persistence.store import Partition

Decide = Callable[[RuntimeService | None], ServiceChange | None]
"""Decides the change of the stored service, or of a new one; None changes nothing."""


def partition_of(identity: str, scope: Scope) -> Partition:
    """Return the partition of a service. Raises NotFound if *identity* is not a service id."""
    return Partition(scope.tenant, parse_id(identity, "svc").environment, identity)


def stored(view: View) -> RuntimeService | None:
    body = view.body(DOCUMENT_ID)
    return None if body is None else from_body(body)


async def commit(
    identity: ServiceId,
    decide: Decide,
    action: str,
    *,
    scope: Scope,
    cause: Cause,
    app: CatalogApp,
    row_id: str | None = None,
) -> Outcome:
    """Commit the change that *decide* makes of the service, with its row of history, once.

    *row_id* is the id of the row if it is known before the decision: a stored row was committed
    with all its consequences, so the same fact in another message changes nothing.
    """
    reads = [DOCUMENT_ID, row_id] if row_id else [DOCUMENT_ID]

    def decide_once(view: View) -> Decision:
        if row_id is not None and view.body(row_id) is not None:
            return NOTHING
        change = decide(stored(view))
        return NOTHING if change is None else _decision(change, identity, action, cause, app)

    return await app.service.work.write(
        scope, partition_of(identity, scope), reads, decide_once, cause
    )


def _decision(
    change: ServiceChange, identity: ServiceId, action: str, cause: Cause, app: CatalogApp
) -> Decision:
    service = change.service
    writes = [] if service is None else [Put(DOCUMENT_ID, to_body(service))]
    if change.row is not None:
        writes.append(Put(change.row.id, row_body(change.row)))
    outcome = "AlreadyNewer" if service is None else str(service.status or "Tombstone")
    return Decision(
        writes=writes,
        outbox=_publish(service, cause, app) if service and change.is_published else (),
        audited=Audited(action, identity, outcome),
    )


def _publish(service: RuntimeService, cause: Cause, app: CatalogApp) -> Sequence[Row]:
    assert service.facts is not None, service
    envelope = envelope_of(
        events.inventory_updated(service, service.facts),
        tenant=service.identity.tenant_id,
        cause=cause,
        clock=app.service.clock,
        entropy=app.service.entropy,
        project=service.identity.project_id,
        module=service.identity.module_id,
    )
    return [Publish(envelope)]
