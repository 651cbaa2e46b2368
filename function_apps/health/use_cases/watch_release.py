"""Start and stop probing a service, with its releases and its removal."""

from collections.abc import Callable

from function_apps.health.model.probe_target import (
    DOCUMENT_ID,
    ProbeTarget,
    from_body,
    to_body,
    track_inventory,
    track_release,
)
from function_apps.health.ports import HealthApp
from shared.contracts.catalog import RuntimeInventoryUpdated
from shared.contracts.deployments import DeploymentEnded
from shared.contracts.health import WatchRelease
from shared.kernel.ids import ModuleId, ServiceId, module_key, parse_id, service_id
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause
from shared.messaging.legacy_unit_of_work import NOTHING, Audited, Decision, Outcome, Put, View
from shared.messaging.releases import split_releases
from shared.persistence.store import Partition


async def on_deployment_ended(
    event: DeploymentEnded, *, scope: Scope, cause: Cause, app: HealthApp
) -> Outcome:
    """Split the end of a deployment into one command per service to probe from now on."""
    return await split_releases(event, WatchRelease, scope=scope, cause=cause, service=app.service)


async def watch_release(
    command: WatchRelease, *, scope: Scope, cause: Cause, app: HealthApp
) -> Outcome:
    """Make the release that a deployment left of one service the target of probes."""
    key = parse_id(command.environment_id, "env").environment
    identity = service_id(key, module_key(scope.tenant, ModuleId(command.module_id)))
    now = app.service.clock.now()

    def change(known: ProbeTarget | None) -> ProbeTarget | None:
        return track_release(known, command, service_id=identity, tenant_id=scope.tenant, now=now)

    return await _commit(identity, change, "WatchRelease", scope=scope, cause=cause, app=app)


async def on_inventory_updated(
    event: RuntimeInventoryUpdated, *, scope: Scope, cause: Cause, app: HealthApp
) -> Outcome:
    """Stop probing a service that the inventory retired, for example with its environment."""
    return await _commit(
        ServiceId(event.service_id),
        lambda known: track_inventory(known, event),
        "RetireTarget",
        scope=scope,
        cause=cause,
        app=app,
    )


async def _commit(
    identity: ServiceId,
    change: Callable[[ProbeTarget | None], ProbeTarget | None],
    action: str,
    *,
    scope: Scope,
    cause: Cause,
    app: HealthApp,
) -> Outcome:
    def decide(view: View) -> Decision:
        body = view.body(DOCUMENT_ID)
        target = change(from_body(body) if body is not None else None)
        if target is None:
            return NOTHING
        return Decision(
            writes=[Put(DOCUMENT_ID, to_body(target))], audited=Audited(action, identity)
        )

    partition = Partition(scope.tenant, parse_id(identity, "svc").environment, identity)
    return await app.service.work.write(scope, partition, [DOCUMENT_ID], decide, cause)
