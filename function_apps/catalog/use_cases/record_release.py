"""Record the releases and removals of deployments in the inventory."""

from collections.abc import Sequence

from function_apps.catalog import projections
from function_apps.catalog.model.service import (
    RuntimeService,
    ServiceChange,
    identity_of,
    record_row,
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
from shared.messaging.legacy_unit_of_work import Outcome, Put, View
from shared.messaging.releases import split_releases
from shared.messaging.split import Beside


async def on_deployment_ended(
    event: DeploymentEnded, *, scope: Scope, cause: Cause, app: CatalogApp
) -> Outcome:
    """Split the end of a deployment into one command per service.

    If its environment is decommissioned already, the retirement of its services is due again.
    """
    due_at = app.service.clock.now() + app.rules.stale_after

    def reschedule(view: View) -> Sequence[Put]:
        body = view.body(projections.SCAN_ID)
        scan = projections.from_body(body) if body is not None else None
        if scan is None or scan.ended_at is None:
            return ()
        after = projections.reschedule_retirement(scan, due_at)
        return [Put(projections.SCAN_ID, projections.to_body(after))]

    return await split_releases(
        event,
        RecordRelease,
        scope=scope,
        cause=cause,
        service=app.service,
        beside=Beside([projections.SCAN_ID], reschedule),
    )


async def record_release(
    command: RecordRelease, *, scope: Scope, cause: Cause, app: CatalogApp
) -> Outcome:
    """Record the release that a deployment left of one service; an older one is history only."""
    key = parse_id(command.environment_id, "env").environment
    identity = service_id(key, module_key(scope.tenant, ModuleId(command.module_id)))
    row = release_row(command, app.service.clock.now())

    def decide(known: RuntimeService | None) -> ServiceChange | None:
        fields = identity_of(command, service_id=identity, tenant_id=scope.tenant)
        return record_row(known or RuntimeService(fields), row)

    return await commit(
        identity, decide, "RecordRelease", scope=scope, cause=cause, app=app, row_id=row.id
    )


async def retire_service(
    command: RetireService, *, scope: Scope, cause: Cause, app: CatalogApp
) -> Outcome:
    """Retire a service of a decommissioned environment."""
    at, now = isoformat(command.ended_at), app.service.clock.now()
    row = removal_row(command.cause.kind, command.cause.id, at, now)

    def decide(known: RuntimeService | None) -> ServiceChange | None:
        return None if known is None else record_row(known, row)

    return await commit(
        ServiceId(command.service_id),
        decide,
        "RetireService",
        scope=scope,
        cause=cause,
        app=app,
        row_id=row.id,
    )
