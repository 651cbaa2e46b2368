"""Abandon: end an operation that nothing else can end, and free what it holds."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

from function_apps.deployments import repository
from function_apps.deployments.model import interruption, module_queue
from function_apps.deployments.model.deployment import Deployment, evolve
from function_apps.deployments.model.lifecycle import (
    BEFORE_APPLIED,
    ENDINGS,
    Rejected,
    RestoreFailed,
)
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import DEPLOYMENTS, TARGETS, DeploymentSet
from shared.contracts.deployments import DeploymentStatus, EndReason
from shared.contracts.releases import Proof, ReleasedComponent, ReleaseUnit
from shared.contracts.values import ModuleId, Reason
from shared.durable.abandon import Freed, abandon
from shared.durable.operations import OperationInput
from shared.kernel.concurrency import bounded_map, isolate
from shared.kernel.context import Context
from shared.kernel.errors import NotFound, Unavailable
from shared.kernel.fence import Fence
from shared.kernel.observation import Present, Unknown
from shared.kernel.operation import Operation
from shared.messaging.outbox import Row
from shared.messaging.unit_of_work import Json, Outcome, View
from shared.surfaces.errors import NotOwner
from shared.surfaces.observed_state import Phase
from shared.surfaces.port import configured_surface
from shared.surfaces.spec import SurfaceComponent

_OVERTAKE_AT_ONCE: Final = 8
_OVERTAKE_WITHIN_S: Final = 5.0
"""For each module: the operation has ended by then, and its caller waits for the answer."""


async def abandon_rollout(
    operation: Operation, ctx: Context, app: DeploymentsApp, reason: Reason | None = None
) -> Outcome[Json]:
    """End *operation*; a deployment that it owns ends Failed and leaves its queues.

    Nothing is rolled back: `remaining` says so, and the deployment can be retried. A call to a
    surface that is on its way is refused as stale. Where the deployment is gone or cannot be read,
    the operation ends alone. Without *reason* an administrator gave it up.
    """
    deployment_id, operation_id = operation.aggregate_id, operation.operation_id

    def free(view: View, why: Reason) -> Freed:
        known = _readable_set(view, deployment_id)
        if known is None:
            return _dequeued(view, deployment_id, operation_id, ctx)
        if known.operation_id != operation_id or known.deployment.status in ENDINGS:
            return Freed()
        after, rows = _failed(known, why, ctx)
        # One in no queue is of a generation that is gone: its modules are another's by now.
        is_queued = known.target.entry(deployment_id) is not None
        has_calls = known.deployment.status not in BEFORE_APPLIED and is_queued
        overtake = partial(_overtake_calls, after.deployment, app) if has_calls else None
        return Freed(repository.changed(known, after), rows, overtake)

    return await abandon(operation, ctx, app, reason, reads=_documents(deployment_id), free=free)


def _documents(deployment_id: str) -> Sequence[str]:
    """Return the ids of the documents of a deployment; none where its id is damaged."""
    try:
        return repository.set_documents(deployment_id)
    except NotFound:
        return ()


def _readable_set(view: View, deployment_id: str) -> DeploymentSet | None:
    """Return the set in *view*; None where a document of it is lost or damaged."""
    stored = view.readable(DEPLOYMENTS, deployment_id)
    target = view.readable(TARGETS, stored.environment_id) if stored else None
    return DeploymentSet(target, stored) if target and stored else None


def _dequeued(view: View, deployment_id: str, operation_id: str, ctx: Context) -> Freed:
    """Take a deployment that is lost out of its queues: others would wait for it for ever."""
    documents = _documents(deployment_id)
    target = view.readable(TARGETS, repository.environment_of(deployment_id)) if documents else None
    entry = target.entry(deployment_id) if target else None
    if target is None or entry is None or entry.operation != operation_id:
        return Freed()
    after, admitted = module_queue.dequeue(target, deployment_id)
    starts = [
        OperationInput(ctx.tenant, e.deployment).start(repository.ROLL_OUT, e.operation)
        for e in admitted
    ]
    return Freed([TARGETS.put(after)], starts)


def _failed(known: DeploymentSet, why: Reason, ctx: Context) -> tuple[DeploymentSet, list[Row]]:
    deployment, now = known.deployment, ctx.now()
    reason = EndReason(code=why.code, message=why.message)
    if deployment.status in BEFORE_APPLIED:
        failed = evolve(deployment, Rejected(reason), now)
        return repository.leave_queue(failed, known.target, ctx)
    operation_id = deployment.operation_id
    if deployment.status is DeploymentStatus.ROLLING_BACK:
        target, token = module_queue.transfer_ownership(
            known.target, deployment.deployment_id, operation_id
        )
        deployment = replace(deployment, token=token)
    else:
        deployment, target = interruption.begin_rollback(
            deployment, known.target, reason, operation_id, now
        )
    remaining = tuple(f"{module}: left as it was" for module in deployment.modules)
    nothing = Proof(instances=(), total=0, whole=False, blob=None)
    restored = ReleaseUnit(components=tuple(deployment.previous))
    failed = evolve(deployment, RestoreFailed(nothing, restored, reason, (), remaining), now)
    return repository.leave_queue(failed, target, ctx)


async def _overtake_calls(ended: Deployment, app: DeploymentsApp) -> None:
    """Have the surfaces refuse what *ended* has on its way: they learn of a token by a write.

    Where a surface does not answer, the window of one call stays; the deployment has ended.
    """
    fence = Fence(ended.token, ended.operation_id, "abandon")

    async def overtake(module: ModuleId) -> None:
        component = ended.candidate(module) or ended.before(module)
        if component is not None:
            write = _write_nothing(component, ended, fence, app)
            subject = f"overtaking what {ended.deployment_id} has on its way to {module}"
            await isolate(write, subject, within_s=_OVERTAKE_WITHIN_S)

    await bounded_map(ended.modules, overtake, at_once=_OVERTAKE_AT_ONCE)


async def _write_nothing(
    component: ReleasedComponent, ended: Deployment, fence: Fence, app: DeploymentsApp
) -> None:
    """Give the revision of *component* the instances that it has; none where it has none."""
    surface = configured_surface(app.surfaces, component.compute_target)
    number = component.release_revision
    workload = SurfaceComponent(ended.environment_id, ended.tenant_id, component.module_id)
    reading = await surface.observe(workload)
    if isinstance(reading, Unknown):
        raise Unavailable(f"{component.module_id} cannot be observed: {reading.reason}")
    live = reading.value.revision(number) if isinstance(reading, Present) else None
    if live is None or live.phase is Phase.DRAINING:
        await surface.remove(workload, number, fence)
    else:
        with suppress(NotOwner):  # the token is there, and the number is of its rules
            await surface.scale(workload, number, live.replicas, fence)


async def abandon_drain(
    operation: Operation, ctx: Context, app: DeploymentsApp, reason: Reason | None = None
) -> Outcome[Json]:
    """End *operation*, a drain; environments destroys the stack when its time for it is over.

    Where its target cannot be read, the operation ends alone.
    """
    environment_id, operation_id = operation.aggregate_id, operation.operation_id

    def free(view: View, _why: Reason) -> Freed:
        target = view.readable(TARGETS, environment_id)
        if target is None or target.drain is None or target.drain.operation != operation_id:
            return Freed()
        return Freed([TARGETS.put(replace(target, drain=None, fence=target.fence + 1))])

    reads = [TARGETS.document_id(environment_id)]
    return await abandon(operation, ctx, app, reason, reads=reads, free=free)
