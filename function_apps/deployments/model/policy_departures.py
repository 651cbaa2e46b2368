"""Scaling policy and tenant binding, which no rollback puts back: where they depart, and why.

A policy belongs to the load of now and to scaling, a binding to the service tenants; a release
records which were in force, and a proof tells of others.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.facts import SCALING
from function_apps.deployments.model.lifecycle import PolicyAndBinding
from shared.contracts.releases import Departure, ReleasedComponent
from shared.contracts.values import ModuleId, Reason

_CHANGED: Final = "it changed while this was rolled out, and the next release records it"


def departures(
    component: ReleasedComponent, deployment: Deployment, target: DeploymentTarget
) -> Iterator[Departure]:
    """Yield where policy and binding of *target* depart from the release that *component* is of."""
    recorded, is_back = deployment.recorded_of(component), deployment.brings_back(component)
    return _departures(component.module_id, recorded, target, is_back=is_back)


def not_put_back(rollback: Deployment, target: DeploymentTarget) -> Sequence[str]:
    """Return a sentence for each policy and binding that *rollback* finds otherwise than it was."""
    return [
        f"{module}: {each.reason.message}"
        for module, recorded in rollback.recorded.items()
        for each in _departures(module, recorded, target, is_back=True)
    ]


def _departures(
    module: ModuleId, recorded: PolicyAndBinding, target: DeploymentTarget, *, is_back: bool
) -> Iterator[Departure]:
    policy_id, policy, minimum = _policy(target, module)
    if recorded.policy != policy:
        then = f"{_revision(recorded.policy)} with at least {recorded.minimum}"
        now = f"{_revision(policy)} with at least {minimum}"
        why = f"a rollback puts no scaling policy back: {_pair(recorded.policy, policy, then, now)}"
        way = f"; change the policy {policy_id}" if policy else ""
        yield Departure(
            path="scalingPolicy",
            recorded=_revision(recorded.policy),
            live=_revision(policy),
            reason=Reason(
                code="ScalingPolicyNotRestored", message=f"{why}{way}" if is_back else _CHANGED
            ),
        )
    binding = target.binding_revision
    if recorded.binding is not None and recorded.binding != binding:
        then, now = _revision(recorded.binding), _revision(binding)
        both = _pair(recorded.binding, binding, then, now)
        why = f"a rollback leaves the tenant's binding as it is: {both}"
        yield Departure(
            path="tenantBinding",
            recorded=then,
            live=now,
            reason=Reason(code="TenantBindingNotRestored", message=why if is_back else _CHANGED),
        )


def _policy(target: DeploymentTarget, module: ModuleId) -> tuple[str, int, int]:
    """Return id, revision and minimum of the policy in force of *module*; 0 without one."""
    found = (
        (policy_id, fact.policy_revision, fact.minimum)
        for policy_id, fact in target.facts.items()
        if fact.kind == SCALING and fact.module == module
    )
    return max(found, key=lambda policy: policy[1], default=("", 0, 0))


def _pair(recorded: int, live: int, then: str, now: str) -> str:
    first = f"the earlier release had {then if recorded else 'none'}"
    return f"{first}, {f'{now} is in force' if live else 'none is in force now'}"


def _revision(number: int) -> str:
    return f"revision {number}" if number else "none"
