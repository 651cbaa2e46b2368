"""UnbindTenant: take from a tenant what it has in an environment."""

from function_apps.tenants.model.binding import UNBIND, unbind
from function_apps.tenants.model.move import end_early, with_dropped_move
from function_apps.tenants.ports import TenantsApp
from function_apps.tenants.repository import BINDINGS, changed
from function_apps.tenants.resources import answer
from function_apps.tenants.use_cases.bound_tenant import of_bound_tenant, own_binding
from shared.contracts.tenants import UnbindTenant
from shared.contracts.values import Reason
from shared.kernel.context import Context
from shared.kernel.ids import parse_id
from shared.messaging.unit_of_work import Decision, Json, Outcome, View


async def unbind_tenant(command: UnbindTenant, ctx: Context, app: TenantsApp) -> Outcome[Json]:
    """Request that a binding ends; a repeat gets the same answer.

    Raises:
        ForeignTenant, TenantBindingNotFound, ConfirmationMissing, TransitionRefused: see there.
    """
    binding_id = command.binding_id
    bound = of_bound_tenant(command.tenant_id, ctx)
    reason = command.reason or "no reason was given"

    def decide(view: View) -> Decision[Json]:
        known = own_binding(view, binding_id, ctx)
        settled = end_early(known, "it is unbound", ctx.now())
        why = Reason(code=UNBIND, message=with_dropped_move(reason, known))
        after = unbind(settled, command.confirm, why, ctx.now())
        if after is known:
            return Decision(answer(known), is_repeat=True)
        return changed(after, "UnbindTenant", with_dropped_move(command.reason, known))

    parse_id(binding_id, "tb")
    return await app.service.work.change(bound, BINDINGS, binding_id, decide)
