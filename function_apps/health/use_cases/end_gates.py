"""End the open gates of a deployment that has ended: nobody waits for their verdict."""

from typing import Final

from function_apps.health.model import gates
from function_apps.health.model.gate_record import GateRecord, gate_evidence
from function_apps.health.ports import HealthApp
from function_apps.health.repository import GATES
from shared.contracts.deployments import DeploymentEnded
from shared.durable.operations import OPERATIONS
from shared.kernel.clock import isoformat
from shared.kernel.concurrency import bounded_map
from shared.kernel.context import Context
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import NOTHING, Decision, Json, View
from shared.persistence.store import (
    Comparison,
    Document,
    Prefix,
    Query,
    Where,
    pages,
    partition_of,
)

ENDED: Final = "DeploymentEnded"
AT_ONCE: Final = 8


async def end_gates(event: DeploymentEnded, ctx: Context, app: HealthApp) -> None:
    """End each gate that the deployment asked for until it ended and that has no verdict.

    A deployment that is tried again asks for gates of its own later; they go on.
    """
    query = Query(
        where=[
            *GATES.conditions,
            Where("gate.deploymentId", Comparison.EQ, event.deployment_id),
        ],
        limit=100,
    )
    within = Prefix(ctx.tenant, partition_of(ctx.tenant, event.environment_id).environment)
    documents = [document async for document in pages(app.service.store, within, query)]
    is_open = [
        (document, record)
        for document, record in GATES.readable(documents)
        if record.verdict is None and record.gate.asked_at <= event.ended_at
    ]

    async def end(each: tuple[Document, GateRecord]) -> None:
        await _end_gate(*each, event, ctx.without_marker(), app)

    await bounded_map(is_open, end, at_once=AT_ONCE)


async def _end_gate(
    document: Document, known: GateRecord, event: DeploymentEnded, ctx: Context, app: HealthApp
) -> None:
    """End one gate as Inconclusive and its operation as Canceled; its verdict is not sent.

    Where the operation is gone or cannot be read, the gate ends alone.
    """
    now, gate_id = ctx.now(), known.gate.gate_id
    message = f"deployment {event.deployment_id} has ended as {event.status}"

    def decide(view: View) -> Decision[Json]:
        record = view.find(GATES, gate_id)
        if record is None or record.verdict is not None:
            return NOTHING
        operation = view.readable(OPERATIONS, record.operation_id)
        ended = operation and operation.cancel(now, code=ENDED, message=message)
        evidence = gate_evidence(record.gate, gates.begin(record.gate, isoformat(now)), now)
        return Decision(
            {},
            writes=[
                *([OPERATIONS.put(ended)] if ended else []),
                GATES.put(record.decided(evidence)),
            ],
            audited=Audited("EndGate", gate_id, evidence.verdict),
        )

    ids = [document.id, OPERATIONS.document_id(known.operation_id)]
    await app.service.work.commit(ctx, document.partition, ids, decide)
