"""How a deployment ended is told by the operation that was asked for it."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.operation_end import CANCELLATION, ROLLBACK, ended_operation
from shared.contracts.deployments import DeploymentStatus, EndReason
from shared.kernel.clock import isoformat
from shared.kernel.operation import Operation, OperationStatus
from tests.deployments.test_what_an_undo_asks_for import completed, component
from tests.kit.virtual_time import EPOCH

AT: Final = isoformat(EPOCH)
NOW: Final = EPOCH + timedelta(hours=1)
DEPLOY: Final = "Deploy"
WHY: Final = EndReason(code="GateFailed", message="the error ratio passed its limit")


def ended(status: DeploymentStatus, reason: EndReason | None = None) -> Deployment:
    return replace(completed(component()), status=status, reason=reason)


def told(kind: str, deployment: Deployment) -> Operation:
    """Return the operation of *kind* that worked on *deployment*, after its end."""
    asked = Operation("op-1", kind, "/deployments/dep-1", "ann", "roll_out_release", {}, AT, AT)
    return ended_operation(asked, deployment, NOW)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        pytest.param(DEPLOY, DeploymentStatus.COMPLETED, id="a-release-that-is-in-force"),
        pytest.param(ROLLBACK, DeploymentStatus.COMPLETED, id="the-undo-of-a-completed-one"),
        pytest.param(ROLLBACK, DeploymentStatus.ROLLED_BACK, id="a-rollback-on-the-way"),
        pytest.param(CANCELLATION, DeploymentStatus.ROLLED_BACK, id="a-cancellation-on-the-way"),
    ],
)
def test_an_operation_that_got_what_it_asked_for_names_its_deployment(
    kind: str, status: DeploymentStatus
) -> None:
    deployment = ended(status, WHY)

    operation = told(kind, deployment)

    assert operation.status is OperationStatus.SUCCEEDED
    assert operation.result == {"deploymentId": deployment.deployment_id, "status": status.value}
    assert operation.heartbeat_at == isoformat(NOW)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        pytest.param(DEPLOY, DeploymentStatus.ROLLED_BACK, id="a-release-that-went-back"),
        pytest.param(DEPLOY, DeploymentStatus.FAILED, id="a-release-that-failed"),
        pytest.param(ROLLBACK, DeploymentStatus.FAILED, id="a-way-back-that-failed"),
    ],
)
def test_any_other_end_fails_the_operation_by_the_reason_of_the_deployment(
    kind: str, status: DeploymentStatus
) -> None:
    operation = told(kind, ended(status, WHY))

    assert operation.status is OperationStatus.FAILED
    assert operation.error == {"code": WHY.code, "message": WHY.message}


def test_a_failure_without_a_reason_is_called_failed() -> None:
    operation = told(DEPLOY, ended(DeploymentStatus.FAILED))

    assert operation.error == {"code": "Failed", "message": ""}


def test_a_cancelled_deployment_cancels_the_operation_that_asked_for_it() -> None:
    assert told(DEPLOY, ended(DeploymentStatus.CANCELLED)).status is OperationStatus.CANCELED
