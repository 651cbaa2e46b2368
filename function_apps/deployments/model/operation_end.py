"""The end of a deployment, as it is told of the operation that worked on it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from function_apps.deployments.model.deployment import Deployment
from shared.contracts.deployments import DeploymentStatus
from shared.kernel.operation import Operation

ROLLBACK: Final = "RollbackDeployment"
CANCELLATION: Final = "CancelDeployment"
_WAYS_BACK: Final = frozenset({ROLLBACK, CANCELLATION})
"""Kinds of operations that asked for a rollback: it is their success, and others fail by it."""


def ended_operation(operation: Operation, deployment: Deployment, now: datetime) -> Operation:
    """Return *operation* ended as *deployment* did; a rollback is not the success asked for."""
    reason = deployment.reason
    match deployment.status:
        case DeploymentStatus.COMPLETED:
            return operation.succeed(_summary(deployment), now)
        case DeploymentStatus.CANCELLED:
            return operation.cancel(now)
        case DeploymentStatus.ROLLED_BACK if operation.kind in _WAYS_BACK:
            return operation.succeed(_summary(deployment), now)
        case _:
            code, message = (reason.code, reason.message) if reason else ("Failed", "")
            return operation.fail(code, message, now)


def _summary(deployment: Deployment) -> Mapping[str, Any]:
    return {"deploymentId": deployment.deployment_id, "status": deployment.status.value}
