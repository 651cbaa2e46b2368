"""Events of deployments: a rollout begins, goes on and ends; each service hears of it by itself."""

from datetime import datetime

from function_apps.scaling.ports import ScalingApp
from shared.contracts.deployments import (
    DeploymentEnded,
    DeploymentFacts,
    RuntimeDeploymentCancelled,
    RuntimeDeploymentFailed,
    RuntimeDeploymentStepChanged,
)
from shared.contracts.scaling import HoldScaling, ScaleRelease
from shared.kernel.context import Context
from shared.messaging.fan_out import fan_out, fan_out_releases
from shared.messaging.unit_of_work import Json, Outcome
from shared.persistence.store import partition_of


async def record_deployment(event: DeploymentEnded, ctx: Context, app: ScalingApp) -> Outcome[Json]:
    """Split the end of a deployment into one command per service that it left a release of."""
    return await fan_out_releases(event, ScaleRelease, ctx, app.service.work)


async def record_rollout(
    event: RuntimeDeploymentStepChanged | RuntimeDeploymentFailed | RuntimeDeploymentCancelled,
    ctx: Context,
    app: ScalingApp,
) -> Outcome[Json]:
    """Split a step of a rollout, or an end without a release, into one command per service."""
    is_over = isinstance(event, DeploymentEnded)
    at = event.ended_at if isinstance(event, DeploymentEnded) else ctx.said_at()
    units = [(module, _hold(event, module, at, is_over=is_over)) for module in event.modules]
    partition = partition_of(ctx.tenant, event.environment_id)
    return await fan_out(units, partition, ctx, app.service.work, project=event.project_id)


def _hold(event: DeploymentFacts, module: str, at: datetime, *, is_over: bool) -> HoldScaling:
    return HoldScaling.model_validate(
        {
            "environment_id": event.environment_id,
            "module_id": module,
            "deployment_id": event.deployment_id,
            "at": at,
            "is_over": is_over,
            "stage": event.stage,
        }
    )
