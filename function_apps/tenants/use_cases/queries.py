"""Reads of tenants: bindings with their proofs and their reports, and the keys of reports."""

from collections.abc import Sequence
from typing import Final

from function_apps.tenants.errors import ErasureNotReported
from function_apps.tenants.model.environment import EnvironmentProjection
from function_apps.tenants.ports import TenantsApp
from function_apps.tenants.repository import BINDINGS, ENVIRONMENTS, load_binding, read_binding
from function_apps.tenants.resources import binding_resource, erasure_shown, proof_shown
from shared.contracts.tenants import (
    ErasureReport,
    IsolationProofs,
    RuntimeTenantBinding,
    SigningKeySet,
    TenantBindingStatus,
)
from shared.kernel.concurrency import bounded_map
from shared.kernel.context import Context
from shared.kernel.errors import NotFound
from shared.kernel.ids import TENANT, TenantId, parse_id, tenant_binding_id
from shared.persistence.query_rules import no_continuation
from shared.persistence.store import Document

_AT_ONCE: Final = 16
"""Bindings of an environment that are read together: each is in a partition of its own."""


async def list_own_bindings(
    environment_id: str | None,
    ctx: Context,
    app: TenantsApp,
    *,
    limit: int,
    continuation: str | None,
) -> tuple[Sequence[RuntimeTenantBinding], str | None] | None:
    """Return the bindings to an environment of *limit* tenants, and the continuation of the next.

    None where no environment is named that the caller's tenant owns.

    Raises:
        Invalid: the continuation is none of this list.
    """
    environment = await _own_environment(environment_id, ctx, app) if environment_id else None
    if environment is None:
        return None
    if continuation and not TENANT.fullmatch(continuation):
        raise no_continuation(continuation)
    return await _bindings_to(environment, continuation or "", limit, app)


async def _own_environment(
    environment_id: str, ctx: Context, app: TenantsApp
) -> EnvironmentProjection | None:
    """Return the environment with that id where the caller's tenant owns it."""
    try:
        known = await app.service.work.find(ENVIRONMENTS, environment_id, ctx.tenant)
    except NotFound:
        return None  # no id
    return known if known is not None and known.owner == ctx.tenant else None


async def _bindings_to(
    environment: EnvironmentProjection, after: str, top: int, app: TenantsApp
) -> tuple[Sequence[RuntimeTenantBinding], str | None]:
    """Return the bindings to *environment* of *top* tenants after the one called *after*.

    With them comes the last of these tenants, None where there are no more.
    """
    key = parse_id(environment.environment_id, "env").environment
    tenants = [tenant for tenant in environment.who_may_be_bound if tenant > after]
    page = tenants[:top]

    async def read(tenant: str) -> Document | None:
        return await read_binding(tenant_binding_id(key, TenantId(tenant)), tenant, app)

    documents = filter(None, await bounded_map(page, read, at_once=_AT_ONCE))
    shown = BINDINGS.shown(list(documents), lambda _, binding: binding_resource(binding))
    return shown, page[-1] if len(page) < len(tenants) else None


async def get_binding(
    binding_id: str, named: str | None, ctx: Context, app: TenantsApp
) -> tuple[RuntimeTenantBinding, str]:
    """Return a binding with its etag; of the tenant *named* to the environment's owner.

    Raises:
        TenantBindingNotFound: see there.
    """
    binding, etag = await load_binding(binding_id, named, ctx, app)
    return binding_resource(binding), etag


async def get_proofs(
    binding_id: str, named: str | None, ctx: Context, app: TenantsApp
) -> IsolationProofs:
    """Return the last proof of each layer. Raises TenantBindingNotFound."""
    binding, _ = await load_binding(binding_id, named, ctx, app)
    shown = tuple(proof_shown(each) for each in binding.proofs)
    return IsolationProofs(binding_id=binding.binding_id, value=shown)


async def get_erasure_report(
    binding_id: str, named: str | None, ctx: Context, app: TenantsApp
) -> ErasureReport:
    """Return the signed report of the last time that the tenant was unbound.

    Raises:
        TenantBindingNotFound: see there.
        ErasureNotReported: there is none, or something of the tenant is left or was not seen.
    """
    binding, _ = await load_binding(binding_id, named, ctx, app)
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
