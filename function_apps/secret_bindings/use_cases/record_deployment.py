"""RuntimeDeploymentCompleted and RolledBack: a deployment has ended, and proved its instances."""

from function_apps.secret_bindings.ports import SecretBindingsApp
from shared.contracts.deployments import DeploymentEnded
from shared.contracts.secret_proofs import ProveRelease
from shared.kernel.context import Context
from shared.messaging.fan_out import fan_out_releases
from shared.messaging.unit_of_work import Json, Outcome


async def record_deployment(
    event: DeploymentEnded, ctx: Context, app: SecretBindingsApp
) -> Outcome[Json]:
    """Split the end of a deployment into one command per service."""
    return await fan_out_releases(event, ProveRelease, ctx, app.service.work)
