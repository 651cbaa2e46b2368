"""Abandon an operation of health, which nothing else can end."""

from function_apps.health.events import gate_completed
from function_apps.health.model import gates
from function_apps.health.model.gate_record import gate_evidence
from function_apps.health.ports import HealthApp
from function_apps.health.repository import GATES
from shared.contracts.values import Reason
from shared.durable.abandon import Freed, abandon
from shared.kernel.clock import isoformat
from shared.kernel.context import Context
from shared.kernel.operation import Operation
from shared.messaging.unit_of_work import Json, Outcome, View


async def abandon_operation(
    operation: Operation, ctx: Context, app: HealthApp, reason: Reason | None = None
) -> Outcome[Json]:
    """End *operation* as Failed; its gate is answered as Inconclusive.

    Where the gate is gone, cannot be read or has a verdict, the operation ends alone.
    """
    gate_id, operation_id = operation.aggregate_id, operation.operation_id

    def free(view: View, _why: Reason) -> Freed:
        record = view.readable(GATES, gate_id)
        is_owner = record is not None and record.operation_id == operation_id
        if record is None or not is_owner or record.verdict is not None:
            return Freed()
        evidence = gate_evidence(
            record.gate, gates.begin(record.gate, isoformat(ctx.now())), ctx.now()
        )
        decided = record.decided(evidence)
        return Freed([GATES.put(decided)], [gate_completed(decided)])

    return await abandon(operation, ctx, app, reason, reads=[GATES.document_id(gate_id)], free=free)
