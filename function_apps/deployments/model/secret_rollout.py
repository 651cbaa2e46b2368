"""Secret roll-outs: a deployment of kind secret brings one version to the release in force."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from function_apps.deployments.errors import NothingToRollOut
from function_apps.deployments.model import bound_secrets, predecessors, release_unit
from function_apps.deployments.model.deployment import Deployment, new_deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.facts import SecretFact, find_secret
from shared.contracts.deployments import Deploy, DeploymentKind, DeploymentStatus
from shared.contracts.releases import ReleasedComponent, ReleasedSecret
from shared.contracts.roll_outs import SecretRollout, WithdrawSecretVersions
from shared.contracts.secret_bindings import SecretRotationFailed
from shared.contracts.values import DeploymentId, EnvironmentId
from shared.kernel.context import Context, NewIds
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Unavailable

_RETRY_S: Final = 2.0


@dataclass(frozen=True)
class ReleaseInForce:
    """The component of a module that is in force, and the deployment that released it.

    `fact` is what is recorded of the secret that it is to be given.
    """

    deployment: Deployment
    component: ReleasedComponent
    fact: SecretFact


def release_in_force(
    rollout: SecretRollout, target: DeploymentTarget, known: Mapping[str, Deployment]
) -> ReleaseInForce:
    """Return what *rollout* is for, from the deployments in *known*.

    Raises:
        NothingToRollOut: its module has no instance that could be given another version, or as
            `bound_fact`.
        Unavailable: as `bound_fact`.
    """
    module, fact = rollout.module_id, bound_fact(rollout, target)
    found = predecessors.module_in_force(target, module, known)
    if found is None:
        raise NothingToRollOut(
            f"no release of {module} is in force: its next one has {rollout.version} of"
            f" {rollout.secret_name}"
        )
    deployment, component = found
    if component.runs_once is not None:
        raise NothingToRollOut(
            f"{module} has run to its end: its next release has {rollout.version} of"
            f" {rollout.secret_name}"
        )
    return ReleaseInForce(deployment, component, fact)


def bound_fact(rollout: SecretRollout, target: DeploymentTarget) -> SecretFact:
    """Return what is recorded of the secret of *rollout*.

    Raises:
        Unavailable: no event of its binding has come yet.
        NothingToRollOut: its binding was revoked.
    """
    fact = find_secret(target.facts, rollout.module_id, rollout.secret_name)
    if fact is None:
        raise Unavailable(
            f"no event of {rollout.binding_id} has come yet: where {rollout.secret_name} is, is"
            " not known",
            retry_after_s=_RETRY_S,
        )
    if not fact.version:
        raise NothingToRollOut(
            f"the binding of {rollout.secret_name} to {rollout.module_id} was revoked"
        )
    return fact


def is_outdated(rollout: SecretRollout, fact: SecretFact) -> bool:
    """Return whether that of *rollout* has failed, or a later one is recorded or was asked for."""
    number = bound_secrets.number_of(rollout.rotation_id)
    return number > 0 and fact.is_over(number)


def is_given(rollout: SecretRollout, release: ReleaseInForce) -> bool:
    """Return whether *release* has the version of *rollout* already."""
    versions = release.component.secret_versions
    return versions.get(rollout.secret_name) == rollout.version


def may_start_another(command: WithdrawSecretVersions, deployment: Deployment) -> bool:
    """Return whether *deployment*, which has begun, may start an instance with another version.

    Another, that is, than that of *command*. Before its unit is fixed nothing is given to it. What
    it goes back to is given what is recorded when it turns back.
    """
    module, name = command.module_id, command.secret_name
    components = [deployment.candidate(module)]
    if deployment.status is DeploymentStatus.ROLLING_BACK:
        components.append(deployment.before(module))
    given = {each.secret_versions.get(name) for each in components if each is not None}
    return not given <= {None, command.version}


def new_rollout(
    rollout: SecretRollout,
    environment_id: EnvironmentId,
    release: ReleaseInForce | None,
    target: DeploymentTarget,
    ids: NewIds,
    ctx: Context,
) -> Deployment:
    """Return the deployment that brings *rollout*, before it enters its queue.

    What it is of is fixed when it starts, as deployments before it may change that. Without a
    *release* it has no component, and is to be ended.
    """
    command = Deploy.model_construct(
        environment_id=environment_id,
        release_ref=release.deployment.release_ref if release else rollout.version,
    )
    environment = target.environment
    deployment = new_deployment(
        command,
        ids,
        ctx,
        kind=DeploymentKind.SECRET,
        key=key_of(rollout.binding_id, rollout.version),
        order=(),
        project_id=environment.project if environment else None,
        stage=environment.stage if environment else None,
    )
    deployment = replace(deployment, secret=rollout)
    return deployment if release is None else of_release(deployment, release)


def key_of(binding_id: str, version: str) -> str:
    """Return the key, in its queue, of the roll-out of a version to a binding."""
    return f"{binding_id} {version}"


def roll_outs_to(event: SecretRotationFailed, target: DeploymentTarget) -> Sequence[DeploymentId]:
    """Return the roll-outs in the queue that may be of the rotation of *event*."""
    bindings = {event.binding_id, *(each.binding_id for each in event.consumers)}
    keys = {key_of(binding, event.version) for binding in bindings}
    return [entry.deployment for entry in target.queue if entry.key in keys]


def of_release(deployment: Deployment, release: ReleaseInForce) -> Deployment:
    """Return *deployment* for *release*: its image, configuration, steps, gate and other secrets.

    Raises:
        NothingToRollOut: its rotation has failed, or a later one is asked for.
    """
    rollout, fact, component = deployment.secret, release.fact, release.component
    assert rollout is not None, deployment.deployment_id
    if is_outdated(rollout, fact):
        raise NothingToRollOut(
            f"{rollout.module_id} has {fact.version} of {rollout.secret_name}:"
            f" {rollout.rotation_id} has failed, or a later rotation has begun"
        )
    new = bound_secrets.to_released_secret(replace(fact, version=rollout.version))
    others = [secret for secret in component.secrets if secret.name != rollout.secret_name]
    secrets: tuple[ReleasedSecret, ...] = (*others, new)
    terms = release.deployment.terms_of(component.module_id)
    return replace(
        deployment,
        release_ref=release.deployment.release_ref,
        strategy=terms.strategy,
        gate=terms.gate,
        components=(release_unit.requested_component(component),),
        order=(component.module_id,),
        pins={component.module_id: component.configuration},
        secrets={component.module_id: tuple(sorted(secrets, key=bound_secrets.BY_NAME))},
    )
