"""Whose binding a command is about, and who gives it: the tenant, or the environment's owner."""

from dataclasses import replace

from function_apps.tenants.errors import ForeignTenant, TenantBindingNotFound
from function_apps.tenants.model.binding import Suspender, TenantBinding
from function_apps.tenants.repository import BINDINGS
from shared.kernel.context import ADMIN, Context
from shared.kernel.ids import TenantId
from shared.messaging.unit_of_work import View


def of_bound_tenant(named: str | None, ctx: Context) -> Context:
    """Return *ctx* for the data of the tenant that is *named*, by default the caller's.

    Raises:
        ForeignTenant: another tenant is named without `runtime.admin`.
    """
    if named is None or named == ctx.tenant:
        return ctx
    if not ctx.scope.allows(ADMIN):
        raise ForeignTenant(named)
    return replace(ctx, scope=replace(ctx.scope, tenant=TenantId(named)))


def own_binding(view: View, binding_id: str, ctx: Context) -> TenantBinding:
    """Return a binding that the caller of *ctx* is in, or whose environment it owns.

    Raises:
        TenantBindingNotFound: there is none, or it is neither.
    """
    known = view.get(BINDINGS, binding_id)
    if not known.is_known_to(ctx.tenant):
        raise TenantBindingNotFound(binding_id)
    return known


def caller_of(ctx: Context) -> Suspender:
    return Suspender(ctx.tenant, ctx.scope.caller)
