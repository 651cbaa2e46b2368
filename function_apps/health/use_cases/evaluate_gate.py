"""EvaluateGate: judge one component of one step of a rollout."""

from function_apps.health import repository
from function_apps.health.errors import GateConflict
from function_apps.health.model.gate_record import GateRecord
from function_apps.health.ports import HealthApp
from shared.contracts.gates import EvaluateGate
from shared.durable.operations import begin_operation, put_operation
from shared.kernel.context import Context, NewIds
from shared.kernel.ids import parse_id
from shared.messaging.unit_of_work import NOTHING, Audited, Decision, Json, Outcome, View
from shared.persistence.store import partition_of


async def evaluate_gate(command: EvaluateGate, ctx: Context, app: HealthApp) -> Outcome[Json]:
    """Begin to judge a gate; the same command again changes nothing.

    Raises:
        GateConflict: a gate with this id and another content exists.
    """
    identity = command.gate_id
    parsed = parse_id(identity, "gate")
    ids = NewIds.draw(ctx, app.service.public_name, parsed.environment, module=parsed.module)

    def decide(view: View) -> Decision[Json]:
        known = repository.find_gate(view, identity)
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
            writes=[repository.put_gate(record, app), put_operation(operation)],
            outbox=[start],
            audited=Audited("EvaluateGate", identity),
        )

    return await app.service.work.commit(
        ctx, partition_of(ctx.tenant, identity), [repository.gate_document(identity)], decide
    )
