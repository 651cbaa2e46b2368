"""Abandon: end an operation that nothing else can end, and free its binding or its secret."""

from function_apps.secret_bindings.events import rotation_failed
from function_apps.secret_bindings.model.binding import fail as fail_binding
from function_apps.secret_bindings.model.rotation import fail, failed_head
from function_apps.secret_bindings.ports import SecretBindingsApp
from function_apps.secret_bindings.repository import (
    BINDINGS,
    HEADS,
    ROTATIONS,
    documents_of,
    secret_of,
)
from function_apps.secret_bindings.use_cases.rotation_alert import failure_alerts
from shared.contracts.values import Reason
from shared.durable.abandon import Freed, abandon
from shared.kernel.clock import isoformat
from shared.kernel.context import Context
from shared.kernel.operation import Operation
from shared.messaging.unit_of_work import Json, Outcome, View


async def abandon_binding(
    operation: Operation, ctx: Context, app: SecretBindingsApp, reason: Reason | None = None
) -> Outcome[Json]:
    """End *operation* as Failed, and its binding with it where it waits for that operation."""
    binding_id = operation.aggregate_id

    def free(view: View, why: Reason) -> Freed:
        binding = view.readable(BINDINGS, binding_id)
        if binding is None:
            return Freed()
        failed = fail_binding(binding, operation.operation_id, why.code, why.message)
        return Freed([] if failed is binding else [BINDINGS.put(failed)])

    reads = [BINDINGS.document_id(binding_id)]
    return await abandon(operation, ctx, app, reason, reads=reads, free=free)


async def abandon_rotation(
    operation: Operation, ctx: Context, app: SecretBindingsApp, reason: Reason | None = None
) -> Outcome[Json]:
    """End *operation* as Failed; its rotation fails too, and every version stays enabled.

    Where the rotation is gone, cannot be read or has ended, the operation ends alone.
    """
    rotation_id = operation.aggregate_id

    def free(view: View, why: Reason) -> Freed:
        rotation = view.readable(ROTATIONS, rotation_id)
        head = view.readable(HEADS, secret_of(rotation_id))
        if rotation is None or head is None or rotation.is_ended:
            return Freed()
        now = ctx.now()
        failed = fail(rotation, why, head, now)
        after = failed_head(failed, head, isoformat(now))
        writes = [ROTATIONS.put(failed), HEADS.put(after)]
        alerts = failure_alerts(failed, head, after, now)
        return Freed(writes, [rotation_failed(failed, after), *alerts])

    return await abandon(operation, ctx, app, reason, reads=documents_of(rotation_id), free=free)
