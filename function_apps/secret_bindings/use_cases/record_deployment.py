"""RuntimeDeploymentCompleted and RolledBack: a deployment has ended, and proved its instances."""

from collections.abc import Mapping
from typing import Any

from function_apps.secret_bindings.ports import SecretBindingsApp
from function_apps.secret_bindings.use_cases.record_secret_rollout import why_of
from shared.contracts.deployments import DeploymentEnded, RuntimeDeploymentRolledBack
from shared.contracts.secret_proofs import ProveRelease
from shared.kernel.context import Context
from shared.messaging.fan_out import fan_out_releases
from shared.messaging.unit_of_work import Json, Outcome


async def record_deployment(
    event: DeploymentEnded, ctx: Context, app: SecretBindingsApp
) -> Outcome[Json]:
    """Split the end of a deployment into one command per service."""
    return await fan_out_releases(event, ProveRelease, ctx, app.service.work, fields=rejected_by)


def rejected_by(event: DeploymentEnded, module: str) -> Mapping[str, Any]:
    """Return the versions that *event* took back of *module*, and for which rotation they were."""
    if not isinstance(event, RuntimeDeploymentRolledBack) or event.rejected is None:
        return {}
    mine = (each for each in event.rejected.components if each.module_id == module)
    return {
        "rejected": next((each.secret_versions for each in mine), {}),
        "rotation_id": event.secret.rotation_id if event.secret else None,
        "why": why_of(event),
    }
