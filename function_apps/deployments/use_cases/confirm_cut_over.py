"""ConfirmCutOver: say that nothing is on its way that began by a tenant's binding of before."""

from function_apps.deployments.model import module_queue, relocation
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import TARGETS
from shared.contracts.roll_outs import ConfirmCutOver
from shared.contracts.tenants import AdvanceMove
from shared.kernel.context import Context
from shared.messaging.outbox import Send
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View


async def confirm_cut_over(
    command: ConfirmCutOver, ctx: Context, app: DeploymentsApp
) -> Outcome[Json]:
    """Confirm it to tenants; nothing where a deployment is still on its way that began before.

    Raises:
        Unavailable: the event of the moved binding has not come yet.
    """
    revision = command.binding_revision

    def decide(view: View) -> Decision[Json]:
        target = view.get(TARGETS, command.environment_id)
        relocation.require_told(command, target)
        if module_queue.began_before(target, revision):
            return NOTHING
        confirmed = AdvanceMove(binding_id=command.tenant_binding_id, confirmed_revision=revision)
        return Decision({}, outbox=[Send("tenants", confirmed)])

    return await app.service.work.change(ctx, TARGETS, command.environment_id, decide)
