"""BindTenant: let a tenant deploy to an environment, isolated as it is asked for."""

from function_apps.tenants.errors import ForeignTenant
from function_apps.tenants.model.binding import (
    asked_model,
    new_binding,
    request,
)
from function_apps.tenants.model.isolation import require_isolated
from function_apps.tenants.model.suspension import require_resumable
from function_apps.tenants.ports import TenantsApp
from function_apps.tenants.repository import (
    BINDINGS,
    changed,
    provisioned_model,
)
from function_apps.tenants.resources import answer
from function_apps.tenants.use_cases.bound_tenant import (
    admitting_environment,
    caller_of,
    change_or_plan,
    of_bound_tenant,
)
from shared.contracts.tenants import BindTenant, TenantBindingStatus
from shared.kernel.context import ADMIN, Context
from shared.kernel.ids import parse_id, tenant_binding_id
from shared.messaging.unit_of_work import Decision, Json, Outcome, View


async def bind_tenant(command: BindTenant, ctx: Context, app: TenantsApp) -> Outcome[Json]:
    """Bind a tenant to an environment; the same content again gets the binding as it is then.

    With the same key it gets the first answer, whatever the environment has become.

    Raises:
        ForeignTenant: the caller may bind its own tenant only.
        EnvironmentNotAdmitting, IsolationNotSupported, TenantBindingExists: see there.
        TransitionRefused: it is being unbound.
        SuspendedByAnother: it was suspended when it was unbound, and the environment goes on.
    """
    bound = of_bound_tenant(command.tenant_id, ctx)
    if bound is not ctx and command.owner_tenant_id not in {None, ctx.tenant}:
        raise ForeignTenant(bound.tenant)
    binding_id = tenant_binding_id(
        parse_id(command.environment_id, "env").environment, bound.tenant
    )

    async def decide(view: View) -> Decision[Json]:
        environment = await admitting_environment(
            command.environment_id, command.owner_tenant_id or ctx.tenant, bound.tenant, app
        )
        is_owner = environment.owner == bound.tenant
        known = view.find(BINDINGS, binding_id)
        model = asked_model(command, known) or await provisioned_model(bound.tenant, app)
        require_isolated(
            command.requires,
            command.quota,
            model,
            environment.compute_targets,
            is_owner=is_owner,
            admits=environment.admits,
        )
        fresh = new_binding(
            command, model, binding_id,
            tenant_id=bound.tenant, environment=environment, now=ctx.now(),
        )  # fmt: skip
        is_unbound = known is not None and known.status is TenantBindingStatus.UNBOUND
        if known is not None and is_unbound and not known.has_outlived(environment):
            require_resumable(known, caller_of(ctx), is_admin=ctx.scope.allows(ADMIN))
        after = request(known, fresh)
        if after is known:
            return Decision(answer(after), is_repeat=True)
        return changed(after, "BindTenant")

    return await change_or_plan(binding_id, decide, bound, app, dry_run=command.dry_run)
