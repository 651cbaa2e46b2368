"""The change of prod that a release is, as the operator's policy is asked.

Not what brings back what ran there (rollbacks, repairs) or renews what a release was given
(configuration, secrets): a policy that became stricter would keep what is bad live.
"""

from function_apps.deployments.errors import CannotBePlanned
from function_apps.deployments.model.deployment_target import DeploymentTarget
from shared.contracts.deployments import Deploy
from shared.contracts.values import Stage
from shared.kernel.errors import Violation
from shared.policies.prod_rules import PROD_POLICY, ProdChange


def prod_change(
    command: Deploy,
    target: DeploymentTarget,
    promoted_from: Stage | None,
    *,
    is_retry: bool = False,
) -> ProdChange | None:
    """Return what *command* changes in prod; None where the environment is of another stage.

    Raises:
        CannotBePlanned: nothing is known of the environment yet, so neither is its stage.
    """
    environment = target.environment
    if environment is None:
        message = (
            f"whether it may be deployed depends on the environment's stage ({PROD_POLICY}), and"
            " nothing is known of the environment yet: deploy when it is there"
        )
        expected, found = "an environment that is known", command.environment_id
        raise CannotBePlanned(
            [Violation("EnvironmentUnknown", "/environmentId", message, expected, found)]
        )
    if environment.stage is not Stage.PROD:
        return None
    action = "PromoteDeployment" if promoted_from else "Deploy"
    return ProdChange(
        "RetryDeployment" if is_retry else action,
        command.environment_id,
        components=command.components,
        remove=command.remove,
        promoted_from=promoted_from,
    )
