"""EvaluateGate: judge one component of one step of a rollout."""

from function_apps.health import repository
from function_apps.health.errors import GateConflict
from function_apps.health.model.gate_record import GateRecord
from function_apps.health.ports import HealthApp
from shared.contracts.gates import EvaluateGate
from shared.durable.operations import OPERATIONS, begin_operation
from shared.kernel.context import Context, NewIds
from shared.messaging.unit_of_work import NOTHING, Audited, Decision, Json, Outcome, View
from shared.persistence.store import partition_of


async def evaluate_gate(command: EvaluateGate, ctx: Context, app: HealthApp) -> Outcome[Json]:
    """Begin to judge a gate; the same command again changes nothing.

    Raises:
        GateConflict: a gate with this id and another content exists.
    """
    identity = command.gate_id
    ids = NewIds.draw(ctx, app.service.public_name, identity)

    def decide(view: View) -> Decision[Json]:
        known = view.find(repository.GATES, identity)
        if known is not None and known.gate != command:
            raise GateConflict(identity)
        if known is not None:
            return NOTHING
        operation, start = begin_operation(
            ctx,
            ids,
            kind="EvaluateGate",
            orchestration=repository.EVALUATE,
            aggregate_id=identity,
            resource=f"/v1/runtime/services/{command.service_id}/health",
        )
        record = GateRecord(command, ids.operation_id)
        return Decision(
            {},
            writes=[repository.put_gate(record, app), OPERATIONS.put(operation)],
            outbox=[start],
            audited=Audited("EvaluateGate", identity),
        )

    partition, reads = partition_of(ctx.tenant, identity), [repository.GATES.document_id(identity)]
    return await app.service.work.commit(ctx, partition, reads, decide)
