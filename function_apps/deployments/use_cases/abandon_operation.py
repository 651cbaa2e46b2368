"""Abandon: end an operation that nothing else can end, and free what it holds."""

from dataclasses import replace

from function_apps.deployments import repository
from function_apps.deployments.model.deployment import evolve
from function_apps.deployments.model.lifecycle import (
    BEFORE_APPLIED,
    ENDINGS,
    Rejected,
    RestoreFailed,
    RollbackBegan,
)
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import DeploymentSet
from shared.contracts.deployments import DeploymentStatus, EndReason
from shared.contracts.releases import Proof, ReleaseUnit
from shared.contracts.values import Reason
from shared.durable.operations import (
    abandon,
    abandoned_by,
    audited_end,
    operation_document,
    stored_operation,
)
from shared.kernel.context import Context
from shared.kernel.ids import EnvironmentId
from shared.kernel.operation import Operation
from shared.messaging.outbox import Row
from shared.messaging.unit_of_work import Decision, Json, Outcome, Put, View
from shared.persistence.store import partition_of


async def abandon_rollout(
    operation: Operation, ctx: Context, app: DeploymentsApp, reason: Reason | None = None
) -> Outcome[Json]:
    """End *operation*; a deployment that it owns ends Failed and leaves its queues.

    Nothing is rolled back: `remaining` says so, and the deployment can be retried. Without *reason*
    an administrator gave it up.
    """
    deployment = str(operation.input["aggregateId"])

    def decide(view: View) -> Decision[Json]:
        answer, write = abandon(stored_operation(view, operation.operation_id), ctx, reason)
        known = repository.stored_set(view, deployment)
        rows: list[Row] = []
        writes: list[Put] = [write]
        is_owner = known.operation_id == operation.operation_id
        if is_owner and known.deployment.status not in ENDINGS:
            after, rows = _failed(known, reason or abandoned_by(ctx), ctx)
            writes += repository.changed(known, after)
        audited = audited_end(operation, reason)
        return Decision(answer, writes=writes, outbox=rows, audited=audited)

    # The operation first: it is what `If-Match` is about.
    ids = [operation_document(operation.operation_id), *repository.set_documents(deployment)]
    return await app.service.work.commit(ctx, partition_of(ctx.tenant, deployment), ids, decide)


def _failed(known: DeploymentSet, why: Reason, ctx: Context) -> tuple[DeploymentSet, list[Row]]:
    deployment, now = known.deployment, ctx.now()
    reason = EndReason(code=why.code, message=why.message)
    if deployment.status in BEFORE_APPLIED:
        failed = evolve(deployment, Rejected(reason), now)
        return repository.leave_queue(failed, known.target, ctx)
    if deployment.status is not DeploymentStatus.ROLLING_BACK:
        began = RollbackBegan(reason, deployment.operation_id, deployment.token)
        deployment = evolve(deployment, began, now)
    remaining = tuple(f"{module}: left as it was" for module in deployment.modules)
    nothing = Proof(instances=(), total=0, whole=False, blob=None)
    restored = ReleaseUnit(components=tuple(deployment.previous))
    failed = evolve(deployment, RestoreFailed(nothing, restored, reason, (), remaining), now)
    return repository.leave_queue(failed, known.target, ctx)


async def abandon_drain(
    operation: Operation, ctx: Context, app: DeploymentsApp, reason: Reason | None = None
) -> Outcome[Json]:
    """End *operation*, a drain; environments destroys the stack when its time for it is over."""
    environment = EnvironmentId(str(operation.input["aggregateId"]))

    def decide(view: View) -> Decision[Json]:
        answer, write = abandon(stored_operation(view, operation.operation_id), ctx, reason)
        target = repository.stored_target(view, environment)
        writes: list[Put] = [write]
        if target.drain is not None and target.drain.operation == operation.operation_id:
            writes.append(repository.put(replace(target, drain=None)))
        return Decision(answer, writes=writes, audited=audited_end(operation, reason))

    ids = [operation_document(operation.operation_id), repository.target_document(environment)]
    return await app.service.work.commit(ctx, partition_of(ctx.tenant, environment), ids, decide)
