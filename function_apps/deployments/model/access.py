"""Whether an environment takes a deployment now, later or never."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from function_apps.deployments.errors import (
    BindingRequired,
    BindingSuspended,
    EnvironmentNotUsable,
    EnvironmentUnknown,
    IsolationBreached,
)
from function_apps.deployments.model.target import Target
from shared.contracts.environments import EnvironmentStatus
from shared.contracts.strategies import RolloutDefaults
from shared.contracts.values import Stage, TenantId


class Waiting(StrEnum):
    """What a deployment that cannot start yet waits for."""

    ENVIRONMENT = "environment"
    BINDING = "binding"


_BOUND = "Bound"
"""The binding is recorded, its isolation not yet enforced."""
_SUSPENDED = "Suspended"


def waits_for(target: Target, tenant: TenantId) -> Waiting | None:
    """Return what *tenant* waits for before it deploys to the environment of *target*.

    Raises:
        EnvironmentNotUsable: it has failed or is being taken away.
        BindingRequired: prod, or another tenant's environment, and no binding.
        BindingSuspended, IsolationBreached.
    """
    environment, binding = target.environment, target.binding
    if environment is None:
        return Waiting.ENVIRONMENT
    if not environment.is_usable and not environment.is_on_its_way:
        raise EnvironmentNotUsable(
            f"environment {target.environment_id} is {environment.status}; deployments need "
            "Provisioned or Updating",
            code="EnvironmentFailed"
            if environment.status is EnvironmentStatus.FAILED
            else EnvironmentNotUsable.code,
        )
    if binding is None and environment.stage is Stage.PROD:
        raise BindingRequired(
            f"environment {target.environment_id} is prod: it needs a tenant binding before its "
            "first deployment; without one only dev, test and staging are deployed to"
        )
    if binding is None and environment.owner != tenant:
        raise BindingRequired(
            f"environment {target.environment_id} is another tenant's: a binding is needed"
        )
    if binding is not None and binding.status == _SUSPENDED:
        raise BindingSuspended("the tenant's binding to this environment is suspended")
    if binding is not None and binding.breach:
        raise IsolationBreached(
            f"the last isolation proof of layer {binding.breach} was a breach; "
            "a proof that passes lets deployments go on"
        )
    if not environment.is_usable:
        return Waiting.ENVIRONMENT
    if binding is not None and binding.status == _BOUND:
        return Waiting.BINDING
    return None


@dataclass(frozen=True)
class Patience:
    """Until when a deployment waits, and what it says when that is over."""

    until: datetime
    refusal: EnvironmentNotUsable | EnvironmentUnknown


def patience(target: Target, opened_at: datetime, rules: RolloutDefaults) -> Patience:
    """Return how long a deployment that began to wait at *opened_at* goes on waiting."""
    if target.environment is None:
        return Patience(
            opened_at + rules.unknown_environment_wait,
            EnvironmentUnknown(
                f"no event of environment {target.environment_id} came within "
                f"{rules.unknown_environment_wait}: provision it, then deploy again"
            ),
        )
    return Patience(
        opened_at + rules.environment_wait,
        EnvironmentNotUsable(
            f"environment {target.environment_id} was still {target.environment.status} after "
            f"{rules.environment_wait}",
            code="EnvironmentLate",
        ),
    )
