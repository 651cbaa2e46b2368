"""Predecessors: for each module the release before the one whose component runs.

A rollback restores a component of an earlier release. Undoing the rollback goes to what was before
that release, never to what the rollback took away.
"""

from collections.abc import Iterable, Mapping

from function_apps.deployments.errors import NotRollbackable
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget, ModuleState
from function_apps.deployments.model.lifecycle import ReleaseName
from shared.contracts.deployments import DeploymentKind, DeploymentStatus
from shared.contracts.releases import ReleasedComponent
from shared.contracts.values import DeploymentId, ModuleId
from shared.kernel.dataclass import dataclass


@dataclass(frozen=True)
class Predecessors:
    """Components to go back to, and the release that each is from."""

    components: tuple[ReleasedComponent, ...]
    releases: Mapping[ModuleId, ReleaseName]

    def ref(self, undone: Deployment) -> str:
        """Return what to call the release that comes back."""
        names = sorted(self.releases.values(), key=lambda name: name.deployment_id)
        return names[-1].release_ref if names else f"before {undone.release_ref}"[:128]


def predecessors_of(undone: Deployment, wanted: Deployment | None) -> Predecessors:
    """Return what *undone* goes back to: what was before it, or what *wanted* released.

    Raises:
        NotRollbackable: *wanted* is *undone* itself, is not Completed or lacks a module, or nothing
            is known.
    """
    if wanted is not None:
        return _released_by(undone, wanted)
    if undone.kind is DeploymentKind.ROLLBACK and undone.components and not undone.restores:
        raise NotRollbackable(
            f"{undone.deployment_id} does not say which release it restored: name the deployment "
            "to go back to"
        )
    is_rollback = undone.kind is DeploymentKind.ROLLBACK
    components = undone.earlier if is_rollback else undone.previous
    return Predecessors(components, undone.earlier_releases)


def _released_by(undone: Deployment, wanted: Deployment) -> Predecessors:
    if wanted.deployment_id == undone.deployment_id:
        raise NotRollbackable(
            f"{undone.deployment_id} is what would be undone: name an earlier deployment to go back"
            " to, or none",
            target="/toDeploymentId",
        )
    if wanted.status is not DeploymentStatus.COMPLETED or wanted.unit is None:
        raise NotRollbackable(
            f"{wanted.deployment_id} is {wanted.status}; a rollback goes back to a Completed one"
        )
    components = tuple(
        component for component in wanted.unit.components if component.module_id in undone.modules
    )
    missing = sorted({*undone.modules} - {component.module_id for component in components})
    if missing:
        raise NotRollbackable(
            f"{wanted.deployment_id} has no {missing[0]}, which {undone.deployment_id} changed"
        )
    modules = (component.module_id for component in components)
    return Predecessors(components, {module: _release_of(wanted, module) for module in modules})


def _release_of(deployment: Deployment, module: ModuleId) -> ReleaseName:
    release = deployment.restores.get(module, deployment.deployment_id)
    return ReleaseName(release, deployment.release_ref)


def earlier_than(
    restored: Mapping[ModuleId, DeploymentId], releases: Mapping[str, Deployment]
) -> Predecessors:
    """Return what was before the releases that a rollback restores, by module."""
    components: list[ReleasedComponent] = []
    names: dict[ModuleId, ReleaseName] = {}
    for module, release in restored.items():
        known = releases.get(release)
        before = known.before(module) if known else None
        if known is not None and before is not None and module in known.earlier_releases:
            components.append(before)
            names[module] = known.earlier_releases[module]
    return Predecessors(tuple(components), names)


def in_force(
    target: DeploymentTarget, modules: Iterable[ModuleId], known: Mapping[str, Deployment]
) -> Predecessors:
    """Return what is in force of *modules*, from the deployments in *known* that released it."""
    components: list[ReleasedComponent] = []
    names: dict[ModuleId, ReleaseName] = {}
    for module in modules:
        state = target.module(module)
        holder = known.get(state.by or "")
        component = _in_force(state, module, holder, known.get(state.renewed or ""))
        if holder is not None and component is not None:
            components.append(component)
            names[module] = _release_of(holder, module)
    return Predecessors(tuple(components), names)


def module_in_force(
    target: DeploymentTarget, module: ModuleId, known: Mapping[str, Deployment]
) -> tuple[Deployment, ReleasedComponent] | None:
    """Return the release in force of *module*, and its component; None where there is none."""
    components = in_force(target, [module], known).components
    by = target.module(module).by
    return (known[by], components[0]) if components and by is not None else None


def _in_force(
    state: ModuleState, module: ModuleId, holder: Deployment | None, renewal: Deployment | None
) -> ReleasedComponent | None:
    """Return the component of *state*: that of *holder*, or as *renewal* brought it back."""
    components = holder.released_components if holder else ()
    if renewal is not None and renewal.restored is not None:
        components = renewal.restored.components
    return next(
        (
            component
            for component in components
            if component.module_id == module and component.release_revision == state.revision
        ),
        None,
    )


def revisions_in_force(
    target: DeploymentTarget, modules: Iterable[ModuleId]
) -> Mapping[ModuleId, int]:
    """Return what runs now of *modules*; 0 for nothing."""
    return {module: target.module(module).revision for module in modules}
