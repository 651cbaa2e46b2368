"""RuntimeDeploymentCompleted, RolledBack, Failed and Cancelled: a deployment has ended."""

from function_apps.health.ports import HealthApp
from function_apps.health.use_cases.end_gates import end_gates
from shared.contracts.deployments import DeploymentEnded
from shared.contracts.health import WatchRelease
from shared.kernel.context import Context
from shared.messaging.fan_out import fan_out_releases
from shared.messaging.unit_of_work import Json, Outcome


async def record_deployment(event: DeploymentEnded, ctx: Context, app: HealthApp) -> Outcome[Json]:
    """Split the end of a deployment into one command per service to probe, and end its gates.

    One that failed or was canceled proved no release, so it has no command.
    """
    outcome = await fan_out_releases(event, WatchRelease, ctx, app.service.work)
    await end_gates(event, ctx, app)
    return outcome
