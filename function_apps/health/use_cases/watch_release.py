"""WatchRelease: probe the release that a deployment left of one service."""

from function_apps.health.model import probe_target
from function_apps.health.ports import HealthApp
from function_apps.health.repository import OBJECTIVES, TARGETS, changed
from shared.contracts.health import WatchRelease
from shared.kernel.context import Context
from shared.kernel.ids import ModuleId, module_key, parse_id
from shared.kernel.ids import service_id as service_id_of
from shared.messaging.unit_of_work import Decision, Json, Outcome, View


async def watch_release(command: WatchRelease, ctx: Context, app: HealthApp) -> Outcome[Json]:
    """Make the release that a deployment left of one service the target of probes."""
    key = parse_id(command.environment_id, "env").environment
    service_id = service_id_of(key, module_key(ctx.tenant, ModuleId(command.module_id)))

    def decide(view: View) -> Decision[Json]:
        known = view.find(TARGETS, service_id)
        target = probe_target.watch_release(
            known, command, service_id=service_id, tenant_id=ctx.tenant, now=ctx.now()
        )
        objective = view.find(OBJECTIVES, service_id)
        return changed(target, objective, "WatchRelease", ctx.now())

    also = [OBJECTIVES.document_id(service_id)]
    return await app.service.work.change(ctx, TARGETS, service_id, decide, also=also)
