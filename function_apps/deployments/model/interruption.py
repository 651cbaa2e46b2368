"""Interruptions: a deployment on its way is stopped, by its status at once or by a rollback."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from enum import Enum, auto
from typing import Final

from function_apps.deployments.errors import NotCancellable, NotRollbackable
from function_apps.deployments.model import bound_secrets, module_queue, revoked_secrets
from function_apps.deployments.model.deployment import Deployment, evolve
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.facts import Facts
from function_apps.deployments.model.lifecycle import BEFORE_APPLIED, CHANGING, RollbackBegan
from shared.contracts.deployments import DeploymentStatus, EndReason
from shared.contracts.releases import ReleasedComponent, ReleasedSecret
from shared.contracts.strategies import StrategyKind
from shared.contracts.values import DeploymentId, ModuleId, OperationId

_ROLLING_BACK: Final = DeploymentStatus.ROLLING_BACK


class Interruption(Enum):
    """The way in which a deployment is stopped."""

    CANCEL = auto()
    """Nothing was applied: it ends at once."""
    ROLL_BACK = auto()
    """Something may have been applied: it is rolled back."""
    NONE = auto()
    """It is being rolled back already."""


def cancellation_of(deployment: Deployment) -> Interruption:
    """Return how *deployment* is canceled. Raises NotCancellable: it has ended."""
    interruption = _interruption_of(deployment)
    if interruption is None:
        raise NotCancellable(
            f"{deployment.deployment_id} has ended as {deployment.status}; only deployments on "
            "their way are canceled"
        )
    return interruption


def rollback_interruption_of(deployment: Deployment) -> Interruption:
    """Return how *deployment*, not yet Completed, is rolled back.

    Raises:
        NotRollbackable: it has ended.
    """
    interruption = _interruption_of(deployment)
    if interruption is None:
        raise NotRollbackable(
            f"{deployment.deployment_id} has ended as {deployment.status}; Completed deployments"
            " and those on their way can be rolled back"
        )
    return interruption


def require_same_way_back(
    deployment: Deployment, wanted: DeploymentId, target: DeploymentTarget
) -> None:
    """Refuse to stop *deployment*, on its way, where something else than *wanted* is in force.

    Raises:
        NotRollbackable: an interruption brings back only what is in force.
    """
    for module in deployment.modules:
        by = target.module(module).by
        if by != wanted:
            raise NotRollbackable(
                f"{deployment.deployment_id} is on its way: stopping it brings back"
                f" {by or 'nothing'} of {module}, not {wanted}; name no deployment, and roll back"
                " further when it has ended",
                target="/toDeploymentId",
            )


def _interruption_of(deployment: Deployment) -> Interruption | None:
    if deployment.status is _ROLLING_BACK:
        return Interruption.NONE
    if deployment.status in BEFORE_APPLIED:
        return Interruption.CANCEL
    return Interruption.ROLL_BACK if deployment.status in CHANGING else None


def started_again(deployment: Deployment) -> Collection[ModuleId]:
    """Return what was in force that *deployment*, a recreate on its way, may have stopped.

    Taking it back starts that again.
    """
    is_on_its_way = deployment.status in CHANGING or deployment.status is _ROLLING_BACK
    if deployment.strategy.kind is not StrategyKind.RECREATE or not is_on_its_way:
        return ()
    return [
        before.module_id
        for before in deployment.previous
        if before.runs_once is None and before.module_id not in deployment.remove
    ]


def warnings_of(deployment: Deployment, facts: Facts) -> Sequence[str]:
    """Return what taking *deployment* back starts again, and the secrets that are lacking then."""
    earlier, previous = deployment.replaced_secrets, deployment.previous
    return [
        *_restart_warnings(deployment),
        *revoked_secrets.not_brought_back(earlier, previous, facts, running={}),
    ]


def _restart_warnings(deployment: Deployment) -> Sequence[str]:
    modules = started_again(deployment)
    if not modules:
        return ()
    sentence = (
        f"`recreate` may have stopped {', '.join(modules)} by now: what was in force before is"
        " started again, and no instance serves until it is ready"
    )
    return [sentence]


def begin_rollback(
    deployment: Deployment,
    target: DeploymentTarget,
    reason: EndReason,
    operation_id: OperationId,
    now: datetime,
) -> tuple[Deployment, DeploymentTarget]:
    """Return *deployment* rolling back under *operation_id* and a new token, and its target.

    What was in force comes back as it was; with a new revision where one of its secrets has a
    version that is disabled, as the same revision is always the same workload.
    """
    target, token = module_queue.transfer_ownership(target, deployment.deployment_id, operation_id)
    previous: list[ReleasedComponent] = []
    recorded: dict[ModuleId, tuple[ReleasedSecret, ...]] = {}
    modules = dict(target.modules)
    for component in deployment.previous:
        module, state = component.module_id, target.module(component.module_id)
        facts = [fact for fact in target.facts.values() if fact.module == module]
        again = component
        if component.runs_once is None:
            again = bound_secrets.with_enabled(component, facts, state.last + 1)
        if again != component:
            recorded[module] = component.secrets
            modules[module] = replace(state, last=again.release_revision)
        previous.append(again)
    event = RollbackBegan(reason, operation_id, token, tuple(previous), recorded)
    return evolve(deployment, event, now), replace(target, modules=modules)
