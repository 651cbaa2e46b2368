"""The deployment of kind rollback: it brings back what ran before a Completed one."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from function_apps.deployments.errors import (
    CannotBePlanned,
    NotInForce,
    NotRollbackable,
)
from function_apps.deployments.model import access, neighbours, planning, units
from function_apps.deployments.model.deployment import (
    Deployment,
)
from function_apps.deployments.model.predecessors import (
    Predecessors,
    predecessors_of,
    revisions_in_force,
)
from function_apps.deployments.model.target import Claim, Target
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.use_cases.dossier import (
    Dossier,
    Drawn,
    answer,
    origin_of,
)
from function_apps.deployments.use_cases.requests import enqueued
from shared.contracts.deployments import Deploy, DeploymentKind, DeploymentStatus
from shared.contracts.strategies import OnConflict, Strategy
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause
from shared.messaging.legacy_unit_of_work import Decision


def undo(
    found: Dossier,
    wanted: Deployment | None,
    ids: Drawn,
    *,
    scope: Scope,
    cause: Cause,
    app: DeploymentsApp,
) -> Decision:
    """Make the deployment of kind rollback that brings back what ran before a Completed one.

    Raises:
        NotInForce: something else runs now in one of its modules.
        NotRollbackable: there is nothing to go back to.
        CannotBePlanned: another module has its path by now, or depends on what would go.
        Held, BindingRequired, BindingSuspended, IsolationBreached, EnvironmentNotUsable.
    """
    undone = found.deployment
    key = f"undo {undone.deployment_id}"
    active = next((claim for claim in found.target.claims if claim.key == key), None)
    if active is not None:
        return Decision(result=_answer_claim(active, undone, found.target))
    _refuse_not_in_force(undone, found.target)
    access.waits_for(found.target, scope.tenant)
    back = predecessors_of(undone, wanted)
    command = _command(undone, back)
    if refusals := neighbours.refusals(command, found.target, None):
        raise CannotBePlanned(refusals)
    access.refuse_held(found.target, command.components, scope.tenant)
    return enqueued(
        _rollback(undone, command, key, ids, found.target, cause, back),
        found.target,
        command,
        scope=scope,
        cause=cause,
        app=app,
        kind="RollbackDeployment",
    )


def _refuse_not_in_force(undone: Deployment, target: Target) -> None:
    for module in undone.modules:
        by = target.module(module).by
        if by != (None if module in undone.remove else undone.deployment_id):
            raise NotInForce(
                f"{module} of {undone.deployment_id} is not in force: {by or 'nothing'} is; only "
                "what is in force is rolled back"
            )


def _command(undone: Deployment, back: Predecessors) -> Deploy:
    """Return what has to be deployed: the units that were before, without what was new."""
    brought = {one.module_id for one in undone.components}
    remove = tuple(sorted(brought - {one.module_id for one in back.units}))
    if not back.units and not remove:
        raise NotRollbackable(
            f"{undone.deployment_id} removed modules, and nothing is known from before"
        )
    return Deploy(
        environment_id=undone.environment_id,
        release_ref=back.ref(undone),
        components=tuple(units.component_of(one) for one in back.units),
        remove=remove,
        strategy=Strategy(),
        on_conflict=OnConflict.QUEUE,
    )


def _rollback(
    undone: Deployment,
    command: Deploy,
    key: str,
    ids: Drawn,
    target: Target,
    cause: Cause,
    back: Predecessors,
) -> Deployment:
    order, _ = planning.order_of(command.components)
    assert target.environment is not None, "it is Completed there"
    return Deployment(
        deployment_id=ids.deployment,
        tenant_id=undone.tenant_id,
        environment_id=command.environment_id,
        kind=DeploymentKind.ROLLBACK,
        release_ref=command.release_ref,
        strategy=command.strategy,
        gate=command.gate,
        components=command.components,
        remove=command.remove,
        order=order,
        on_conflict=command.on_conflict,
        key=key,
        origin=origin_of(cause),
        operation_id=ids.operation,
        created_at=ids.now,
        updated_at=ids.now,
        project_id=target.environment.project,
        stage=target.environment.stage,
        rolled_back_deployment_id=undone.deployment_id,
        replaces=revisions_in_force(target, [*order, *command.remove]),
        restores={m: name.deployment_id for m, name in (back.releases or {}).items()},
    )


def _answer_claim(claim: Claim, undone: Deployment, target: Target) -> Mapping[str, Any]:
    shown = replace(
        undone,
        deployment_id=claim.deployment,
        operation_id=claim.operation,
        kind=claim.kind,
        status=DeploymentStatus.REQUESTED,
    )
    return answer(shown, target)
