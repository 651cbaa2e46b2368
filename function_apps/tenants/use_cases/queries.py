"""Reads of tenants: a binding, as clients see it."""

from function_apps.tenants.ports import TenantsApp
from function_apps.tenants.repository import load_binding
from function_apps.tenants.resources import binding_resource
from shared.contracts.tenants import RuntimeTenantBinding
from shared.kernel.context import Context


async def get_binding(
    binding_id: str, ctx: Context, app: TenantsApp
) -> tuple[RuntimeTenantBinding, str]:
    """Return a binding with its etag. Raises TenantBindingNotFound."""
    binding, etag = await load_binding(binding_id, ctx, app)
    return binding_resource(binding), etag
