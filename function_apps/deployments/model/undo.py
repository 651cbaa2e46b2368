"""Undo: a deployment of kind rollback restores what a Completed one replaced."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from function_apps.deployments.errors import ArtifactRemoved, NotInForce, NotRollbackable
from function_apps.deployments.model import bound_secrets, jobs, module_queue, release_unit
from function_apps.deployments.model.configuration import pins_of
from function_apps.deployments.model.deployment import Deployment, new_deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget, QueueEntry
from function_apps.deployments.model.lifecycle import PolicyAndBinding
from function_apps.deployments.model.predecessors import (
    Predecessors,
    predecessors_of,
    revisions_in_force,
)
from function_apps.deployments.model.rollout_steps import order_of
from shared.contracts.deployments import Deploy, DeploymentKind
from shared.contracts.strategies import OnConflict, Strategy, StrategyKind
from shared.contracts.values import ModuleId
from shared.kernel.context import Context, NewIds
from shared.kernel.errors import Violation


def queued_undo(
    undone: Deployment,
    wanted: Deployment | None,
    target: DeploymentTarget,
    passed: Collection[StrategyKind] = (),
) -> QueueEntry | None:
    """Return the entry of the rollback that undoes *undone* already, as one to *wanted* would.

    Raises:
        NotRollbackable: it goes back to something else.
    """
    queued = next((entry for entry in target.queue if entry.key == _key(undone)), None)
    if queued is None:
        return None
    command = command_of(undone, predecessors_of(undone, wanted), passed)
    if queued.content != module_queue.keys_of(command).content:
        raise NotRollbackable(
            f"{queued.deployment} undoes {undone.deployment_id} already, but goes back to another"
            " release; wait for it or cancel it first"
        )
    return queued


def rollback_of(
    undone: Deployment,
    wanted: Deployment | None,
    target: DeploymentTarget,
    ids: NewIds,
    ctx: Context,
    passed: Collection[StrategyKind] = (),
) -> tuple[Deployment, Deploy]:
    """Return the rollback that undoes *undone*, with its command, before it enters its queues.

    It goes back to what was in force before, or to what *wanted* released, over what went between
    by the strategies *passed*.

    Raises:
        NotInForce: another deployment has replaced *undone*.
        NotRollbackable: there is nothing to go back to.
    """
    _require_in_force(undone, target)
    predecessors = predecessors_of(undone, wanted)
    command = command_of(undone, predecessors, passed)
    assert target.environment is not None, "it is Completed there"
    order, _ = order_of(command.components)
    rollback = new_deployment(
        command,
        ids,
        ctx,
        kind=DeploymentKind.ROLLBACK,
        key=_key(undone),
        order=order,
        project_id=target.environment.project,
        stage=target.environment.stage,
        pins=pins_of([each for each in predecessors.components if each.module_id in order]),
    )
    rollback = replace(
        rollback,
        rolled_back_deployment_id=undone.deployment_id,
        rolled_back_ref=undone.release_ref,
        secrets=bound_secrets.recorded_of(
            [each for each in predecessors.components if each.module_id in order]
        ),
        recorded={
            each.module_id: PolicyAndBinding.of(each)
            for each in predecessors.components
            if each.module_id in order
        },
        replaces=revisions_in_force(target, [*order, *command.remove]),
        restores={
            module: name.deployment_id
            for module, name in predecessors.releases.items()
            if module in order
        },
        jobs_left_out=jobs.modules_of(predecessors.components),
    )
    return rollback, command


def _key(undone: Deployment) -> str:
    return f"undo {undone.deployment_id}"


def _require_in_force(undone: Deployment, target: DeploymentTarget) -> None:
    for module in undone.modules:
        by = target.module(module).by
        if by != (None if module in undone.remove else undone.deployment_id):
            raise NotInForce(
                f"{module} of {undone.deployment_id} is not in force, {by or 'nothing'} is; a"
                " rollback undoes what is in force"
            )


def command_of(
    undone: Deployment, predecessors: Predecessors, passed: Collection[StrategyKind] = ()
) -> Deploy:
    """Return the command that restores the earlier components, without the new modules.

    It stops instances first where what *undone* brought did, or one of those between, that went by
    the strategies *passed*: versions on both sides of a recreate do not run beside each other.

    Raises:
        NotRollbackable: nothing would come back, so it would only take modules away.
    """
    deployed = {component.module_id for component in undone.components}
    ran = {component.module_id for component in undone.components if component.runs_once}
    # A job that has run stays what ran last; a server in its place does not.
    kept = {
        before.module_id
        for before in predecessors.components
        if before.runs_once is None or before.module_id in ran
    }
    remove = tuple(sorted(deployed - kept))
    if not predecessors.components:
        raise NotRollbackable(_nothing_earlier(undone, remove))
    back = [each for each in predecessors.components if each.runs_once is None]
    if not back:
        raise NotRollbackable(
            f"what {undone.deployment_id} replaced has run to its end, and a rollback runs no job"
            " again: deploy the release that you want"
        )
    kinds = {undone.terms_of(module).strategy.kind for module in undone.modules}
    is_recreate = StrategyKind.RECREATE in kinds | {*passed}
    return Deploy(
        environment_id=undone.environment_id,
        release_ref=predecessors.ref(undone),
        components=tuple(map(release_unit.requested_component, back)),
        remove=remove,
        strategy=Strategy(kind=StrategyKind.RECREATE if is_recreate else StrategyKind.CANARY),
        on_conflict=OnConflict.QUEUE,
    )


def _nothing_earlier(undone: Deployment, only_removed: Sequence[ModuleId]) -> str:
    if not only_removed:
        modules = ", ".join(undone.remove[:5])
        return (
            f"{undone.deployment_id} took {modules} away and there is no earlier release to go"
            " back to: deploy the one that you want"
        )
    modules = ", ".join(only_removed[:5])
    return (
        f"{undone.deployment_id} is the first release of {modules} and there is no earlier one to"
        f" go back to: deploy a fix, or take it away with a release of `remove: [{modules}]`"
    )


def require_archives(command: Deploy, uploaded: Collection[str], wanted: Deployment | None) -> None:
    """Refuse a rollback by *command*, to what *wanted* released, unless its archives are there.

    Raises:
        ArtifactRemoved.
    """
    target = "/toDeploymentId" if wanted else None
    missing = [
        Violation(
            ArtifactRemoved.code,
            target or "",
            f"the archive of {component.module_id} {component.version} was removed",
            "a release of which the archives are stored",
            component.artifact_digest,
        )
        for component in command.components
        if component.artifact_digest is not None and component.artifact_digest not in uploaded
    ]
    if missing:
        raise ArtifactRemoved(missing, target)


def require_replaced_in_force(rollback: Deployment, target: DeploymentTarget) -> None:
    """Refuse *rollback* when what it was asked to undo is no longer what runs.

    Raises:
        NotInForce: a deployment that was on its way when it was asked for has replaced that.
    """
    for module, revision in rollback.replaces.items():
        state = target.module(module)
        if state.revision != revision:
            raise NotInForce(
                f"{module} of {rollback.rolled_back_deployment_id} is not in force any more: "
                f"{state.by or 'nothing'} is; roll that back instead"
            )
