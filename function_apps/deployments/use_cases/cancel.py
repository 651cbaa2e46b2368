"""Cancel: stop a deployment, at once while nothing was applied, else by rolling it back."""

from collections.abc import Callable

from function_apps.deployments import repository
from function_apps.deployments.model.deployment import Deployment, evolve
from function_apps.deployments.model.interruption import (
    Interruption,
    begin_rollback,
    cancellation_of,
    warnings_of,
)
from function_apps.deployments.model.lifecycle import ENDINGS, Cancelled
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import DeploymentSet
from function_apps.deployments.resources import answer
from function_apps.deployments.use_cases.plan_warnings import LISTED_MAX
from shared.contracts.deployments import DeploymentReason, EndReason
from shared.contracts.values import TEXT_MAX
from shared.durable.operations import (
    OPERATIONS,
    OperationKind,
    begin_operation,
    close_superseded,
)
from shared.kernel.context import Context, NewIds
from shared.kernel.operation import Operation, OperationAlreadyEnded, OperationSuperseded
from shared.messaging.outbox import Audited, Raise, Row
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View


async def cancel(
    deployment_id: str, command: DeploymentReason, ctx: Context, app: DeploymentsApp
) -> Outcome[Json]:
    """Stop a deployment; what was applied is rolled back, and no hold is left.

    Raises:
        NotCancellable: it has ended.
    """
    decide = decided_on(deployment_id, command, ctx, app)
    return await repository.change(deployment_id, ctx, app, decide)


def decided_on(
    deployment_id: str, command: DeploymentReason, ctx: Context, app: DeploymentsApp
) -> Callable[[View], Decision[Json]]:
    """Return what decides on a cancellation. Raises as `cancel`."""
    ids = NewIds.draw(ctx, app.service.public_name, deployment_id)

    def decide(view: View) -> Decision[Json]:
        known = repository.stored_set(view, deployment_id)
        return _canceled(known, command.reason or "a caller asked for it", view, ids, ctx)

    return decide


async def cancel_operation(
    operation: Operation, ctx: Context, app: DeploymentsApp
) -> Outcome[Json]:
    """Cancel the deployment that *operation* works on.

    Raises:
        OperationAlreadyEnded: it has ended; its deployment may be on its way under another one.
        OperationSuperseded: another operation has its deployment.
    """
    deployment_id, operation_id = operation.aggregate_id, operation.operation_id
    ids = NewIds.draw(ctx, app.service.public_name, deployment_id)

    def decide(view: View) -> Decision[Json]:
        stored = view.get(OPERATIONS, operation_id)
        if stored.is_terminal:
            raise OperationAlreadyEnded(stored)
        known = repository.stored_set(view, deployment_id)
        if known.operation_id != operation_id:
            raise OperationSuperseded(operation_id, known.operation_id)
        return _canceled(known, f"operation {operation_id} was canceled", view, ids, ctx)

    # The operation is what `If-Match` is about.
    return await app.service.work.change(
        ctx, OPERATIONS, operation_id, decide, also=repository.set_documents(deployment_id)
    )


async def stop(
    deployment_id: str,
    why: str,
    applies: Callable[[Deployment], bool],
    ctx: Context,
    app: DeploymentsApp,
) -> None:
    """Cancel a deployment that a service had asked for; nothing where that no longer *applies*."""
    ids = NewIds.draw(ctx, app.service.public_name, deployment_id)

    def decide(view: View) -> Decision[Json]:
        known = repository.stored_set(view, deployment_id)
        if known.deployment.status in ENDINGS or not applies(known.deployment):
            return NOTHING
        return _canceled(known, why[:TEXT_MAX], view, ids, ctx)

    await repository.change(deployment_id, ctx, app, decide)


def _canceled(
    known: DeploymentSet, message: str, view: View, ids: NewIds, ctx: Context
) -> Decision[Json]:
    interruption = cancellation_of(known.deployment)
    reason = EndReason(code="Cancelled", message=message)
    return interrupt(known, interruption, reason, view, ids, ctx, kind=repository.CANCEL)


def interrupt(
    known: DeploymentSet,
    interruption: Interruption,
    reason: EndReason,
    view: View,
    ids: NewIds,
    ctx: Context,
    *,
    kind: OperationKind,
) -> Decision[Json]:
    """Stop a deployment in the way of *interruption*, for *reason*."""
    match interruption:
        case Interruption.NONE:
            warnings = warnings_of(known.deployment, known.target.facts)[:LISTED_MAX]
            return Decision(answer(known.deployment, known.target, warnings), is_repeat=True)
        case Interruption.CANCEL:
            return _end(known, reason, view, ctx)
        case Interruption.ROLL_BACK:
            return _roll_back(known, reason, view, ids, ctx, kind)


def _end(known: DeploymentSet, reason: EndReason, view: View, ctx: Context) -> Decision[Json]:
    """End a deployment of which nothing was applied, and its operation with it."""
    canceled = evolve(known.deployment, Cancelled(reason), ctx.now())
    after, rows = repository.leave_queue(canceled, known.target, ctx)
    entry = known.target.entry(canceled.deployment_id)
    if entry is not None and entry.wait:
        rows.append(Raise(entry.operation, entry.wait))
    return Decision(
        answer(canceled, after.target),
        writes=[
            *repository.changed(known, after),
            *repository.close_operation(view, canceled, ctx),
        ],
        outbox=rows,
        audited=Audited(
            "CancelDeployment", canceled.deployment_id, canceled.status, reason=reason.message
        ),
    )


def _roll_back(
    known: DeploymentSet,
    reason: EndReason,
    view: View,
    ids: NewIds,
    ctx: Context,
    kind: OperationKind,
) -> Decision[Json]:
    """Roll a deployment back under a new operation and token; the one at work is closed."""
    before, new_id = known.deployment, ids.operation_id
    interrupted, target = begin_rollback(before, known.target, reason, new_id, ids.now)
    operation, start = begin_operation(
        kind,
        before.deployment_id,
        f"/v1/runtime/deployments/{before.deployment_id}",
        ids,
        ctx,
    )
    rows: list[Row] = [start]
    if before.wait_name:
        rows.append(Raise(before.operation_id, before.wait_name))
    warnings = warnings_of(interrupted, target.facts)[:LISTED_MAX]
    return Decision(
        answer(interrupted, target, warnings),
        writes=[
            *repository.changed(known, DeploymentSet(target, interrupted)),
            OPERATIONS.put(operation),
            *close_superseded(view, before.operation_id, new_id, ids.now),
        ],
        outbox=rows,
        audited=Audited(kind.name, before.deployment_id, interrupted.status, reason=reason.message),
    )
