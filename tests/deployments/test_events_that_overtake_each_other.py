"""What an environment is known to be, when its newer event came before the older one."""

import pytest

from function_apps.deployments.model.deployment_target import EnvironmentProjection
from shared.contracts.environments import EnvironmentStatus as Status
from shared.contracts.values import ComputeTargetKind, Stage
from shared.kernel.ids import ProjectId, TenantId

LOCAL = (ComputeTargetKind.LOCAL_PROCESS,)


def known(status: Status, targets: tuple[ComputeTargetKind, ...]) -> EnvironmentProjection:
    return EnvironmentProjection(
        2, status, ProjectId("proj-web"), Stage.TEST, TenantId("acme"), 1, targets
    )


@pytest.mark.parametrize(
    ("environment", "is_usable", "is_on_its_way"),
    [
        pytest.param(known(Status.PROVISIONED, LOCAL), True, False, id="provisioned"),
        pytest.param(known(Status.UPDATING, LOCAL), True, False, id="updating"),
        pytest.param(known(Status.UPDATING, ()), False, True, id="updating-but-targets-unknown"),
        pytest.param(known(Status.PROVISIONING, ()), False, True, id="provisioning"),
        pytest.param(known(Status.FAILED, ()), False, False, id="failed"),
    ],
)
def test_an_environment_is_deployed_to_once_its_targets_are_known(
    environment: EnvironmentProjection, *, is_usable: bool, is_on_its_way: bool
) -> None:
    assert environment.is_usable is is_usable
    assert environment.is_on_its_way is is_on_its_way
