"""Suspension: the tenant changes nothing in the environment until it is resumed."""

from function_apps.tenants.model.binding import SUSPEND, TenantBinding, resume, suspend
from function_apps.tenants.ports import TenantsApp
from function_apps.tenants.repository import BINDINGS, changed
from function_apps.tenants.resources import answer
from shared.contracts.tenants import Suspension
from shared.contracts.values import Reason
from shared.kernel.context import Context
from shared.kernel.ids import parse_id
from shared.messaging.unit_of_work import Decision, Json, Outcome, View


async def suspend_tenant(
    binding_id: str, command: Suspension, ctx: Context, app: TenantsApp
) -> Outcome[Json]:
    """Suspend a binding that is Enforced; a repeat gets the same answer.

    Raises:
        TenantBindingNotFound, TransitionRefused: see there.
    """
    why = Reason(code=SUSPEND, message=command.reason)

    def decide(view: View) -> Decision[Json]:
        known = view.get(BINDINGS, binding_id)
        after = suspend(known, why, ctx.now())
        return _decision(known, after, "SuspendTenant", command.reason)

    parse_id(binding_id, "tb")
    return await app.service.work.change(ctx, BINDINGS, binding_id, decide)


async def resume_tenant(
    binding_id: str, command: Suspension, ctx: Context, app: TenantsApp
) -> Outcome[Json]:
    """Resume a binding that is Suspended; a repeat gets the same answer.

    Raises:
        TenantBindingNotFound, TransitionRefused: see there.
    """

    def decide(view: View) -> Decision[Json]:
        known = view.get(BINDINGS, binding_id)
        return _decision(known, resume(known, ctx.now()), "ResumeTenant", command.reason)

    parse_id(binding_id, "tb")
    return await app.service.work.change(ctx, BINDINGS, binding_id, decide)


def _decision(
    known: TenantBinding, after: TenantBinding, action: str, reason: str
) -> Decision[Json]:
    if after is known:
        return Decision(answer(known), is_repeat=True)
    return changed(after, action, reason)
