"""Abandon: end an operation that nothing else can end, and free its environment."""

from function_apps.environments import repository
from function_apps.environments.model.environment import evolve, failure
from function_apps.environments.model.lifecycle import IN_FLIGHT
from function_apps.environments.ports import EnvironmentsApp
from shared.contracts.values import Reason
from shared.durable.operations import (
    abandon,
    abandoned_by,
    audited_end,
    operation_document,
    stored_operation,
)
from shared.kernel.context import Context
from shared.kernel.operation import Operation
from shared.messaging.unit_of_work import Decision, Json, Outcome, View
from shared.persistence.store import partition_of


async def abandon_operation(
    operation: Operation, ctx: Context, app: EnvironmentsApp, reason: Reason | None = None
) -> Outcome[Json]:
    """End *operation* as Failed; an environment that it owns fails too, and can be retried.

    Without *reason* an administrator gave it up.
    """
    identity = str(operation.input["aggregateId"])

    def decide(view: View) -> Decision[Json]:
        ended, write = abandon(stored_operation(view, operation.operation_id), ctx, reason)
        known = repository.stored(view, identity)
        audited = audited_end(operation, reason)
        if known.operation_id != operation.operation_id or known.status not in IN_FLIGHT:
            return Decision(ended, writes=[write], audited=audited)
        failed = evolve(
            known, failure(known, reason or abandoned_by(ctx), known.remaining), ctx.now()
        )
        return Decision(
            ended,
            writes=[write, repository.put(failed)],
            outbox=[repository.publish(failed)],
            audited=audited,
        )

    # The operation first: it is what `If-Match` is about.
    ids = [operation_document(operation.operation_id), repository.document_id(identity)]
    return await app.service.work.commit(ctx, partition_of(ctx.tenant, identity), ids, decide)
