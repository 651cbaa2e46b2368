"""Relocations: what is in force of a module, once more, as its tenant's binding was moved. Pure.

What is decided when an instance starts, such as the identity and the limits that its boundary gives
it, is so as the moved binding has it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from function_apps.deployments.errors import DowntimeNotAllowed, NothingToRollOut
from function_apps.deployments.model import (
    bound_secrets,
    module_queue,
    predecessors,
    release_unit,
)
from function_apps.deployments.model.deployment import Deployment, new_deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget
from shared.contracts.deployments import Deploy, DeploymentKind
from shared.contracts.roll_outs import ConfirmCutOver, Relocation
from shared.contracts.strategies import StrategyKind
from shared.contracts.values import DeploymentId, EnvironmentId
from shared.kernel.context import Context, NewIds
from shared.kernel.errors import Unavailable

_RETRY_S: Final = 2.0


def key_of(relocation: Relocation) -> str:
    return f"{relocation.tenant_binding_id} {relocation.binding_revision} {relocation.module_id}"


def require_told(relocation: Relocation | ConfirmCutOver, target: DeploymentTarget) -> None:
    """Refuse to act for a move before the event of the moved binding has come.

    Raises:
        Unavailable: what was started now would record an earlier revision of it.
    """
    binding, revision = target.binding, relocation.binding_revision
    is_told = binding is not None and binding.binding_id == relocation.tenant_binding_id
    if binding is None or not is_told or binding.revision < revision:
        raise Unavailable(
            f"revision {revision} of {relocation.tenant_binding_id} is not known here yet",
            retry_after_s=_RETRY_S,
        )


def require_current(relocation: Relocation, target: DeploymentTarget) -> None:
    """Refuse to start anything again for a move that is over.

    Raises:
        NothingToRollOut.
    """
    binding = target.binding
    if binding is not None and relocation.binding_revision < binding.asked_revision:
        raise NothingToRollOut(
            f"the move of {binding.binding_id} that had revision {relocation.binding_revision} is"
            " over"
        )


def of_moves_before(asked_revision: int, target: DeploymentTarget) -> Sequence[DeploymentId]:
    """Return the relocations in the queue that are of a move from before *asked_revision*."""
    return [
        each.deployment
        for each in target.queue
        if each.kind is DeploymentKind.RELOCATION and each.moved_revision < asked_revision
    ]


def new_relocation(
    relocation: Relocation,
    environment_id: EnvironmentId,
    target: DeploymentTarget,
    ids: NewIds,
    ctx: Context,
) -> Deployment:
    """Return the deployment for *relocation*, before it is known what it is of."""
    environment = target.environment
    deployment = new_deployment(
        Deploy.model_construct(
            environment_id=environment_id, release_ref=relocation.module_id, restart=True
        ),
        ids,
        ctx,
        kind=DeploymentKind.RELOCATION,
        key=key_of(relocation),
        order=(),
        project_id=environment.project if environment else None,
        stage=environment.stage if environment else None,
    )
    return replace(deployment, relocation=relocation)


def of_release(
    deployment: Deployment, target: DeploymentTarget, known: Mapping[str, Deployment]
) -> Deployment:
    """Return *deployment* for what is in force of its module: all of it as it was recorded.

    Raises:
        NothingToRollOut: nothing is, it has run to its end, or has the moved binding already; or
            the move is over.
        DowntimeNotAllowed: it takes requests, and its release stops it before the next one starts.
    """
    relocation = _asked(deployment)
    require_current(relocation, target)
    return _of_release(deployment, relocation, target, known)


def _asked(deployment: Deployment) -> Relocation:
    """Return what *deployment*, which is of kind relocation, is part of."""
    assert deployment.relocation is not None, deployment.deployment_id
    return deployment.relocation


def _of_release(
    deployment: Deployment,
    relocation: Relocation,
    target: DeploymentTarget,
    known: Mapping[str, Deployment],
) -> Deployment:
    module, revision = relocation.module_id, relocation.binding_revision
    found = predecessors.module_in_force(target, module, known)
    if found is None or found[1].runs_once is not None:
        raise NothingToRollOut(f"{module} has no instance that could be relocated")
    release, component = found
    if (component.tenant_binding_revision or 0) >= revision:
        raise NothingToRollOut(f"{module} was started by revision {revision} or a later one")
    terms = release.terms_of(module)
    stops_first = terms.strategy.kind is StrategyKind.RECREATE and component.port is not None
    if stops_first and not relocation.allow_downtime:
        raise DowntimeNotAllowed(
            f"{release.release_ref} stops {module} before it is started again (recreate), and"
            " requests fail meanwhile: move with allowDowntime"
        )
    return replace(
        deployment,
        release_ref=release.release_ref,
        strategy=terms.strategy,
        gate=terms.gate,
        components=(release_unit.requested_component(component),),
        order=(module,),
        pins={module: component.configuration},
        secrets=bound_secrets.recorded_of([component]),
    )


def of_release_or_later(
    deployment: Deployment, target: DeploymentTarget, known: Mapping[str, Deployment]
) -> Deployment:
    """Return *deployment* for what is in force; as it is where that is only seen when it starts.

    So it is while a deployment of its module is on its way that began by an earlier binding.

    Raises:
        NothingToRollOut, DowntimeNotAllowed: as `of_release`.
    """
    relocation = _asked(deployment)
    require_current(relocation, target)
    try:
        return _of_release(deployment, relocation, target, known)
    except NothingToRollOut:
        module, revision = relocation.module_id, relocation.binding_revision
        if module_queue.began_before(target, revision, module):
            return deployment
        raise
