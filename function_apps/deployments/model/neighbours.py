"""Refusals of a deployment that would take what is not its own: of other modules, of the owner.

In force, or on their way in front of it: their paths of the public port, and what they depend on.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from function_apps.deployments.model.deployment_target import DeploymentTarget, QueueEntry
from shared.contracts.deployments import Deploy
from shared.contracts.strategies import StrategyKind
from shared.contracts.values import ComputeTargetKind, ModuleId, TenantId
from shared.kernel.errors import Violation
from shared.surfaces.errors import PathNotOwned

Places = Mapping[ModuleId, ComputeTargetKind]
"""The surface of each component, where it is known already."""


def refusals(
    command: Deploy,
    tenant: TenantId,
    target: DeploymentTarget,
    ahead: Sequence[QueueEntry],
    places: Places,
) -> tuple[Violation, ...]:
    """Return what *command* of *tenant* would take from what is in force, or is *ahead* of it."""
    is_guest = target.environment is not None and target.environment.owner != tenant
    paths = _foreign_paths(command) if is_guest else _taken_paths(command, target, ahead, places)
    return (*paths, *_bad_removals(command, target, ahead))


def _foreign_paths(command: Deploy) -> Iterator[Violation]:
    """Yield a refusal for each path prefix: those of the environment are its owner's."""
    for index, component in enumerate(command.components):
        if component.path_prefix is not None:
            refused = PathNotOwned(component.module_id)
            yield Violation(
                refused.code,
                f"/components/{index}/pathPrefix",
                refused.message,
                "no path prefix in an environment of another tenant",
                component.path_prefix,
            )


def _taken_paths(
    command: Deploy, target: DeploymentTarget, ahead: Sequence[QueueEntry], places: Places
) -> Iterator[Violation]:
    """Yield a refusal for each path prefix of *command* that is another module's.

    Each surface has a public port of its own. Of the entries ahead it is not known on which they
    will be, so none shares a prefix with them.
    What is in force keeps its prefix until it is gone, so two modules cannot swap theirs, and one
    that this deployment removes still has it; a recreate stops its old versions first.
    """
    changed = {component.module_id for component in command.components}
    stopped = changed if command.strategy.kind is StrategyKind.RECREATE else set()
    for index, component in enumerate(command.components):
        prefix = component.path_prefix
        if prefix is None:
            continue
        here = places.get(component.module_id)
        others = {
            module
            for module, state in target.modules.items()
            if module not in stopped and not _are_apart(here, state.compute_target)
        }
        holder = _holder_of(prefix, component.module_id, others, target, ahead)
        if holder is not None:
            yield Violation(
                "RouteTaken",
                f"/components/{index}/pathPrefix",
                f"{prefix} of the public port is {holder}'s; {component.module_id} needs another "
                "prefix, or none",
                "a prefix that nothing in force has",
                prefix,
            )


def _holder_of(
    prefix: str,
    module: ModuleId,
    others: AbstractSet[ModuleId],
    target: DeploymentTarget,
    ahead: Sequence[QueueEntry],
) -> str | None:
    for other in sorted(others - {module}):
        state = target.module(other)
        if state.revision and _same_path(state.path_prefix, prefix):
            return other
    for entry in ahead:
        is_taken = any(_same_path(taken, prefix) for taken in entry.path_prefixes)
        if is_taken and module not in entry.modules:
            return entry.deployment
    return None


def _are_apart(one: ComputeTargetKind | None, other: ComputeTargetKind | None) -> bool:
    """Return whether two components are known to be on different surfaces."""
    return None not in {one, other} and one is not other


def _same_path(one: str, other: str) -> bool:
    """Return whether the proxy takes both for the same, however they were spelled."""
    return bool(one) and _names(one) == _names(other)


def _names(prefix: str) -> Sequence[str]:
    return [name for name in prefix.split("/") if name]


def is_there(module: ModuleId, target: DeploymentTarget, ahead: Sequence[QueueEntry]) -> bool:
    """Return whether *module* is in force, or in a deployment *ahead*."""
    return bool(target.module(module).revision) or any(module in each.modules for each in ahead)


def _bad_removals(
    command: Deploy, target: DeploymentTarget, ahead: Sequence[QueueEntry]
) -> Iterator[Violation]:
    """Yield a refusal for each module to remove that is not there, or that others depend on."""
    for index, module in enumerate(command.remove):
        dependents = _dependents(module, command, target)
        dependents += [entry.deployment for entry in ahead if module in entry.depends_on]
        if dependents:
            named = ", ".join(dependents[:5])
            yield Violation(
                "StillNeeded",
                f"/remove/{index}",
                f"{named} depends on {module}: remove it too, or first deploy it without "
                "that dependency",
                "a module that nothing in force depends on",
                module,
            )
        elif not is_there(module, target, ahead):
            yield Violation(
                "NotDeployed",
                f"/remove/{index}",
                f"nothing of {module} is in force in this environment",
                "a module that is in force",
                module,
            )


def _dependents(module: ModuleId, command: Deploy, target: DeploymentTarget) -> list[str]:
    changed = {component.module_id for component in command.components} | {*command.remove}
    return [
        other
        for other, state in sorted(target.modules.items())
        if state.revision and module in state.depends_on and other not in changed
    ]
