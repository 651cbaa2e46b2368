"""Reads of secret_bindings: a binding, and a rotation, as clients see them."""

from function_apps.secret_bindings.ports import SecretBindingsApp
from function_apps.secret_bindings.repository import load_binding, load_rotation
from function_apps.secret_bindings.resources import binding_resource, rotation_resource
from shared.contracts.secret_bindings import SecretBinding, SecretRotation
from shared.kernel.context import Context


async def get_binding(
    binding_id: str, ctx: Context, app: SecretBindingsApp
) -> tuple[SecretBinding, str]:
    """Return a binding with its etag. Raises BindingNotFound."""
    binding, etag = await load_binding(binding_id, ctx, app)
    return binding_resource(binding), etag


async def get_rotation(rotation_id: str, ctx: Context, app: SecretBindingsApp) -> SecretRotation:
    """Return a rotation with its consumers. Raises RotationNotFound."""
    state = await load_rotation(rotation_id, ctx, app)
    return rotation_resource(state.rotation, state.head)
