"""EvaluateGate: judge one component of one step of a rollout."""

from function_apps.health.errors import GateConflict
from function_apps.health.model.gate_record import GateRecord
from function_apps.health.ports import HealthApp
from function_apps.health.repository import EVALUATE, GATES
from shared.contracts.gates import EvaluateGate
from shared.durable.operations import OPERATIONS, begin_operation
from shared.kernel.context import Context, NewIds
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View


async def evaluate_gate(command: EvaluateGate, ctx: Context, app: HealthApp) -> Outcome[Json]:
    """Begin to judge a gate; the same command again changes nothing.

    Raises:
        GateConflict: a gate with this id and another content exists.
    """
    gate_id = command.gate_id
    ids = NewIds.draw(ctx, app.service.public_name, gate_id)

    def decide(view: View) -> Decision[Json]:
        known = view.find(GATES, gate_id)
        if known is not None and known.gate != command:
            raise GateConflict(gate_id)
        if known is not None:
            return NOTHING
        operation, start = begin_operation(
            EVALUATE, gate_id, f"/v1/runtime/services/{command.service_id}/health", ids, ctx
        )
        record = GateRecord(command, ids.operation_id)
        return Decision(
            {},
            writes=[GATES.put(record), OPERATIONS.put(operation)],
            outbox=[start],
            audited=Audited(EVALUATE.name, gate_id),
        )

    return await app.service.work.change(ctx, GATES, gate_id, decide)
