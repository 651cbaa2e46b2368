"""Abandon: end an operation that nothing else can end, and free its aggregate in the same batch."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from shared.contracts.values import Reason
from shared.durable.activity import REASON_MAX, ActivityContext, FailureReason
from shared.durable.operations import OPERATIONS
from shared.durable.orchestration import Activity
from shared.durable.recovery import end_or_postpone
from shared.kernel.context import Context
from shared.kernel.dataclass import dataclass
from shared.kernel.operation import ABANDONED, Operation, OperationAlreadyEnded
from shared.messaging.outbox import Audited, Row
from shared.messaging.service_parts import App, ServiceParts
from shared.messaging.unit_of_work import Decision, Json, Outcome, View
from shared.persistence.codec import Put


@dataclass(frozen=True)
class Freed:
    """The writes and the rows that free an aggregate, and what is done once they are committed."""

    writes: Sequence[Put] = ()
    rows: Sequence[Row] = ()
    then: Callable[[], Awaitable[object]] | None = None


class AbandonOperation(Protocol):
    """The use case that ends an operation as Failed and frees its aggregate, in one batch.

    Without *reason* an administrator gave the operation up. Raises OperationAlreadyEnded.
    """

    def __call__(
        self, operation: Operation, ctx: Context, app: Any, reason: Reason | None = None, /
    ) -> Awaitable[Outcome[Json]]: ...


async def abandon(
    operation: Operation,
    ctx: Context,
    app: App[ServiceParts],
    reason: Reason | None,
    *,
    reads: Sequence[str],
    free: Callable[[View, Reason], Freed],
) -> Outcome[Json]:
    """End *operation* as Failed, with what *free* makes of the documents *reads*.

    *free* is given why; without *reason* that an administrator gave the operation up.

    Raises:
        OperationAlreadyEnded: it has ended.
    """
    operation_id = operation.operation_id
    why = reason or Reason(code=ABANDONED, message=f"abandoned by {ctx.cause.actor}")
    audited = (
        Audited("FailOperation", operation_id, why.code)
        if reason
        else Audited("AbandonOperation", operation_id)
    )

    freed = Freed()

    def decide(view: View) -> Decision[Json]:
        nonlocal freed  # the value of the decision is the caller's answer, kept as JSON
        stored = view.get(OPERATIONS, operation_id)
        if stored.is_terminal:
            raise OperationAlreadyEnded(stored)
        failed = stored.fail(why.code, why.message, ctx.now())
        freed = free(view, why)
        writes = [OPERATIONS.put(failed), *freed.writes]
        return Decision({"operationId": operation_id}, writes, freed.rows, audited)

    # The operation is what `If-Match` is about.
    outcome = await app.service.work.change(ctx, OPERATIONS, operation_id, decide, also=reads)
    if freed.then is not None:
        await freed.then()
    return outcome


async def abandon_alone(
    operation: Operation, ctx: Context, app: App[ServiceParts], reason: Reason | None = None
) -> Outcome[Json]:
    """End an operation that holds no aggregate."""
    return await abandon(operation, ctx, app, reason, reads=(), free=lambda _view, _why: Freed())


def fail_operation_by(abandon_by_kind: Mapping[str, AbandonOperation]) -> Activity[None]:
    """Return the activity `fail_operation` of a service, for operations of those kinds."""

    async def fail_operation(
        reason: FailureReason, ctx: ActivityContext, app: App[ServiceParts]
    ) -> None:
        """End the operation as Failed where its orchestration could not even record a failure.

        Its aggregate is freed in the same batch: both or neither.
        """
        document_id = OPERATIONS.document_id(ctx.operation_id)
        view = await app.service.work.read(ctx.partition, document_id)
        operation = view.get(OPERATIONS, ctx.operation_id)
        shown = Reason(code=reason.code, message=reason.message[:REASON_MAX])
        ending = abandon_by_kind.get(operation.kind, abandon_alone)(operation, ctx, app, shown)
        await end_or_postpone(ending, view.documents[document_id], app.service)

    return fail_operation
