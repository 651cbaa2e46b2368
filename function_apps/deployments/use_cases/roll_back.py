"""RollbackDeployment: undo a deployment that is in force, or interrupt one on its way."""

from dataclasses import replace

from function_apps.deployments import repository
from function_apps.deployments.errors import CannotBePlanned, NotInForce, NotRollbackable
from function_apps.deployments.model import module_queue, neighbours, release_unit
from function_apps.deployments.model.deployment import Deployment, new_deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget, QueueEntry
from function_apps.deployments.model.lifecycle import BEFORE_APPLIED, CHANGING
from function_apps.deployments.model.predecessors import (
    Predecessors,
    predecessors_of,
    revisions_in_force,
)
from function_apps.deployments.model.rollout_steps import order_of
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import DeploymentSet
from function_apps.deployments.resources import answer
from function_apps.deployments.use_cases.cancel import cancel_before_applied, interrupt
from function_apps.deployments.use_cases.deploy import enqueue
from shared.contracts.deployments import (
    Deploy,
    DeploymentKind,
    DeploymentStatus,
    EndReason,
    RollbackDeployment,
)
from shared.contracts.strategies import OnConflict, Strategy
from shared.kernel.context import Context, NewIds
from shared.messaging.unit_of_work import Decision, Json, Outcome, View


async def roll_back(
    command: RollbackDeployment, ctx: Context, app: DeploymentsApp
) -> Outcome[Json]:
    """Undo a Completed deployment by a new one of kind rollback; interrupt one on its way.

    Raises:
        NotRollbackable: it has ended otherwise, or there is nothing to go back to.
        NotInForce: another deployment has replaced it.
        Held: *to_deployment_id* was itself rolled back here.
    """
    ids = NewIds.draw(ctx, app.service.public_name, command.deployment_id)
    wanted = command.to_deployment_id

    def decide(view: View) -> Decision[Json]:
        known = repository.stored_set(view, command.deployment_id)
        status = known.deployment.status
        if status is DeploymentStatus.ROLLING_BACK:
            return Decision(answer(known.deployment, known.target), is_repeat=True)
        if status is DeploymentStatus.COMPLETED:
            back = view.get(repository.DEPLOYMENTS, wanted) if wanted else None
            return _undo(known, back, ids, ctx)
        reason = EndReason(code="RollbackAsked", message=command.reason or "asked by a caller")
        if status in BEFORE_APPLIED:
            return cancel_before_applied(known, reason, view, ctx)
        if status in CHANGING:
            return interrupt(known, reason, view, ids, ctx, kind=repository.ROLL_BACK)
        raise NotRollbackable(
            f"{command.deployment_id} has ended as {status}; Completed deployments and those on"
            " their way can be rolled back"
        )

    return await repository.change(
        command.deployment_id, ctx, app, decide, also=[wanted] if wanted else []
    )


def _undo(
    known: DeploymentSet, wanted: Deployment | None, ids: NewIds, ctx: Context
) -> Decision[Json]:
    """Put a deployment of kind rollback into the queue, or answer the one that is there."""
    undone, target = known.deployment, known.target
    key = f"undo {undone.deployment_id}"
    active = next((entry for entry in target.queue if entry.key == key), None)
    if active is not None:
        return Decision(_answer_of_entry(active, undone, target), is_repeat=True)
    _require_in_force(undone, target)
    back = predecessors_of(undone, wanted)
    command = _command(undone, back)
    if refusals := neighbours.refusals(command, target, target.queue):
        raise CannotBePlanned(refusals)
    units = release_unit.planned(command.components, ctx.tenant, target)
    rollback = _rollback(undone, command, key, ids, ctx, target, back)
    content = module_queue.keys_of(command).content
    return enqueue(rollback, units, content, ids, target, ctx, kind=repository.ROLL_BACK)


def _require_in_force(undone: Deployment, target: DeploymentTarget) -> None:
    for module in undone.modules:
        by = target.module(module).by
        if by != (None if module in undone.remove else undone.deployment_id):
            raise NotInForce(
                f"{module} of {undone.deployment_id} is not in force, {by or 'nothing'} is; a"
                " rollback undoes what is in force"
            )


def _command(undone: Deployment, back: Predecessors) -> Deploy:
    """Return the command that brings back the earlier units, without the new modules."""
    brought = {component.module_id for component in undone.components}
    remove = tuple(sorted(brought - {unit.module_id for unit in back.units}))
    if not back.units and not remove:
        raise NotRollbackable(
            f"{undone.deployment_id} took {', '.join(undone.remove[:5])} away and there is no "
            "earlier release to go back to: deploy the one that you want"
        )
    return Deploy(
        environment_id=undone.environment_id,
        release_ref=back.ref(undone),
        components=tuple(release_unit.component_of(unit) for unit in back.units),
        remove=remove,
        strategy=Strategy(),
        on_conflict=OnConflict.QUEUE,
    )


def _rollback(
    undone: Deployment,
    command: Deploy,
    key: str,
    ids: NewIds,
    ctx: Context,
    target: DeploymentTarget,
    back: Predecessors,
) -> Deployment:
    assert target.environment is not None, "it is Completed there"
    order, _ = order_of(command.components)
    rollback = new_deployment(
        command,
        ids,
        ctx,
        kind=DeploymentKind.ROLLBACK,
        key=key,
        order=order,
        project_id=target.environment.project,
        stage=target.environment.stage,
    )
    return replace(
        rollback,
        rolled_back_deployment_id=undone.deployment_id,
        replaces=revisions_in_force(target, [*order, *command.remove]),
        restores={m: name.deployment_id for m, name in (back.releases or {}).items()},
    )


def _answer_of_entry(entry: QueueEntry, undone: Deployment, target: DeploymentTarget) -> Json:
    shown = replace(
        undone,
        deployment_id=entry.deployment,
        operation_id=entry.operation,
        kind=entry.kind,
        status=DeploymentStatus.REQUESTED,
    )
    return answer(shown, target)
