"""Repairs: a deployment of kind repair brings what is in force once more, as it was recorded."""

from dataclasses import replace

from function_apps.deployments.errors import NothingToRollOut
from function_apps.deployments.model import bound_secrets, release_unit
from function_apps.deployments.model.deployment import Deployment, new_deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget
from shared.contracts.deployments import Deploy, DeploymentKind
from shared.contracts.releases import ReleasedComponent
from shared.contracts.values import ModuleId
from shared.kernel.context import Context, NewIds


def key_of(module: ModuleId) -> str:
    return f"repair {module}"


def require_in_force(target: DeploymentTarget, module: ModuleId, revision: int) -> None:
    """Refuse to repair what is not in force any more: its successor is no drift.

    Raises:
        NothingToRollOut.
    """
    current = target.module(module).revision
    if current != revision:
        raise NothingToRollOut(
            f"revision {revision} of {module} is to be repaired, and {current or 'nothing'} is in"
            " force"
        )


def repair_of(
    component: ReleasedComponent,
    release: Deployment,
    target: DeploymentTarget,
    ids: NewIds,
    ctx: Context,
    *,
    replicas: int | None = None,
) -> Deployment:
    """Return the deployment that brings *component* of *release* again, before it enters a queue.

    It has the steps and the gate of that release, its image, configuration and secrets; and as many
    instances as are in force, or *replicas* where somebody adopted that number.
    """
    module = component.module_id
    terms = release.terms_of(module)
    assert target.environment is not None, "it is in force there"
    command = Deploy.model_construct(
        environment_id=target.environment_id,
        release_ref=release.release_ref,
        components=(release_unit.requested_component(component),),
        strategy=terms.strategy,
        gate=terms.gate,
        restart=True,
    )
    repair = new_deployment(
        command,
        ids,
        ctx,
        kind=DeploymentKind.REPAIR,
        key=key_of(module),
        order=(module,),
        project_id=target.environment.project,
        stage=target.environment.stage,
        pins={module: component.configuration},
    )
    return replace(
        repair,
        secrets=bound_secrets.recorded_of([component]),
        replaces={module: component.release_revision},
        repaired_replicas=replicas,
    )
