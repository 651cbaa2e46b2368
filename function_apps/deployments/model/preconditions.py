"""Preconditions of a deployment: its environment takes it now, later or never."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from functools import partial

from function_apps.deployments.errors import (
    BindingRequired,
    BindingSuspended,
    EnvironmentNotUsable,
    EnvironmentUnknown,
    IsolationBreached,
)
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.holds import require_not_held
from function_apps.deployments.model.lifecycle import ENDINGS
from function_apps.deployments.model.module_queue import holder_of
from function_apps.deployments.model.undo import require_replaced_in_force
from shared.contracts.deployments import DeploymentKind, DeploymentStatus
from shared.contracts.environments import EnvironmentStatus
from shared.contracts.releases import ReleasedComponent
from shared.contracts.strategies import RolloutDefaults
from shared.contracts.tenants import TenantBindingStatus
from shared.contracts.values import DeploymentId, Stage, TenantId
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Refused


class WaitReason(StrEnum):
    """The reason why a deployment waits."""

    ENVIRONMENT = "environment"
    BINDING = "binding"
    QUEUE = "queue"
    GATE = "gate"
    APPROVAL = "approval"


def blocking_reason(target: DeploymentTarget, tenant: TenantId) -> WaitReason | None:
    """Return what *tenant* waits for before it deploys to the environment of *target*.

    Raises:
        EnvironmentNotUsable: it has failed or is being taken away.
        BindingRequired: prod, or another tenant's environment, and no binding.
        BindingSuspended, IsolationBreached.
    """
    environment, binding = target.environment, target.bound
    if environment is None:
        return WaitReason.ENVIRONMENT
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
    if binding is not None and binding.status is TenantBindingStatus.SUSPENDED:
        raise BindingSuspended(target.environment_id, tenant, environment.owner)
    if binding is not None and binding.status is TenantBindingStatus.UNBINDING:
        raise BindingRequired("the tenant is being unbound from this environment: bind it again")
    if target.binding is not None and target.binding.breach:
        raise IsolationBreached(
            f"the last isolation proof of layer {target.binding.breach} was a breach; "
            "a proof that passes lets deployments go on"
        )
    if not environment.is_usable:
        return WaitReason.ENVIRONMENT
    if binding is not None and binding.status is TenantBindingStatus.BOUND:
        return WaitReason.BINDING
    return None


def require_admission(
    deployment: Deployment, components: Iterable[ReleasedComponent], target: DeploymentTarget
) -> None:
    """Check what lets *deployment* enter the queue with *components*, and again when work starts.

    Raises:
        EnvironmentNotUsable, BindingRequired, BindingSuspended, IsolationBreached.
        Held: a unit was rolled back here.
        NotInForce: what a rollback undoes was replaced meanwhile.
    """
    for refusal in admission_refusals(deployment, components, target):
        raise refusal


def admission_refusals(
    deployment: Deployment, components: Iterable[ReleasedComponent], target: DeploymentTarget
) -> Sequence[Refused]:
    """Return what keeps *deployment* from the queue, each by itself.

    A command is refused by the first; whoever reads a plan is to mend all of them.
    """
    checks: list[Callable[[], object]] = [
        lambda: blocking_reason(target, deployment.tenant_id),
        *(partial(require_not_held, target.holds, [each]) for each in components),
    ]
    if deployment.kind is DeploymentKind.ROLLBACK:
        checks.append(lambda: require_replaced_in_force(deployment, target))
    refusals: list[Refused] = []
    for check in checks:
        try:
            check()
        except Refused as refusal:
            refusals.append(refusal)
    return refusals


def require_place(deployment: Deployment, target: DeploymentTarget) -> None:
    """Refuse to go on with a deployment on its way that is in no queue any more.

    Raises:
        EnvironmentNotUsable: the environment that it was asked for is gone.
    """
    if deployment.status in ENDINGS or target.entry(deployment.deployment_id) is not None:
        return
    raise EnvironmentNotUsable(
        f"the environment that {deployment.deployment_id} was asked for was decommissioned "
        "meanwhile; deploy again where it is provisioned anew"
    )


def waiting_for(
    deployment: Deployment, target: DeploymentTarget
) -> tuple[WaitReason | None, DeploymentId | None]:
    """Return what *deployment* waits for, and in a queue also who is before it."""
    entry = target.entry(deployment.deployment_id)
    if entry is not None and not entry.token:
        holder = holder_of(target, deployment.deployment_id)
        return WaitReason.QUEUE, holder[1] if holder else None
    match deployment.status:
        case DeploymentStatus.REQUESTED:
            return _waits_at_start(deployment, target), None
        case DeploymentStatus.HEALTH_GATING:
            return _waits_at_gate(deployment), None
        case _:
            return None, None


def _waits_at_start(deployment: Deployment, target: DeploymentTarget) -> WaitReason | None:
    try:
        return blocking_reason(target, deployment.tenant_id)
    except Refused:
        return None  # it is about to end with that refusal


def _waits_at_gate(deployment: Deployment) -> WaitReason | None:
    if deployment.is_paused:
        return WaitReason.APPROVAL
    is_open = any(step.gates and step.verdict is None for step in deployment.steps)
    return WaitReason.GATE if is_open else None


@dataclass(frozen=True)
class WaitLimit:
    """The deadline of a wait, and the refusal after it."""

    until: datetime
    refusal: EnvironmentNotUsable | EnvironmentUnknown


def wait_limit(target: DeploymentTarget, opened_at: datetime, rules: RolloutDefaults) -> WaitLimit:
    """Return how long a deployment that began to wait at *opened_at* goes on waiting."""
    if target.environment is None:
        return WaitLimit(
            opened_at + rules.unknown_environment_wait,
            EnvironmentUnknown(
                f"no event of environment {target.environment_id} came within "
                f"{rules.unknown_environment_wait}: provision it, then deploy again"
            ),
        )
    return WaitLimit(
        opened_at + rules.environment_wait,
        EnvironmentNotUsable(
            f"environment {target.environment_id} was still {target.environment.status} after "
            f"{rules.environment_wait}",
            code="EnvironmentLate",
        ),
    )
