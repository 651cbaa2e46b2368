"""How the operations of a service are ended from outside: one `OperationControl` for each kind."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from shared.durable.activity import AbandonOperation
from shared.durable.operations import operation_document, put_operation, stored_operation
from shared.kernel.context import Context
from shared.kernel.operation import Operation, request_cancel
from shared.messaging.outbox import Raise
from shared.messaging.service_parts import App, ServiceParts
from shared.messaging.unit_of_work import Audited, Decision, Json, Outcome, View
from shared.persistence.store import partition_of

EndOperation = Callable[[Operation, Context, Any], Awaitable[Outcome[Any]]]
"""`async def name(operation, ctx, app)`: changes operation and aggregate in one batch.

Refuses an operation that has ended with OperationAlreadyEnded, unless a marker answers first.
"""


@dataclass(frozen=True)
class OperationControl:
    """How the operations of one kind are ended from outside.

    `cancel` is the use case that cancels, `cooperative_cancel`, or the sentence with which it is
    refused. `abandon` ends an operation that nothing else can end, and frees its aggregate.
    """

    cancel: EndOperation | str
    abandon: AbandonOperation


async def cooperative_cancel(
    operation: Operation, ctx: Context, app: App[ServiceParts]
) -> Outcome[Json]:
    """Ask *operation* to stop at its next step: for kinds that stop between two steps."""
    operation_id = operation.operation_id

    def decide(view: View) -> Decision[Json]:
        asked = request_cancel(stored_operation(view, operation_id))
        return Decision(
            {},
            writes=[put_operation(asked)],
            outbox=[Raise(operation_id, asked.wait_name)] if asked.wait_name else [],
            audited=Audited("CancelOperation", operation_id),
        )

    partition = partition_of(ctx.tenant, operation_id)
    document_id = operation_document(operation_id)
    return await app.service.work.commit(ctx, partition, [document_id], decide)
