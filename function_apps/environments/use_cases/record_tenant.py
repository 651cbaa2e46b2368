"""RuntimeTenantBound: isolate the bound tenant in its environment, or take that away."""

from collections.abc import Sequence

from function_apps.environments.model.tenant_isolation import on_binding
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.repository import ISOLATE, ISOLATIONS, REMOVE, begin_isolation
from shared.contracts.tenants import RuntimeTenantBound, require_own_binding
from shared.durable.operations import OPERATIONS
from shared.kernel.context import Context, NewIds
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View


async def record_tenant(
    event: RuntimeTenantBound, ctx: Context, app: EnvironmentsApp
) -> Outcome[Json]:
    """Record the newest state of a binding; what is asked for anew begins an operation.

    The environment stays as it is meanwhile.

    Raises:
        Invalid: it is not the binding of the tenant to the environment.
    """
    binding_id = event.binding_id
    require_own_binding(event, ctx.tenant)
    ids = NewIds.draw(ctx, app.service.public_name, binding_id)

    def decide(view: View) -> Decision[Json]:
        known = view.find(ISOLATIONS, binding_id)
        after = on_binding(known, event, ctx.tenant, ids.operation_id)
        if after is None:
            return NOTHING
        if after.operation_id != ids.operation_id:
            return Decision({}, writes=[ISOLATIONS.put(after)])
        return begin_isolation(after, view, ids, ctx, REMOVE if after.is_leaving else ISOLATE)

    def operation_of(view: View) -> Sequence[str]:
        known = view.find(ISOLATIONS, binding_id)
        return [OPERATIONS.document_id(known.operation_id)] if known else []

    return await app.service.work.change(
        ctx.without_marker(), ISOLATIONS, binding_id, decide, linked=operation_of
    )
