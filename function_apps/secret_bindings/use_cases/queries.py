"""Reads of secret_bindings: one binding as clients see it."""

from function_apps.secret_bindings.ports import SecretBindingsApp
from function_apps.secret_bindings.repository import load_binding
from function_apps.secret_bindings.resources import binding_resource
from shared.contracts.secret_bindings import SecretBinding
from shared.kernel.context import Context


async def get_binding(
    binding_id: str, ctx: Context, app: SecretBindingsApp
) -> tuple[SecretBinding, str]:
    """Return a binding with its etag. Raises BindingNotFound."""
    binding, etag = await load_binding(binding_id, ctx, app)
    return binding_resource(binding), etag
