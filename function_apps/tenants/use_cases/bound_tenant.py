"""Whose binding a command is about, and who gives it: the tenant, or the environment's owner."""

from collections.abc import Awaitable
from dataclasses import replace

from function_apps.tenants.errors import (
    EnvironmentNotAdmitting,
    ForeignTenant,
    TenantBindingNotFound,
)
from function_apps.tenants.model.binding import Suspender, TenantBinding
from function_apps.tenants.model.environment import EnvironmentProjection
from function_apps.tenants.ports import TenantsApp
from function_apps.tenants.repository import BINDINGS, ENVIRONMENTS
from shared.kernel.context import ADMIN, Context
from shared.kernel.ids import TenantId
from shared.messaging.unit_of_work import Decide, Json, Outcome, View


def of_bound_tenant(named: str | None, ctx: Context) -> Context:
    """Return *ctx* for the data of the tenant that is *named*, by default the caller's.

    A key that answered one tenant there answers no other: what it is told, and whether anything is
    done, is never decided by another's request. The audit trails of both say what comes of it.

    Raises:
        ForeignTenant: another tenant is named without `runtime.admin`.
    """
    if named is None or named == ctx.tenant:
        return ctx
    if not ctx.scope.allows(ADMIN):
        raise ForeignTenant(named)
    marker = ctx.cause.marker and f"{ctx.cause.marker}/{ctx.tenant}"
    return replace(
        ctx,
        scope=replace(ctx.scope, tenant=TenantId(named)),
        cause=replace(ctx.cause, marker=marker, actor_tenant=ctx.tenant),
    )


def own_binding(view: View, binding_id: str, ctx: Context) -> TenantBinding:
    """Return a binding that the caller of *ctx* is in, or whose environment it owns.

    Raises:
        TenantBindingNotFound: there is none, or it is neither.
    """
    known = view.get(BINDINGS, binding_id)
    if not known.is_known_to(ctx.tenant):
        raise TenantBindingNotFound(binding_id)
    return known


async def change_or_plan(
    binding_id: str, decide: Decide[Json], ctx: Context, app: TenantsApp, *, dry_run: bool
) -> Outcome[Json]:
    """Commit what *decide* makes of a binding; of a *dry_run* return its answer, and no more.

    It refuses what the request would be refused for. Raises as `UnitOfWork.change`.
    """
    work = app.service.work
    if not dry_run:
        return await work.change(ctx, BINDINGS, binding_id, decide)
    decided = decide(await work.read_for_plan(BINDINGS, binding_id, ctx))
    decision = await decided if isinstance(decided, Awaitable) else decided
    return Outcome(decision.value, decision.is_repeat)


def caller_of(ctx: Context) -> Suspender:
    return Suspender(ctx.tenant, ctx.scope.caller)


async def admitting_environment(
    identity: str, owner: str, bound: TenantId, app: TenantsApp
) -> EnvironmentProjection:
    """Return the environment that *bound* may be bound to, as its owner was told of it.

    Raises:
        EnvironmentNotAdmitting: *owner* has none such that admits *bound*.
    """
    known = await environment_of_bound(identity, owner, bound, app)
    if not known.admitted(bound):
        raise EnvironmentNotAdmitting(identity, owner, bound)
    return known


async def environment_of_bound(
    identity: str, owner: str, bound: TenantId, app: TenantsApp
) -> EnvironmentProjection:
    """Return the environment of *owner*, also where it admits *bound*, which it has, no longer.

    A bound tenant is told of it too, and is no owner by that.

    Raises:
        EnvironmentNotAdmitting: *owner* has none such.
    """
    known = await app.service.work.find(ENVIRONMENTS, identity, TenantId(owner))
    if known is None or known.owner != owner:
        raise EnvironmentNotAdmitting(identity, owner, bound)
    return known
