"""Accept a gate as an operation, and start its orchestration."""

from dataclasses import dataclass
from typing import Final

import shared.kernel.operation as operations
from function_apps.health.errors import GateConflict
from function_apps.health.model.gate_record import gate_body, gate_document
from function_apps.health.ports import HealthApp
from shared.contracts.gates import EvaluateGate
from shared.durable.operation_input import OperationInput
from shared.durable.steps import Step
from shared.kernel.ids import GateId, ServiceId, TenantId, operation_id, parse_id
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause
from shared.messaging.legacy_unit_of_work import NOTHING, Audited, Decision, Outcome, Put, View
from shared.messaging.outbox import Start
from shared.persistence.store import Partition

EVALUATE: Final = "health_evaluate_gate"
"""Durable name of the orchestration; a test holds it to `orchestrations.py`."""


@dataclass(frozen=True)
class GateInput(OperationInput):
    """The input of the orchestration: the gate, its tenant, and its cause."""

    tenant_id: TenantId
    service_id: ServiceId
    gate_id: GateId
    trace_id: str
    correlation_id: str
    causation_id: str | None

    @property
    def scope(self) -> Scope:
        """Return the scope in which the orchestration works for the tenant."""
        return Scope(self.tenant_id, "service:health")

    @property
    def partition(self) -> Partition:
        """Return the partition of the service that the gate judges."""
        return Partition(
            self.tenant_id, parse_id(self.service_id, "svc").environment, self.service_id
        )

    def cause(self, step: Step) -> Cause:
        """Return the cause of what *step* changes."""
        return Cause(
            self.scope.caller,
            "operation",
            step.operation_id,
            self.trace_id,
            self.correlation_id,
            self.causation_id,
        )


async def evaluate_gate(
    command: EvaluateGate, *, scope: Scope, cause: Cause, app: HealthApp
) -> Outcome:
    """Begin to judge a gate; the same command again changes nothing.

    Raises:
        GateConflict: a gate with this id and another content exists.
    """
    parsed = parse_id(command.service_id, "svc")
    now = app.service.clock.now()
    identity = operation_id("health", parsed.environment, now, app.service.entropy, m=parsed.module)
    document_id = gate_document(command.gate_id)
    row = gate_body(command, identity)
    given = GateInput(
        scope.tenant,
        command.service_id,
        command.gate_id,
        cause.trace_id,
        cause.correlation_id,
        cause.causation_id,
    )
    argument = given.written()
    path = f"/v1/runtime/services/{command.service_id}/health"
    operation = operations.accept(
        identity, "EvaluateGate", path, cause.actor, EVALUATE, argument, now
    )

    def decide(view: View) -> Decision:
        known = view.body(document_id)
        if known is not None and known["gate"] != row["gate"]:
            raise GateConflict(command.gate_id)
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

    return await app.service.work.write(scope, given.partition, [document_id], decide, cause)
