"""SecretRotationFailed: roll-outs of its version stop, those that wait and those on their way."""

from functools import partial

from function_apps.deployments import repository
from function_apps.deployments.model import bound_secrets, secret_rollout
from function_apps.deployments.model.interruption import cancellation_of
from function_apps.deployments.model.lifecycle import ENDINGS
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import CANCEL, TARGETS
from function_apps.deployments.use_cases.cancel import interrupt
from function_apps.deployments.use_cases.record_facts import record
from shared.contracts.deployments import EndReason
from shared.contracts.secret_bindings import SecretRotationFailed
from shared.kernel.context import Context, NewIds
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View


async def stop_roll_outs(
    event: SecretRotationFailed, ctx: Context, app: DeploymentsApp
) -> Outcome[Json]:
    """Begin no roll-out of a rotation that failed or was canceled, and roll back those that began.

    Who runs its version already keeps it.
    """
    closed = partial(bound_secrets.close_rotation, event=event)
    outcome = await record(event.environment_id, event.rotation_id, closed, ctx, app)
    target = await app.service.work.load(TARGETS, event.environment_id, ctx.tenant)
    for deployment_id in secret_rollout.roll_outs_to(event, target):
        await _stop(deployment_id, event, ctx.without_marker(), app)
    return outcome


async def _stop(
    deployment_id: str, event: SecretRotationFailed, ctx: Context, app: DeploymentsApp
) -> None:
    ids = NewIds.draw(ctx, app.service.public_name, deployment_id)
    message = f"{event.rotation_id} does not go on: {event.reason.message}"
    reason = EndReason(code="Cancelled", message=message[:2048])

    def decide(view: View) -> Decision[Json]:
        known = repository.stored_set(view, deployment_id)
        rollout = known.deployment.secret
        is_of_it = rollout is not None and rollout.rotation_id == event.rotation_id
        if not is_of_it or known.deployment.status in ENDINGS:
            return NOTHING
        interruption = cancellation_of(known.deployment)
        return interrupt(known, interruption, reason, view, ids, ctx, kind=CANCEL)

    await repository.change(deployment_id, ctx, app, decide)
