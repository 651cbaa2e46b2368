"""Operations that fell silent: taken up again from stored state."""

from dataclasses import replace

import shared.kernel.operation as operations
from function_apps.deployments.model import target as targets
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.use_cases.dossier import writes
from shared.kernel.clock import isoformat
from shared.kernel.ids import EnvironmentId, TenantId
from shared.kernel.scope import PlatformScope, Scope
from shared.messaging.cause import caused_by_timer
from shared.messaging.outbox import Row, Start
from shared.messaging.unit_of_work import NOTHING, Audited, Decision, Put, View
from shared.persistence.store import Comparison, Document, Query, Where


async def revive_silent(*, platform: PlatformScope, app: DeploymentsApp) -> int:
    """Enqueue again every operation that nobody has heard of for two minutes; return how many."""
    due = await app.service.store.query_due(
        Query(
            where=[
                Where("type", Comparison.EQ, "operation"),
                Where("dueAt", Comparison.LE, isoformat(app.service.clock.now())),
            ],
            order_by="dueAt",
        )
    )
    for document in due.documents:
        await _revive(document, platform, app)
    return len(due.documents)


async def _revive(document: Document, platform: PlatformScope, app: DeploymentsApp) -> None:
    """Start its orchestration again: one that still runs stays as it is, a lost one goes on.

    What waits in a line has no orchestration yet; whoever is before it starts it.
    """
    partition = document.partition
    scope = Scope(TenantId(partition.tenant), platform.caller)
    now = app.service.clock.now()
    environment = EnvironmentId(f"env-{partition.environment}")
    target_id = targets.document_id(environment)

    def decide(view: View) -> Decision:
        body = view.body(document.id)
        if body is None:
            return NOTHING
        silent = operations.from_body(body)
        if silent.is_terminal or silent.heartbeat_at != document.body["heartbeat_at"]:
            return NOTHING
        heard = replace(silent, heartbeat_at=isoformat(now))
        target, admitted = targets.admit(targets.from_body(view.body(target_id), environment))
        queued = any(
            claim.operation == silent.operation_id and not claim.token for claim in target.claims
        )
        rows: list[Row] = []
        if not queued:
            rows = [Start(silent.orchestration, silent.operation_id, silent.input)]
        changed = writes(target=target) if admitted else []
        return Decision(
            writes=[*changed, Put(document.id, operations.to_body(heard))],
            outbox=rows,
            audited=Audited("ReviveOperation", silent.operation_id),
        )

    cause = caused_by_timer(platform.caller, app.service.entropy)
    await app.service.work.write(scope, partition, [document.id, target_id], decide, cause)
