"""RuntimeDeploymentCompleted and RolledBack: a deployment has ended, and proved its instances."""

from function_apps.configurations.ports import ConfigurationsApp
from shared.contracts.configurations import AdoptRelease
from shared.contracts.deployments import DeploymentEnded
from shared.kernel.context import Context
from shared.messaging.fan_out import fan_out_releases
from shared.messaging.unit_of_work import Json, Outcome


async def record_deployment(
    event: DeploymentEnded, ctx: Context, app: ConfigurationsApp
) -> Outcome[Json]:
    """Split the end of a deployment into one command per service."""
    return await fan_out_releases(event, AdoptRelease, ctx, app.service.work)
