"""Gates: taken on as an operation, and their state as it is known."""

from typing import Final

import shared.kernel.operation as operations
from function_apps.health.errors import GateDiffers
from function_apps.health.model.evidence import gate_body, gate_document
from function_apps.health.ports import HealthApp
from shared.contracts.gates import EvaluateGate
from shared.kernel.ids import operation_id, parse_id
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause
from shared.messaging.outbox import Start
from shared.messaging.unit_of_work import NOTHING, Audited, Decision, Outcome, Put, View
from shared.persistence.store import Partition

EVALUATE: Final = "health_evaluate_gate"
"""Durable name of the orchestration; a test holds it to `orchestrations.py`."""


async def evaluate_gate(
    command: EvaluateGate, *, scope: Scope, cause: Cause, app: HealthApp
) -> Outcome:
    """Begin to judge a gate; the same gate again is one gate.

    Raises:
        GateDiffers: its id is known with another content.
    """
    parsed = parse_id(command.service_id, "svc")
    partition = Partition(scope.tenant, parsed.environment, command.service_id)
    now = app.service.clock.now()
    identity = operation_id("health", parsed.environment, now, app.service.entropy, m=parsed.module)
    document_id = gate_document(command.gate_id)
    row = gate_body(command, identity)
    argument = {
        "tenantId": scope.tenant,
        "serviceId": command.service_id,
        "gateId": command.gate_id,
        "traceId": cause.trace_id,
        "correlationId": cause.correlation_id,
        "causationId": cause.causation_id,
    }
    path = f"/v1/runtime/services/{command.service_id}/health"
    operation = operations.accept(
        identity, "EvaluateGate", path, cause.actor, EVALUATE, argument, now
    )

    def decide(view: View) -> Decision:
        known = view.body(document_id)
        if known is not None and known["gate"] != row["gate"]:
            raise GateDiffers(command.gate_id)
        if known is not None:
            return NOTHING
        ttl_s = int(app.rules.results_kept.total_seconds())
        return Decision(
            writes=[
                Put(document_id, row, ttl_s=ttl_s),
                Put(operations.document_id(identity), operations.to_body(operation)),
            ],
            outbox=[Start(EVALUATE, identity, argument)],
            audited=Audited("EvaluateGate", command.gate_id),
        )

    return await app.service.work.write(scope, partition, [document_id], decide, cause)
