"""Roll-outs of configuration: the releases in force that float, brought to what is recorded. Pure.

A roll-out names modules, and nothing else is of its command: what runs, and what is published, are
taken anew when it starts. So one that waits brings whatever came meanwhile, to whatever came
meanwhile, and a later one is answered by it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from function_apps.deployments.model.configuration import (
    Configurations,
    LayerVersion,
    identity_of,
    layers_of,
)
from function_apps.deployments.model.deployment import Deployment, new_deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget, QueueEntry
from function_apps.deployments.model.lifecycle import RolloutTerms
from function_apps.deployments.model.rollout_steps import order_of
from shared.contracts.components import Component, ConfigurationChoice
from shared.contracts.configurations import ConfigurationLayer
from shared.contracts.deployments import Deploy, DeploymentKind
from shared.contracts.releases import ConfigurationPin, ReleasedComponent
from shared.contracts.roll_outs import RollOutConfiguration
from shared.contracts.values import ConfigurationId, DeploymentId, ModuleId
from shared.kernel.context import Context, NewIds
from shared.kernel.dataclass import dataclass


def floating_modules(
    target: DeploymentTarget, named: Collection[ModuleId] = ()
) -> tuple[ModuleId, ...]:
    """Return the modules whose release in force floats; of *named*, where there are any."""
    return tuple(
        module
        for module, state in sorted(target.modules.items())
        if state.revision and state.is_floating and (not named or module in named)
    )


def modules_by_holder(
    target: DeploymentTarget, modules: Iterable[ModuleId]
) -> Mapping[DeploymentId, tuple[ModuleId, ...]]:
    """Return *modules* by the deployment that released them: each has steps and a gate."""
    found: dict[DeploymentId, tuple[ModuleId, ...]] = {}
    for module in modules:
        by = target.module(module).by
        if by is not None:
            found[by] = (*found.get(by, ()), module)
    return found


def queued_roll_out(target: DeploymentTarget, modules: Collection[ModuleId]) -> QueueEntry | None:
    """Return a roll-out that waits, and brings to *modules* what is recorded when it starts."""
    return next(
        (
            entry
            for entry in target.queue
            if entry.kind is DeploymentKind.CONFIGURATION
            and not entry.token
            and {*modules} <= {*entry.modules}
        ),
        None,
    )


@dataclass(frozen=True)
class InForce:
    """A component as it was asked for, and the configuration that its release was given."""

    component: Component
    pin: ConfigurationPin


def in_force(
    target: DeploymentTarget, modules: Iterable[ModuleId], holders: Mapping[str, Deployment]
) -> tuple[InForce, ...]:
    """Return what is in force of *modules*, from those of *holders* that released it."""
    found: list[InForce] = []
    for module in modules:
        state = target.module(module)
        holder = holders.get(state.by or "")
        released = holder.candidate(module) if holder else None
        is_same = released is not None and released.release_revision == state.revision
        # Renewed, it has other versions of secrets, and the same configuration.
        if holder and released and (is_same or state.renewed is not None):
            asked = next(each for each in holder.components if each.module_id == module)
            found.append(InForce(asked, released.configuration))
    return tuple(found)


def outdated(running: Iterable[InForce], given: Configurations) -> tuple[Component, ...]:
    """Return those of *running* that have other values than they would be *given* now."""
    return tuple(
        each.component
        for each in running
        if given.pins[each.component.module_id].hash != each.pin.hash
    )


def modules_by_terms(
    holder: Deployment, modules: Iterable[ModuleId]
) -> Sequence[Sequence[ModuleId]]:
    """Return *modules*, which *holder* released, by the steps and gates of their releases.

    A rollback may have brought releases back that had others.
    """
    groups: list[tuple[RolloutTerms, list[ModuleId]]] = []
    for module in modules:
        terms = holder.terms_of(module)
        known = next((group for found, group in groups if found == terms), None)
        if known is None:
            groups.append((terms, [module]))
        else:
            known.append(module)
    return [group for _, group in groups]


def command_of(
    holder: Deployment, components: tuple[Component, ...], configuration_id: ConfigurationId
) -> Deploy:
    """Return the deployment of *components*, in the steps and with the gate of their release."""
    terms = holder.terms_of(components[0].module_id)
    return Deploy(
        environment_id=holder.environment_id,
        release_ref=holder.release_ref,
        components=components,
        configuration=ConfigurationChoice(configuration_id=configuration_id),
        strategy=terms.strategy,
        gate=terms.gate,
    )


def roll_out_of(
    command: Deploy,
    key: str,
    given: Configurations,
    target: DeploymentTarget,
    ids: NewIds,
    ctx: Context,
) -> Deployment:
    """Return the deployment of kind configuration that *command* asks for, before it is queued."""
    order, _ = order_of(command.components)
    return new_deployment(
        command,
        ids,
        ctx,
        kind=DeploymentKind.CONFIGURATION,
        key=key,
        order=order,
        project_id=target.environment.project if target.environment else None,
        stage=target.environment.stage if target.environment else None,
        pins=given.pins,
    )


def renewed(
    roll_out: Deployment, components: tuple[Component, ...], given: Configurations
) -> Deployment:
    """Return *roll_out*, which is about to start, of *components* as they are *given* now."""
    order, _ = order_of(components)
    modules = {component.module_id for component in components}
    pins = {module: pin for module, pin in given.pins.items() if module in modules}
    return replace(roll_out, components=components, order=order, pins=pins)


def missed_by(
    done: Deployment, released: Iterable[ReleasedComponent], target: DeploymentTarget
) -> RollOutConfiguration | None:
    """Return the roll-out of what was published while *done*, which has *released*, was on its way.

    Of a module that was not in force then, or did not float, none was sent. What a release did not
    bring is what was in force: a rollback keeps what it goes back to. A release that names versions
    has those.
    """
    if done.kind is not DeploymentKind.RELEASE:
        return None
    if done.configuration and done.configuration.names_versions:
        return None
    later: dict[ModuleId, tuple[ConfigurationLayer, LayerVersion]] = {}
    for component in released:
        if queued_roll_out(target, [component.module_id]) or not component.takes_roll_outs:
            continue
        layers, _ = layers_of(component.module_id, None, None, target.facts)
        for layer, recorded in layers.items():
            pinned: int = getattr(component.configuration, layer.value)
            if recorded.version > pinned:
                later[component.module_id] = (layer, recorded)
    if not later:
        return None
    module, (layer, recorded) = next(iter(later.items()))
    return RollOutConfiguration(
        environment_id=done.environment_id,
        configuration_id=identity_of(layer, done.environment_id, module, done.tenant_id),
        version=recorded.version,
        content_hash=recorded.content_hash,
        modules=tuple(later),
    )
