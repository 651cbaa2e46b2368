"""The change of prod that a scaling policy is, as the operator's policy is asked.

Not a pause, its end or the end of a policy: they make nothing larger.
"""

from function_apps.scaling.model.scaled_service import ScaledService
from shared.contracts.scaling import ScalingPolicyChange
from shared.contracts.values import Stage
from shared.policies.prod_rules import Instances, ProdChange


def prod_change(policy: ScalingPolicyChange, service: ScaledService) -> ProdChange | None:
    """Return what *policy* allows in prod; None where the environment is of another stage.

    A service whose last deployment came before scaling kept stages is taken for one of prod.
    """
    if service.stage not in (None, Stage.PROD.value):
        return None
    instances = Instances(service.module_id, policy.min, policy.max, service.resources)
    return ProdChange("ApplyScalingPolicy", service.environment_id, instances=instances)
