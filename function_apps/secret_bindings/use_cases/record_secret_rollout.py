"""RuntimeDeploymentFailed and Cancelled: a roll-out of a secret has ended without a release."""

from collections.abc import Callable
from functools import partial
from typing import Final

from function_apps.secret_bindings.model.secret_head import (
    Consumer,
    Rejection,
    SecretHead,
    prove,
    refuse,
)
from function_apps.secret_bindings.ports import SecretBindingsApp
from function_apps.secret_bindings.repository import BINDINGS
from function_apps.secret_bindings.use_cases.record_proof import record_proof
from shared.contracts.deployments import DeploymentEnded
from shared.contracts.roll_outs import NOTHING_TO_ROLL_OUT
from shared.kernel.clock import isoformat
from shared.kernel.context import Context
from shared.messaging.unit_of_work import Json, Outcome

WHY_MAX: Final = 300
"""Of what is remembered of each consumer."""


def why_of(event: DeploymentEnded) -> str:
    """Return which deployment did not bring what it was to, and why."""
    reason = f": {event.reason.code}: {event.reason.message}" if event.reason else ""
    return f"{event.deployment_id} ended as {event.status}{reason}"[:WHY_MAX]


async def record_secret_rollout(
    event: DeploymentEnded, ctx: Context, app: SecretBindingsApp
) -> Outcome[Json]:
    """Note that a consumer does not follow, or has nothing that could; other deployments do that.

    What it runs is as it was: the deployment changed nothing, or was taken back whole.
    """
    rollout = event.secret
    if rollout is None:
        return Outcome({})
    binding = await app.service.work.find(BINDINGS, rollout.binding_id, ctx.tenant)
    if binding is None:
        return Outcome({})
    ended_at, binding_id = isoformat(event.ended_at), binding.binding_id
    change: Callable[[SecretHead], SecretHead | None]
    if event.reason is not None and event.reason.code == NOTHING_TO_ROLL_OUT:
        nothing = Consumer(binding_id, binding.module_id, ended_at=ended_at)
        change = partial(prove, proof=nothing)
    else:
        rejected = Rejection(rollout.version, rollout.rotation_id, why_of(event))
        change = partial(refuse, binding_id=binding_id, rejected=rejected, ended_at=ended_at)
    await record_proof(binding, change, ctx.without_marker(), app)
    return Outcome({})
