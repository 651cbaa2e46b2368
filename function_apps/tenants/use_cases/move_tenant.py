"""MoveTenant: isolate a tenant by another model, in the environment that it is bound to."""

from function_apps.tenants.model.binding import TenantBinding
from function_apps.tenants.model.isolation import require_isolated
from function_apps.tenants.model.move import begin, with_dropped_move
from function_apps.tenants.ports import TenantsApp
from function_apps.tenants.repository import changed
from function_apps.tenants.resources import answer
from function_apps.tenants.use_cases.bound_tenant import (
    change_or_plan,
    environment_of_bound,
    of_bound_tenant,
    own_binding,
)
from shared.contracts.tenants import MoveTenant
from shared.kernel.context import Context
from shared.kernel.ids import TenantId, parse_id
from shared.messaging.unit_of_work import Decision, Json, Outcome, View


async def move_tenant(command: MoveTenant, ctx: Context, app: TenantsApp) -> Outcome[Json]:
    """Begin a move, or take one back; a repeat gets the same answer.

    What the environment cannot isolate so is refused before anything is begun.

    Raises:
        ForeignTenant, TenantBindingNotFound, MoveUnderWay, TransitionRefused: see there.
        EnvironmentNotAdmitting, IsolationNotSupported: as for a tenant that is bound anew.
    """
    binding_id = command.binding_id
    bound = of_bound_tenant(command.tenant_id, ctx)

    async def decide(view: View) -> Decision[Json]:
        known = own_binding(view, binding_id, ctx)
        after = begin(known, command, ctx.now())
        if after is known:
            return Decision(answer(known), is_repeat=True)
        if after.move is not None:
            await _require_isolated(after, app)
        return changed(after, "MoveTenant", with_dropped_move(command.reason, known))

    parse_id(binding_id, "tb")
    return await change_or_plan(binding_id, decide, bound, app, dry_run=command.dry_run)


async def _require_isolated(moving: TenantBinding, app: TenantsApp) -> None:
    """Refuse the model of *moving* as it would be refused of a tenant that is bound anew.

    One that is admitted no longer stays bound, so it may be moved, too.
    """
    tenant = TenantId(moving.tenant_id)
    environment = await environment_of_bound(
        moving.environment_id, moving.owner_tenant_id, tenant, app
    )
    require_isolated(
        moving.requires,
        moving.quota,
        moving.isolation_model,
        environment.compute_targets,
        is_owner=moving.is_owner,
        admits=environment.admits,
    )
