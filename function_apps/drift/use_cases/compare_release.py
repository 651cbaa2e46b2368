"""CompareRelease: what a deployment left of one service is what it is compared with from now on."""

from function_apps.drift.model.baseline import record_release
from function_apps.drift.ports import DriftApp
from function_apps.drift.repository import BASELINES
from shared.contracts.drift import CompareRelease
from shared.kernel.context import Context
from shared.kernel.ids import ModuleId, module_key, parse_id
from shared.kernel.ids import service_id as service_id_of
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View


async def compare_release(command: CompareRelease, ctx: Context, app: DriftApp) -> Outcome[Json]:
    """Take the release of a service as its baseline; the next look for what is due scans it."""
    key = parse_id(command.environment_id, "env").environment
    service_id = service_id_of(key, module_key(ctx.tenant, ModuleId(command.module_id)))

    def decide(view: View) -> Decision[Json]:
        known = view.find(BASELINES, service_id)
        after = record_release(
            known, command, service_id=service_id, tenant_id=ctx.tenant, now=ctx.now()
        )
        if after is None:
            return NOTHING
        audited = Audited("CompareRelease", service_id)
        return Decision({}, writes=[BASELINES.put(after)], audited=audited)

    return await app.service.work.change(ctx, BASELINES, service_id, decide)
