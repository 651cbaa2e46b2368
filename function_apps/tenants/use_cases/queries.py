"""Reads of tenants: a binding, as clients see it."""

from function_apps.tenants.ports import TenantsApp
from function_apps.tenants.repository import load_binding
from function_apps.tenants.resources import binding_resource, proof_shown
from shared.contracts.tenants import IsolationProofs, RuntimeTenantBinding
from shared.kernel.context import Context


async def get_binding(
    binding_id: str, ctx: Context, app: TenantsApp
) -> tuple[RuntimeTenantBinding, str]:
    """Return a binding with its etag. Raises TenantBindingNotFound."""
    binding, etag = await load_binding(binding_id, ctx, app)
    return binding_resource(binding), etag


async def get_proofs(binding_id: str, ctx: Context, app: TenantsApp) -> IsolationProofs:
    """Return the last proof of each layer. Raises TenantBindingNotFound."""
    binding, _ = await load_binding(binding_id, ctx, app)
    shown = tuple(proof_shown(each) for each in binding.proofs)
    return IsolationProofs(binding_id=binding.binding_id, value=shown)
