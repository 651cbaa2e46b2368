"""The activities that take a tenant's isolation away: wait for the drain, delete, tell of it."""

from dataclasses import replace

from function_apps.environments.activities.inputs import DrainWait
from function_apps.environments.activities.isolate_tenant import (
    boundaries_on,
    boundary_spec,
    commit_isolation,
    forget_bound,
)
from function_apps.environments.model.tenant_isolation import TenantIsolation
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.repository import ISOLATIONS, environment_of
from function_apps.environments.use_cases.record_drained import drained_event
from shared.contracts.environments import IsolationState
from shared.contracts.isolation import Quota
from shared.durable.activity import ActivityContext, Step, commit_step, load_owned
from shared.kernel.ids import EnvironmentId, TenantId
from shared.kernel.operation import Operation


async def await_tenant_drain(ctx: ActivityContext, app: EnvironmentsApp) -> DrainWait:
    """Commit the name of the event that is waited for; return it, and until when to wait.

    What the tenant runs in an environment of its own stays: there is nothing to wait for.
    """
    name, until = drained_event(ctx.operation_id), ctx.now() + app.rules.drain_timeout

    def decide(_isolation: TenantIsolation, operation: Operation) -> Step[DrainWait]:
        begun = operation.begin_step("drain", ctx.now(), percent=10)
        return Step(DrainWait(name, until), begun.wait("drain", name, ctx.now()))

    wait = await commit_step(ctx, app, ISOLATIONS, decide)
    isolation = await load_owned(ISOLATIONS, ctx, app)
    is_over = isolation.drained or not isolation.is_foreign
    return DrainWait(name, None) if is_over else wait


async def remove_boundaries(ctx: ActivityContext, app: EnvironmentsApp) -> None:
    """Delete the tenant's boundaries in the environment of another one; its own lose the quota.

    Raises:
        Unavailable: see `boundaries_on`.
    """
    isolation = await load_owned(ISOLATIONS, ctx, app)
    environment = await environment_of(isolation, app)
    if environment is None:
        return
    fence = ctx.fence(isolation)
    for boundaries in boundaries_on(environment, app).values():
        if isolation.is_foreign:
            tenant = TenantId(isolation.tenant_id)
            await boundaries.delete_boundary(EnvironmentId(isolation.environment_id), tenant, fence)
        else:
            await boundaries.ensure_boundary(boundary_spec(isolation, Quota()), fence)
    if isolation.is_foreign:
        await forget_bound(isolation, ctx, app)


async def complete_removal(ctx: ActivityContext, app: EnvironmentsApp) -> None:
    """Record that nothing of the isolation is left, and publish it to the tenant."""

    def after(isolation: TenantIsolation) -> TenantIsolation:
        return replace(
            isolation,
            state=IsolationState.REMOVED,
            targets=(),
            namespace=None,
            identity=None,
            reason=None,
            failures=0,
            due_at=None,
        )

    await commit_isolation(after, None, ctx, app)
