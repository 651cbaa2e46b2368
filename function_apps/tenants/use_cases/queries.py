"""Reads of tenants: a binding with its proofs and its report, and the keys of reports."""

from function_apps.tenants.errors import ErasureNotReported
from function_apps.tenants.ports import TenantsApp
from function_apps.tenants.repository import load_binding
from function_apps.tenants.resources import binding_resource, erasure_shown, proof_shown
from shared.contracts.tenants import (
    ErasureReport,
    IsolationProofs,
    RuntimeTenantBinding,
    SigningKeySet,
    TenantBindingStatus,
)
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


async def get_erasure_report(binding_id: str, ctx: Context, app: TenantsApp) -> ErasureReport:
    """Return the signed report of the last time that the tenant was unbound.

    Raises:
        TenantBindingNotFound: see there.
        ErasureNotReported: there is none, or something of the tenant is left or was not seen.
    """
    binding, _ = await load_binding(binding_id, ctx, app)
    erasure = binding.erasure
    if erasure is not None and erasure.signed is not None:
        return erasure_shown(erasure.signed)
    if binding.status is not TenantBindingStatus.UNBOUND:
        why = f"it is {binding.status}, and there is one once it is Unbound"
    elif erasure is None:
        why = "it was unbound by a version that made none"
    elif erasure.problems:
        why = "not everything was seen to be gone yet, and it is looked at again"
    else:
        why = "what is left of it is about to be looked at"
    raise ErasureNotReported(binding_id, why, erasure.problems if erasure else ())


async def get_erasure_keys(app: TenantsApp) -> SigningKeySet:
    """Return the public keys that reports are verified with."""
    return SigningKeySet.model_validate({"keys": await app.signing_keys.key_set()})
