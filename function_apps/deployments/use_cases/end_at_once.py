"""Ends a deployment at once that a service asked for, and tells it why."""

from collections.abc import Sequence

from function_apps.deployments import events
from function_apps.deployments.model.deployment import Deployment, evolve
from function_apps.deployments.model.lifecycle import refused
from function_apps.deployments.model.operation_end import ended_operation
from function_apps.deployments.repository import DEPLOYMENTS
from shared.contracts.deployments import EndReason
from shared.durable.operations import OPERATIONS, OperationKind, begin_operation
from shared.kernel.context import Context, NewIds
from shared.kernel.errors import Refused
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import Decision, Json
from shared.persistence.codec import Put


def end_at_once(
    deployment: Deployment,
    problem: Refused,
    ids: NewIds,
    ctx: Context,
    *,
    kind: OperationKind,
    writes: Sequence[Put] = (),
) -> Decision[Json]:
    """Say by a deployment that enters no queue why what a service asked for is not done."""
    reason = EndReason(code=problem.code, message=problem.message)
    ended = evolve(deployment, refused(reason), ids.now)
    path = f"/v1/runtime/deployments/{ended.deployment_id}"
    operation, _ = begin_operation(kind, ended.deployment_id, path, ids, ctx)
    return Decision(
        {},
        writes=[
            DEPLOYMENTS.put(ended),
            OPERATIONS.put(ended_operation(operation, ended, ids.now)),
            *writes,
        ],
        outbox=[events.ended(ended)],
        audited=Audited(kind.name, ended.deployment_id, ended.status),
    )
