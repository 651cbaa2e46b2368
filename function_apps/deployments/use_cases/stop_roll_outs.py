"""SecretRotationFailed: roll-outs of its version stop, those that wait and those on their way."""

from functools import partial

from function_apps.deployments.model import bound_secrets, secret_rollout
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import TARGETS
from function_apps.deployments.use_cases.cancel import stop
from function_apps.deployments.use_cases.record_facts import record
from shared.contracts.secret_bindings import SecretRotationFailed
from shared.kernel.context import Context
from shared.messaging.unit_of_work import Json, Outcome


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
    message = f"{event.rotation_id} does not go on: {event.reason.message}"

    def is_of_it(deployment: Deployment) -> bool:
        rollout = deployment.secret
        return rollout is not None and rollout.rotation_id == event.rotation_id

    await stop(deployment_id, message, is_of_it, ctx, app)
