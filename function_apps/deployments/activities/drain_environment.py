"""An environment that is being decommissioned: rollouts are canceled, workloads are removed."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeVar

from function_apps.deployments.activities.keep_output import Removed, keep_output
from function_apps.deployments.activities.observe_surface import (
    observe_or_raise,
    poll_until,
    surfaces_of,
)
from function_apps.deployments.errors import DeploymentMissing, DrainIncomplete, NotCancellable
from function_apps.deployments.events import alert_cleared
from function_apps.deployments.model import alerts
from function_apps.deployments.model.deployment_target import DeploymentTarget, DrainClaim, emptied
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import TARGETS
from function_apps.deployments.use_cases.cancel import cancel
from shared.contracts.deployments import DeploymentReason, RuntimeEnvironmentDrained
from shared.durable.activity import (
    ActivityContext,
    FailureReason,
    Step,
    commit_documents,
    require_ownership,
)
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Unavailable
from shared.kernel.ids import EnvironmentId
from shared.kernel.observation import Absent, Present, Unknown
from shared.kernel.operation import Operation, OperationSuperseded
from shared.messaging.outbox import Audited, Publish
from shared.persistence.store import UnreadableDocument
from shared.surfaces.observed_state import LiveComponent
from shared.surfaces.port import Surface
from shared.surfaces.spec import SurfaceComponent

T = TypeVar("T")
_log = logging.getLogger(__name__)
PAGE_SIZE: Final = 25
"""Deployments that one activity cancels, and workloads of one surface that it removes."""


@dataclass(frozen=True)
class OwnedTarget:
    """The target of an environment, and the drain that owns it."""

    target: DeploymentTarget
    drain: DrainClaim

    @property
    def operation_id(self) -> str:
        return self.drain.operation


async def begin_drain(ctx: ActivityContext, app: DeploymentsApp) -> float:
    """Begin to drain the generation that goes; return how many seconds rollbacks get to end."""
    rollback_s = app.rules.drain_rollback.total_seconds()

    def decide(_owned: OwnedTarget, operation: Operation) -> Step[float]:
        begun = operation.begin_step("cancel deployments", ctx.now(), percent=5)
        audited = Audited("BeginDrain", ctx.aggregate_id)
        return Step(rollback_s, begun, audited=audited)

    return await _commit(ctx, app, decide)


async def cancel_page(ctx: ActivityContext, app: DeploymentsApp) -> int:
    """Cancel up to 25 deployments in the queue; return how many the whole queue had.

    One that turned out to be gone, or cannot be read, is not counted: it leaves the queue at the
    end of the drain.
    """
    target = await _owned(ctx, app)
    command = DeploymentReason(reason="its environment is being decommissioned")
    asked = lost = 0
    for entry in target.queue:
        if asked == PAGE_SIZE:
            break
        try:
            await cancel(entry.deployment, command, ctx, app)
        except (DeploymentMissing, UnreadableDocument):
            _log.exception("%s is left out of the drain", entry.deployment)
            lost += 1
        except NotCancellable:
            asked += 1  # it ended between the read and now
        else:
            asked += 1
    return len(target.queue) - lost


async def acquire_drain_fence(ctx: ActivityContext, app: DeploymentsApp) -> int:
    """Take, once, a token above those of all deployments, and return it."""

    def decide(owned: OwnedTarget, operation: Operation) -> Step[int]:
        target = owned.target
        token = target.fence + 1
        claimed = replace(target, fence=token, drain=replace(owned.drain, token=token))
        audited = Audited("AcquireDrainFence", ctx.aggregate_id)
        return Step(token, operation, [TARGETS.put(claimed)], audited=audited)

    return await _commit(ctx, app, decide)


async def drain_page(token: int, ctx: ActivityContext, app: DeploymentsApp) -> bool:
    """Remove up to 25 workloads of the tenant; return whether none is left.

    Whether the drain still has the environment is asked before their output is kept, and before
    each is removed: all that may take its time.
    """
    fence = ctx.fence_of(token)
    target = await _target(ctx, app)
    for surface in surfaces_of(target, app):
        workloads = await _workloads(surface, target, ctx)
        await _owned(ctx, app)
        page = workloads[:PAGE_SIZE]
        removed = [
            Removed(each.component, revision) for each in page for revision in each.revisions
        ]
        await keep_output(removed, surface, fence, ctx, app)
        for live in page:
            await _owned(ctx, app)
            if live.weights:
                await surface.set_weights(live.component, {}, fence)
            for revision in live.revisions:
                await surface.remove(live.component, revision.revision, fence)
        for live in page:
            await _wait_until_gone(surface, live, app)
        if len(workloads) > PAGE_SIZE:
            return False
    return True


async def _target(ctx: ActivityContext, app: DeploymentsApp) -> DeploymentTarget:
    """Return the target, with the surfaces that its environment offers.

    A site that the environment lost took its workloads along.
    """
    return await app.service.work.load(TARGETS, ctx.aggregate_id, ctx.tenant)


async def _workloads(
    surface: Surface, target: DeploymentTarget, ctx: ActivityContext
) -> list[LiveComponent]:
    environment = EnvironmentId(ctx.aggregate_id)
    own = [SurfaceComponent(environment, ctx.tenant, each).service for each in target.modules]
    match await surface.inventory(environment):
        case Present(inventory) if inventory.is_complete:
            return [live for live in inventory.components if live.component.tenant == ctx.tenant]
        case Present(inventory):
            reasons = inventory.unread_because(own)
            raise Unavailable(f"{ctx.aggregate_id} cannot be listed: {reasons}")
        case Absent():
            return []
        case Unknown(reason):
            raise Unavailable(f"{ctx.aggregate_id} cannot be listed: {reason}")


async def _wait_until_gone(surface: Surface, live: LiveComponent, app: DeploymentsApp) -> None:
    async def is_gone() -> bool:
        return await observe_or_raise(surface, live.component) is None

    if not await poll_until(bool, is_gone, app):
        raise Unavailable(f"{live.component.module} is still draining")


async def publish_drained(ctx: ActivityContext, app: DeploymentsApp) -> None:
    """Record that nothing is in force here, and publish it to environments; once.

    Raises:
        DrainIncomplete: workloads are left.
    """
    remaining: list[str] = []
    target = await _target(ctx, app)
    for surface in surfaces_of(target, app):
        remaining += [live.component.module for live in await _workloads(surface, target, ctx)]
    if remaining:
        raise DrainIncomplete(ctx.aggregate_id, remaining)

    def decide(owned: OwnedTarget, operation: Operation) -> Step[None]:
        target, environment_id = owned.target, EnvironmentId(ctx.aggregate_id)
        removed = sum(1 for state in target.modules.values() if state.revision)
        after = replace(emptied(target), revision=target.revision + 1, drain=None)
        drained = RuntimeEnvironmentDrained(
            aggregate_id=TARGETS.document_id(environment_id),
            revision=after.revision,
            environment_id=environment_id,
            generation=owned.drain.generation,
            removed=removed,
        )
        ended = alerts.ended_alerts(target, after)
        cleared = [alert_cleared(each, target, ctx.tenant, ctx.now()) for each in ended]
        result = {"environmentId": environment_id, "removed": removed}
        return Step(
            None,
            operation.succeed(result, ctx.now()),
            [TARGETS.put(after)],
            [Publish(drained, project=target.project), *cleared],
            Audited("DrainEnvironment", environment_id, "Drained"),
        )

    await _commit(ctx, app, decide)


async def record_drain_failure(
    reason: FailureReason, ctx: ActivityContext, app: DeploymentsApp
) -> None:
    """End the drain; environments destroys the stack when its time for the drain is over."""

    def decide(owned: OwnedTarget, operation: Operation) -> Step[None]:
        after = replace(owned.target, drain=None)
        failed = operation.fail(reason.code, reason.message, ctx.now())
        audited = Audited("DrainEnvironment", ctx.aggregate_id, reason.code)
        return Step(None, failed, [TARGETS.put(after)], audited=audited)

    await _commit(ctx, app, decide)


async def _owned(ctx: ActivityContext, app: DeploymentsApp) -> DeploymentTarget:
    """Return the target. Raises OperationSuperseded when another drain, or generation, has it."""
    target = await app.service.work.load(TARGETS, ctx.aggregate_id, ctx.tenant)
    require_ownership(_owned_target(target, ctx), ctx)
    return target


def _owned_target(target: DeploymentTarget, ctx: ActivityContext) -> OwnedTarget:
    """Return *target* with the drain that has it.

    Raises:
        OperationSuperseded: there is none any more, or it is of an earlier generation.
    """
    drain, environment = target.drain, target.environment
    if drain is None or (environment and environment.generation != drain.generation):
        raise OperationSuperseded(ctx.operation_id, f"a later event of {target.environment_id}")
    return OwnedTarget(target, drain)


async def _commit(
    ctx: ActivityContext,
    app: DeploymentsApp,
    decide: Callable[[OwnedTarget, Operation], Step[T]],
) -> T:
    return await commit_documents(
        ctx,
        app,
        [TARGETS.document_id(ctx.aggregate_id)],
        lambda view: _owned_target(view.get(TARGETS, ctx.aggregate_id), ctx),
        decide,
    )
