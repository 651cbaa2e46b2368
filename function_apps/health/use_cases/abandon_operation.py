"""Abandon an operation of health, which nothing else can end."""

from function_apps.health import repository
from function_apps.health.model import gates
from function_apps.health.model.gate_record import gate_evidence
from function_apps.health.ports import HealthApp
from shared.contracts.values import Reason
from shared.durable.operations import (
    abandon,
    aggregate_of,
    audited_end,
    if_readable,
    operation_document,
    stored_operation,
)
from shared.kernel.clock import isoformat
from shared.kernel.context import Context
from shared.kernel.operation import Operation
from shared.messaging.unit_of_work import Decision, Json, Outcome, View
from shared.persistence.store import partition_of


async def abandon_operation(
    operation: Operation, ctx: Context, app: HealthApp, reason: Reason | None = None
) -> Outcome[Json]:
    """End *operation* as Failed; its gate is answered as Inconclusive, so the rollout goes on.

    Where the gate is gone or cannot be read, the operation ends alone.
    """
    identity = aggregate_of(operation)

    def decide(view: View) -> Decision[Json]:
        ended, write = abandon(stored_operation(view, operation.operation_id), ctx, reason)
        record = if_readable(lambda: repository.find_gate(view, identity))
        audited = audited_end(operation, reason)
        if record is None:
            return Decision(ended, writes=[write], audited=audited)
        evidence = gate_evidence(record.gate, gates.begin(isoformat(ctx.now())), ctx.now())
        decided = record.decided(evidence)
        return Decision(
            ended,
            writes=[write, repository.put_gate(decided, app)],
            outbox=[repository.publish_gate(decided)],
            audited=audited,
        )

    # The operation first: it is what `If-Match` is about.
    ids = [operation_document(operation.operation_id), repository.gate_document(identity)]
    partition = partition_of(ctx.tenant, operation.operation_id)
    return await app.service.work.commit(ctx, partition, ids, decide)
