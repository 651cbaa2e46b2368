"""TenantProvisioned, from the control plane: how a tenant is isolated where nobody says it."""

from function_apps.tenants.model.tenant import ProvisionedTenant, on_provisioned
from function_apps.tenants.ports import TenantsApp
from function_apps.tenants.repository import TENANTS, tenant_partition
from shared.contracts.tenants import TenantProvisioned
from shared.kernel.clock import isoformat
from shared.kernel.context import Context
from shared.kernel.errors import Invalid
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View


async def record_tenant(event: TenantProvisioned, ctx: Context, app: TenantsApp) -> Outcome[Json]:
    """Record what the control plane says of a tenant; what is bound already stays as it is.

    Raises:
        Invalid: it is said of another tenant than the one that the message is of.
    """
    if event.tenant_id != ctx.tenant:
        raise Invalid(
            f"a message of {ctx.tenant} says that {event.tenant_id} was provisioned: expected a"
            " message of that tenant",
            target="tenantId",
        )
    said = ProvisionedTenant(
        event.tenant_id, event.name, event.isolation_model, isoformat(ctx.said_at())
    )

    def decide(view: View) -> Decision[Json]:
        after = on_provisioned(view.find(TENANTS, ctx.tenant), said)
        return NOTHING if after is None else Decision({}, writes=[TENANTS.put(after)])

    reads = [TENANTS.document_id(ctx.tenant)]
    partition = tenant_partition(ctx.tenant)
    return await app.service.work.commit(ctx.without_marker(), partition, reads, decide)
