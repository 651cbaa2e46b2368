"""What deployments leave behind: releases, removals, and what they replace."""

from collections.abc import Sequence

from function_apps.catalog import projections
from function_apps.catalog.model.service import (
    Change,
    RuntimeService,
    identity_of,
    learn,
    release_row,
    removal_row,
)
from function_apps.catalog.ports import CatalogApp
from function_apps.catalog.repository import commit
from shared.contracts.catalog import RecordRelease, RetireService
from shared.contracts.deployments import DeploymentEnded
from shared.kernel.clock import isoformat
from shared.kernel.ids import ModuleId, ServiceId, module_key, parse_id, service_id
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause
from shared.messaging.releases import split_releases
from shared.messaging.split import Beside
from shared.messaging.unit_of_work import Outcome, Put, View


async def note_deployment_ended(
    event: DeploymentEnded, *, scope: Scope, cause: Cause, app: CatalogApp
) -> Outcome:
    """Split the end of a deployment into one command per service.

    One that ends after its environment was decommissioned leaves services that nobody will take
    away any more, so what retires them is due again.
    """
    due_at = app.service.clock.now() + app.rules.stale_after

    def retire_again(view: View) -> Sequence[Put]:
        body = view.body(projections.WATCH_ID)
        watch = projections.from_body(body) if body is not None else None
        if watch is None or watch.ended_at is None:
            return ()
        again = projections.retire_again(watch, due_at)
        return [Put(projections.WATCH_ID, projections.to_body(again))]

    return await split_releases(
        event,
        RecordRelease,
        scope=scope,
        cause=cause,
        service=app.service,
        beside=Beside([projections.WATCH_ID], retire_again),
    )


async def record_release(
    command: RecordRelease, *, scope: Scope, cause: Cause, app: CatalogApp
) -> Outcome:
    """Write what a deployment left of one service into the inventory, older facts as history."""
    key = parse_id(command.environment_id, "env").environment
    identity = service_id(key, module_key(scope.tenant, ModuleId(command.module_id)))
    row = release_row(command, app.service.clock.now())

    def decide(known: RuntimeService | None) -> Change | None:
        named = identity_of(command, service_id=identity, tenant_id=scope.tenant)
        return learn(known or RuntimeService(named), row)

    return await commit(
        identity, decide, "RecordRelease", scope=scope, cause=cause, app=app, row_id=row.id
    )


async def retire_service(
    command: RetireService, *, scope: Scope, cause: Cause, app: CatalogApp
) -> Outcome:
    """Retire a service whose environment is gone."""
    at, now = isoformat(command.ended_at), app.service.clock.now()
    row = removal_row(command.cause.kind, command.cause.id, at, now)

    def decide(known: RuntimeService | None) -> Change | None:
        return None if known is None else learn(known, row)

    return await commit(
        ServiceId(command.service_id),
        decide,
        "RetireService",
        scope=scope,
        cause=cause,
        app=app,
        row_id=row.id,
    )
