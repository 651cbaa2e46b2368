"""Abandon: end an operation that nothing else can end, and free its environment."""

from dataclasses import replace
from typing import Final

from function_apps.environments.events import environment_changed
from function_apps.environments.model.environment import (
    evolve,
    failure,
    with_next_fence,
)
from function_apps.environments.model.lifecycle import IN_FLIGHT
from function_apps.environments.model.tenant_isolation import failed
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.repository import (
    ENVIRONMENTS,
    ISOLATIONS,
    environment_of,
    isolation_changed,
)
from shared.contracts.environments import IsolationState
from shared.contracts.values import Reason
from shared.durable.abandon import Freed, abandon
from shared.kernel.concurrency import isolate
from shared.kernel.context import Context
from shared.kernel.fence import Fence
from shared.kernel.operation import Operation
from shared.messaging.unit_of_work import Json, Outcome, View
from shared.persistence.store import partition_of

_CANCEL_WITHIN_S: Final = 10.0
"""The operation has ended by then, and its caller waits for the answer."""


async def abandon_operation(
    operation: Operation, ctx: Context, app: EnvironmentsApp, reason: Reason | None = None
) -> Outcome[Json]:
    """End *operation* as Failed; an environment that it owns fails too, and can be retried.

    Then its run is canceled, where the engine answers, and one that is being started never begins;
    a run that was left goes on until the next operation of the environment takes the stack over.
    Where the environment is gone or cannot be read, the operation ends alone. Without *reason* an
    administrator gave it up.
    """
    environment_id, operation_id = operation.aggregate_id, operation.operation_id

    def free(view: View, why: Reason) -> Freed:
        environment = view.readable(ENVIRONMENTS, environment_id)
        is_owner = environment is not None and environment.operation_id == operation_id
        if environment is None or not is_owner or environment.status not in IN_FLIGHT:
            return Freed()
        freed = with_next_fence(environment)
        ended = evolve(freed, failure(freed, why, freed.remaining), ctx.now())
        fence = Fence(ended.fence, operation_id, "abandon")

        async def cancel_run() -> None:
            # An engine that is away, hangs or is defect keeps nobody from giving an operation up.
            subject = f"cancel of the run of {operation_id}"
            canceling = app.engine.cancel(ended.run_id, fence)
            await isolate(canceling, subject, within_s=_CANCEL_WITHIN_S)

        return Freed([ENVIRONMENTS.put(ended)], [environment_changed(ended)], cancel_run)

    reads = [ENVIRONMENTS.document_id(environment_id)]
    return await abandon(operation, ctx, app, reason, reads=reads, free=free)


async def abandon_isolation(
    operation: Operation, ctx: Context, app: EnvironmentsApp, reason: Reason | None = None
) -> Outcome[Json]:
    """End *operation* as Failed; the isolation that it owns fails too, and its tenant hears of it.

    What it made stays, and is the next one's to begin from.
    """
    binding_id, operation_id = operation.aggregate_id, operation.operation_id
    partition = partition_of(ctx.tenant, binding_id)
    stored = await app.service.work.read(partition, ISOLATIONS.document_id(binding_id))
    isolation = stored.readable(ISOLATIONS, binding_id)
    foreign = isolation and isolation.is_foreign
    environment = await environment_of(isolation, app) if isolation and foreign else None

    def free(view: View, why: Reason) -> Freed:
        known = view.readable(ISOLATIONS, binding_id)
        is_owner = known is not None and known.operation_id == operation_id
        if known is None or not is_owner or known.state is not IsolationState.PENDING:
            return Freed()
        at = environment if foreign else view.readable(ENVIRONMENTS, known.environment_id)
        freed = replace(known, fence=known.fence + 1)
        after = failed(freed, why, ctx.now(), app.rules.follow_every)
        return Freed(*isolation_changed(after, at, ctx.now()))

    reads = [ISOLATIONS.document_id(binding_id)]
    if isolation is not None and not foreign:
        reads.append(ENVIRONMENTS.document_id(isolation.environment_id))
    return await abandon(operation, ctx, app, reason, reads=reads, free=free)
