"""Abandon: end an operation that nothing else can end, and free its environment."""

from function_apps.environments.events import environment_changed
from function_apps.environments.model.environment import (
    evolve,
    failure,
    without_owner,
)
from function_apps.environments.model.lifecycle import IN_FLIGHT
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.repository import ENVIRONMENTS
from shared.contracts.values import Reason
from shared.durable.abandon import Freed, abandon
from shared.kernel.concurrency import isolate
from shared.kernel.context import Context
from shared.kernel.fence import Fence
from shared.kernel.operation import Operation
from shared.messaging.unit_of_work import Json, Outcome, View


async def abandon_operation(
    operation: Operation, ctx: Context, app: EnvironmentsApp, reason: Reason | None = None
) -> Outcome[Json]:
    """End *operation* as Failed; an environment that it owns fails too, and can be retried.

    Its run is canceled, where the engine answers, and one that is being started never begins.
    Where the environment is gone or cannot be read, the operation ends alone. Without *reason* an
    administrator gave it up.
    """
    identity, operation_id = operation.aggregate_id, operation.operation_id

    async def free(view: View, why: Reason) -> Freed:
        environment = view.readable(ENVIRONMENTS, identity)
        is_owner = environment is not None and environment.operation_id == operation_id
        if environment is None or not is_owner or environment.status not in IN_FLIGHT:
            return (), ()
        freed = without_owner(environment)
        canceling = app.engine.cancel(
            environment.run_id, Fence(freed.fence, operation_id, "abandon")
        )
        # An engine that is away, or defect, keeps nobody from giving an operation up.
        await isolate(canceling, f"cancel of the run of {operation_id}")
        failed = evolve(freed, failure(freed, why, freed.remaining), ctx.now())
        return [ENVIRONMENTS.put(failed)], [environment_changed(failed)]

    reads = [ENVIRONMENTS.document_id(identity)]
    return await abandon(operation, ctx, app, reason, reads=reads, free=free)
