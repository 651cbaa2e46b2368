"""The decision about a release: its plan, what refuses it, and its place in the queues.

A request commits it, a dry run shows it.
"""

from collections.abc import Callable
from dataclasses import replace

from function_apps.deployments.errors import CannotBePlanned
from function_apps.deployments.model import (
    module_queue,
    plan_checks,
    preconditions,
    secret_rollout,
)
from function_apps.deployments.model.deployment import Deployment, new_deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget, QueueEntry
from function_apps.deployments.model.facts import find_secret
from function_apps.deployments.model.lifecycle import ENDINGS
from function_apps.deployments.model.module_queue import Keys
from function_apps.deployments.model.plan_checks import Plan, PlanContext
from shared.contracts.deployments import Deploy, DeploymentKind, DeploymentStatus
from shared.contracts.promotions import SoakEvidence
from shared.contracts.releases import ReleasedSecret
from shared.contracts.values import ModuleId
from shared.kernel.context import Context, NewIds
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Refused

Refuse = Callable[[Refused], None]
"""Takes what a command is refused for: a request raises it, a dry run lists it and goes on."""


@dataclass(frozen=True)
class Entered:
    """A deployment in the queues of *target*, and the entries that may start now."""

    deployment: Deployment
    target: DeploymentTarget
    admitted: tuple[QueueEntry, ...]


@dataclass(frozen=True)
class ReleaseDecision:
    """The plan of a release; `entered` is absent where something keeps it from its queues."""

    plan: Plan
    entered: Entered | None


def is_answered_by(active: Deployment, keys: Keys, target: DeploymentTarget) -> bool:
    """Return whether a command with *keys* comes to what *active* does, which has its modules.

    One that goes back comes to nothing, so it answers the very same command only. One whose unit
    is fixed is given another version of a secret by a roll-out: a rotation brings that, and a
    binding that began again does not.
    """
    if active.key == keys.natural or active.status in ENDINGS:
        return True
    if active.status is DeploymentStatus.ROLLING_BACK:
        return False
    return not any(
        _is_left_out(component.module_id, secret, target)
        for component in active.released_components
        for secret in component.secrets
    )


def _is_left_out(module: ModuleId, secret: ReleasedSecret, target: DeploymentTarget) -> bool:
    """Return whether nothing brings the version that is bound now to what has *secret*."""
    fact = find_secret(target.facts, module, secret.name)
    if fact is None or fact.rotation or fact.version == secret.version:
        return False
    waiting = {each.key for each in target.queue}
    return secret_rollout.key_of(fact.binding, fact.version) not in waiting


def decide_release(
    command: Deploy,
    keys: Keys,
    context: PlanContext,
    evidence: SoakEvidence | None,
    target: DeploymentTarget,
    ids: NewIds,
    ctx: Context,
    refuse: Refuse,
) -> ReleaseDecision:
    """Return what becomes of *command*, which repeats nothing.

    It names its images by digest, except in a dry run one that was refused before.

    Raises:
        Unavailable: a surface that it needs does not say what it can do.
    """
    plan = plan_checks.plan(command, ctx.tenant, target, target.queue, context)
    if plan.refusals:
        refuse(CannotBePlanned(plan.refusals))
    environment = target.environment
    release = new_deployment(
        command,
        ids,
        ctx,
        kind=DeploymentKind.RELEASE,
        key=keys.natural,
        order=plan.order,
        project_id=environment.project if environment else None,
        stage=environment.stage if environment else None,
        evidence=evidence,
        pins=context.configurations.pins,
    )
    kept_out = preconditions.admission_refusals(release, plan.components, target)
    for each in kept_out:
        refuse(each)
    if kept_out:
        return ReleaseDecision(plan, None)
    try:
        return ReleaseDecision(plan, enter(release, keys.content, target, keys.base))
    except Refused as refusal:
        refuse(refusal)
        return ReleaseDecision(plan, None)


def enter(
    deployment: Deployment, content: str, target: DeploymentTarget, base: str = ""
) -> Entered:
    """Put *deployment*, which was admitted, into its queues.

    *content* is a key of its command, and so is *base*, of a release that a repeat is answered by.

    Raises:
        QueueTaken, QueueFull, HoldsFull.
    """
    relocation = deployment.relocation
    entry = QueueEntry(
        deployment.deployment_id,
        deployment.operation_id,
        deployment.modules,
        deployment.kind,
        deployment.key,
        content,
        path_prefixes=tuple(c.path_prefix for c in deployment.components if c.path_prefix),
        depends_on=tuple(sorted({need for c in deployment.components for need in c.depends_on})),
        base=base,
        moved_revision=relocation.binding_revision if relocation else 0,
    )
    after, admitted = module_queue.enqueue(target, entry, deployment.on_conflict)
    own = next((each for each in admitted if each.deployment == deployment.deployment_id), entry)
    return Entered(replace(deployment, token=own.token), after, admitted)
