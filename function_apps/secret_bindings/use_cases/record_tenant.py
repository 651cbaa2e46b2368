"""RuntimeTenantBound: whether the tenant may be given secrets, and as whom its instances ask."""

from function_apps.secret_bindings.model.tenant import TenantProjection, on_tenant_event
from function_apps.secret_bindings.ports import SecretBindingsApp
from function_apps.secret_bindings.repository import TENANTS
from shared.contracts.tenants import RuntimeTenantBound, require_own_binding
from shared.kernel.context import Context
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View


async def record_tenant(
    event: RuntimeTenantBound, ctx: Context, app: SecretBindingsApp
) -> Outcome[Json]:
    """Record the newest state of the tenant's binding to an environment.

    Raises:
        Invalid: it is not the binding of the tenant to the environment.
    """
    require_own_binding(event, ctx.tenant)
    identity = event.environment_id
    heard = TenantProjection(identity, event.revision, event.status, event.identity)

    def decide(view: View) -> Decision[Json]:
        after = on_tenant_event(view.find(TENANTS, identity), heard)
        return NOTHING if after is None else Decision({}, writes=[TENANTS.put(after)])

    return await app.service.work.change(ctx.without_marker(), TENANTS, identity, decide)
