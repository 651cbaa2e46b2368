"""The change of prod that a request for an environment is, as the operator's policy is asked."""

from function_apps.environments.model.environment import RuntimeEnvironment
from shared.contracts.values import Stage
from shared.policies.prod_rules import ProdChange


def prod_change(action: str, after: RuntimeEnvironment) -> ProdChange | None:
    """Return what *action* makes of prod, which is *after* then; None of another stage."""
    if after.stage != Stage.PROD:
        return None
    return ProdChange(
        action,
        after.environment_id,
        region=after.region,
        isolation_model=after.spec.isolation_model,
        compute_targets=after.spec.compute_targets,
        data_resources=after.spec.data_resources,
        admits=after.spec.admits,
    )
