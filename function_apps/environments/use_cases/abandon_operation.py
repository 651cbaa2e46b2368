"""Abandon: end an operation that nothing else can end, and free its environment."""

from function_apps.environments import repository
from function_apps.environments.model.environment import (
    RuntimeEnvironment,
    evolve,
    failure,
    without_owner,
)
from function_apps.environments.model.lifecycle import IN_FLIGHT
from function_apps.environments.ports import EnvironmentsApp
from shared.contracts.values import Reason
from shared.durable.operations import (
    abandon,
    abandoned_by,
    aggregate_of,
    audited_end,
    if_readable,
    operation_document,
    stored_operation,
)
from shared.kernel.concurrency import isolate
from shared.kernel.context import Context
from shared.kernel.fence import Fence
from shared.kernel.operation import Operation
from shared.messaging.unit_of_work import Decision, Json, Outcome, View
from shared.persistence.store import partition_of


async def abandon_operation(
    operation: Operation, ctx: Context, app: EnvironmentsApp, reason: Reason | None = None
) -> Outcome[Json]:
    """End *operation* as Failed; an environment that it owns fails too, and can be retried.

    Its run is canceled, where the engine answers, and one that is being started never begins.
    Where the environment is gone or cannot be read, the operation ends alone. Without *reason* an
    administrator gave it up.
    """
    identity, operation_id = aggregate_of(operation), operation.operation_id

    def owned(view: View) -> RuntimeEnvironment | None:
        known = if_readable(lambda: repository.find(view, identity))
        is_owner = known and known.operation_id == operation_id and known.status in IN_FLIGHT
        return known if is_owner else None

    async def cancel_run(view: View) -> None:
        environment = owned(view)
        if environment is not None:
            fence = Fence(without_owner(environment).fence, operation_id, "abandon")
            canceling = app.engine.cancel(environment.run_id, fence)
            # An engine that is away, or defect, keeps nobody from giving an operation up.
            await isolate(canceling, f"cancel of the run of {operation_id}")

    def decide(view: View) -> Decision[Json]:
        ended, write = abandon(stored_operation(view, operation_id), ctx, reason)
        environment, audited = owned(view), audited_end(operation, reason)
        if environment is None:
            return Decision(ended, writes=[write], audited=audited)
        event = failure(environment, reason or abandoned_by(ctx), environment.remaining)
        failed = without_owner(evolve(environment, event, ctx.now()))
        return Decision(
            ended,
            writes=[write, repository.put(failed)],
            outbox=[repository.publish(failed)],
            audited=audited,
        )

    # The operation first: it is what `If-Match` is about.
    reads = [operation_document(operation_id), repository.document_id(identity)]
    partition = partition_of(ctx.tenant, operation_id)
    return await app.service.work.commit(ctx, partition, reads, decide, precheck=cancel_run)
