"""Suspension: the tenant deploys nothing and binds no secret until it is resumed."""

from function_apps.tenants.model.binding import TenantBinding
from function_apps.tenants.model.move import end_early, with_dropped_move
from function_apps.tenants.model.suspension import SUSPEND, resume, suspend
from function_apps.tenants.ports import TenantsApp
from function_apps.tenants.repository import BINDINGS, changed
from function_apps.tenants.resources import answer
from function_apps.tenants.use_cases.bound_tenant import (
    caller_of,
    of_bound_tenant,
    own_binding,
)
from shared.contracts.tenants import Suspension
from shared.contracts.values import Reason
from shared.kernel.context import ADMIN, Context
from shared.kernel.ids import parse_id
from shared.messaging.unit_of_work import Decision, Json, Outcome, View


async def suspend_tenant(
    binding_id: str, command: Suspension, ctx: Context, app: TenantsApp
) -> Outcome[Json]:
    """Suspend a binding that is Enforced or Moving; a repeat gets the same answer.

    A move ends with it: it goes back, or in Cleaning keeps the new model. An administrator who
    could resume it takes a suspension of another over.

    Raises:
        ForeignTenant, TenantBindingNotFound, TransitionRefused: see there.
    """
    bound = of_bound_tenant(command.tenant_id, ctx)
    is_admin = ctx.scope.allows(ADMIN)

    def decide(view: View) -> Decision[Json]:
        known = own_binding(view, binding_id, ctx)
        words = with_dropped_move(command.reason, known)
        settled = end_early(known, f"it was suspended: {command.reason}", ctx.now())
        why = Reason(code=SUSPEND, message=words)
        after = suspend(settled, why, caller_of(ctx), ctx.now(), is_admin=is_admin)
        return _decision(known, after, "SuspendTenant", words)

    parse_id(binding_id, "tb")
    return await app.service.work.change(bound, BINDINGS, binding_id, decide)


async def resume_tenant(
    binding_id: str, command: Suspension, ctx: Context, app: TenantsApp
) -> Outcome[Json]:
    """Resume a binding that is Suspended; a repeat gets the same answer.

    Raises:
        ForeignTenant, TenantBindingNotFound, TransitionRefused, SuspendedByAnother: see there.
    """
    bound = of_bound_tenant(command.tenant_id, ctx)
    is_admin = ctx.scope.allows(ADMIN)

    def decide(view: View) -> Decision[Json]:
        known = own_binding(view, binding_id, ctx)
        after = resume(known, caller_of(ctx), ctx.now(), is_admin=is_admin)
        return _decision(known, after, "ResumeTenant", command.reason)

    parse_id(binding_id, "tb")
    return await app.service.work.change(bound, BINDINGS, binding_id, decide)


def _decision(
    known: TenantBinding, after: TenantBinding, action: str, reason: str
) -> Decision[Json]:
    if after is known:
        return Decision(answer(known), is_repeat=True)
    return changed(after, action, reason)
