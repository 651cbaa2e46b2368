"""How an activity records a step: its aggregate and its operation change in one batch, once.

The operation keeps the key of every piece of work that was recorded, so the same piece run twice,
late, after a crash, or by an orchestration that was started anew finds itself there and changes
nothing. Keys name the work (`conclude_apply`, `set_weight 50`), not its place in the order: a
second run of an orchestration may have fewer steps left to do.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import shared.kernel.operation as operations
from shared.durable.steps import Step
from shared.kernel.errors import Conflict, NotFound
from shared.kernel.operation import Operation
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause
from shared.messaging.legacy_unit_of_work import Decision, Outcome, Put, UnitOfWork, View
from shared.persistence.store import Partition


class OperationOver(Conflict):
    """The operation has ended, so nothing may be done for it any more."""

    code = "OperationOver"


@dataclass(frozen=True)
class Recorded:
    """What a step decides: the aggregate's part of the batch, and the operation after it."""

    decision: Decision
    operation: Operation


async def record(
    work: UnitOfWork,
    step: Step,
    decide: Callable[[View, Operation], Recorded],
    *,
    scope: Scope,
    partition: Partition,
    reads: Sequence[str],
    cause: Cause,
    key: str | None = None,
) -> Outcome:
    """Commit what *decide* makes of the documents and of the operation of *step*, once for *key*.

    *key* is the step's name when not given; an activity that runs more than once in an operation
    says which piece this is. A repeat returns an Outcome with `is_repeat` and an empty result:
    read the state instead.

    Raises:
        OperationOver: the operation has ended.
    """
    document_id = operations.document_id(step.operation_id)
    piece = key or step.name
    repeated = False

    def decide_once(view: View) -> Decision:
        nonlocal repeated
        operation = stored_operation(view, step.operation_id)
        repeated = piece in operation.recorded
        if repeated:
            return Decision()
        if operation.is_terminal:
            raise OperationOver(f"operation {step.operation_id} has ended as {operation.status}")
        recorded = decide(view, operation)
        after = replace(recorded.operation, recorded={**operation.recorded, piece: None})
        writes = [*recorded.decision.writes, Put(document_id, operations.to_body(after))]
        return replace(recorded.decision, writes=writes)

    outcome = await work.write(scope, partition, [*reads, document_id], decide_once, cause)
    return replace(outcome, is_repeat=repeated)


def stored_operation(view: View, operation_id: str) -> Operation:
    """Return the operation in *view*. Raises NotFound."""
    body = view.body(operations.document_id(operation_id))
    if body is None:
        raise NotFound(f"no operation {operation_id!r}")
    return operations.from_body(body)
