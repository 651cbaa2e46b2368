"""The plan of a command: what it comes to in its environment, and why it cannot be done."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import field
from typing import Final

from function_apps.deployments.errors import CannotBePlanned
from function_apps.deployments.model import configuration, jobs, neighbours, release_unit
from function_apps.deployments.model.configuration import Configurations
from function_apps.deployments.model.deployment_target import (
    DeploymentTarget,
    EnvironmentProjection,
    QueueEntry,
)
from function_apps.deployments.model.rollout_steps import order_of, steps_of
from shared.contracts.components import Component
from shared.contracts.deployments import Deploy
from shared.contracts.releases import ReleasedComponent, ReleasedSecret
from shared.contracts.strategies import (
    OnConflict,
    RolloutDefaults,
    StrategyKind,
)
from shared.contracts.values import (
    ComputeTargetKind,
    ModuleId,
    TenantId,
)
from shared.images.reference import BadReference, parse_reference
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Invalid, Unavailable, Violation
from shared.surfaces.capabilities import Capabilities
from shared.surfaces.spec import RevisionSpec
from shared.surfaces.surface_plan import SurfacePlan, check

JUDGEMENTS_MAX: Final = 150
"""Components times steps: each leaves about 1.2 KB of evidence in a document of at most 1 MB."""


@dataclass(frozen=True)
class PlanContext:
    """The ground besides the target on which plans are checked."""

    capabilities: Mapping[ComputeTargetKind, Capabilities]
    uploaded: frozenset[str]
    """Digests of the caller's tenant."""
    rollout: RolloutDefaults
    away: AbstractSet[ComputeTargetKind] = frozenset()
    """Surfaces that do not say now what they can do."""
    is_gated: bool = True
    """False for the way back, which no gate judges."""
    configurations: Configurations = field(default_factory=Configurations)
    secrets: Mapping[ModuleId, Sequence[ReleasedSecret]] = field(default_factory=dict)
    """Of modules that get what an earlier release had."""


@dataclass(frozen=True)
class Plan:
    """The plan of a command in its environment as it is now.

    `order` has its modules, dependencies first. `units` are the components as they would be
    recorded, once it is known where they run. `refusals` has every reason why the command cannot be
    done as it stands, in the order of the rules.
    """

    order: tuple[ModuleId, ...]
    components: tuple[ReleasedComponent, ...]
    refusals: tuple[Violation, ...]


def plan(
    command: Deploy,
    tenant: TenantId,
    target: DeploymentTarget,
    ahead: Sequence[QueueEntry],
    context: PlanContext,
) -> Plan:
    """Return the plan of *command*, which comes after the entries *ahead*.

    What depends on the environment is judged once the environment is known.

    Raises:
        Unavailable: a surface that it needs does not say what it can do.
    """
    order, cycle = order_of(command.components)
    components = [
        release_unit.to_released_component(
            each,
            tenant,
            target,
            context.configurations.pins.get(each.module_id),
            context.secrets.get(each.module_id),
        )
        for each in command.components
    ]
    places = {each.module_id: each.compute_target for each in components if each is not None}
    refusals = [
        *_unsupported(command),
        *_unordered(command, cycle),
        *_components(command, context),
        *context.configurations.refusals,
        *neighbours.refusals(command, tenant, target, ahead, places),
    ]
    if target.environment is not None and target.environment.targets and not refusals:
        refusals += _surfaces(command, components, target, target.environment, tenant, context)
    return Plan(order, tuple(filter(None, components)), tuple(refusals))


def refused_anywhere(command: Deploy) -> Iterator[Violation]:
    """Yield what refuses *command* by itself, in every environment."""
    yield from _unsupported(command)
    yield from _unordered(command, order_of(command.components)[1])
    for index, component in enumerate(command.components):
        yield from _component(component, f"/components/{index}")


def require_plan(
    command: Deploy,
    tenant: TenantId,
    target: DeploymentTarget,
    ahead: Sequence[QueueEntry],
    context: PlanContext,
) -> Plan:
    """Return the plan of *command*, as `plan` does.

    Raises:
        CannotBePlanned: it has refusals; every one is listed.
    """
    found = plan(command, tenant, target, ahead, context)
    if found.refusals:
        raise CannotBePlanned(found.refusals)
    return found


def _unsupported(command: Deploy) -> Iterator[Violation]:
    rows = (
        (bool(command.hooks), "/hooks", "HookNotSupported", "hooks", "no hooks"),
        (
            command.strategy.kind in {StrategyKind.BLUE_GREEN, StrategyKind.ROLLING},
            "/strategy/kind",
            "StrategyNotSupported",
            command.strategy.kind,
            "canary or recreate",
        ),
        (
            command.on_conflict is OnConflict.SUPERSEDE,
            "/onConflict",
            "SupersedeNotSupported",
            command.on_conflict,
            "queue or reject",
        ),
    )
    for is_wrong, target, code, received, expected in rows:
        if is_wrong:
            message = f"{received} is not supported yet: expected {expected}"
            yield Violation(code, target, message, expected, received)
    steps = len(command.strategy.steps) or 3
    if steps * len(command.components) > JUDGEMENTS_MAX:
        yield Violation(
            "TooManyGates",
            "/strategy/steps",
            f"{steps} steps of {len(command.components)} components are too many judgements",
            f"at most {JUDGEMENTS_MAX} components times steps",
            str(steps * len(command.components)),
        )


def _unordered(command: Deploy, cycle: Sequence[ModuleId]) -> Iterator[Violation]:
    if cycle:
        named = " → ".join(cycle)
        yield Violation(
            "DependencyCycle",
            "/components",
            f"components depend on each other in a circle: {named}",
            "an order in which dependencies come first",
            named,
        )
    removed = set(command.remove)
    for index, component in enumerate(command.components):
        for needed in component.depends_on:
            if needed in removed:
                yield Violation(
                    "DependencyRemoved",
                    f"/components/{index}/dependsOn",
                    f"{component.module_id} depends on {needed}, which this deployment removes",
                    "a dependency that stays",
                    needed,
                )


def _components(command: Deploy, context: PlanContext) -> Iterator[Violation]:
    for index, component in enumerate(command.components):
        at = f"/components/{index}"
        if component.image is None and component.artifact_digest not in context.uploaded:
            yield Violation(
                "ArtifactMissing",
                f"{at}/artifactDigest",
                f"{component.artifact_digest} has not been uploaded: POST /artifacts first",
                "the digest of an uploaded artifact",
                component.artifact_digest,
            )
        yield from _component(component, at)
        if values := context.configurations.values.get(component.module_id):
            yield from configuration.refusals(component, values, at)


def _component(component: Component, at: str) -> Iterator[Violation]:
    """Yield what refuses *component*, at *at* in its command, whatever it is given."""
    if component.image is not None:
        yield from _reference(component.image, f"{at}/image")
    if component.replicas == 0:
        yield Violation(
            "ZeroReplicasNotSupported",
            f"{at}/replicas",
            f"{component.module_id} would have no instance to judge and to prove, and no "
            "scaling starts one: remove the module instead",
            "at least 1",
            "0",
        )
    if not component.command and component.image is None:
        yield Violation(
            "CommandMissing",
            f"{at}/command",
            f"{component.module_id} does not say how it starts: an artifact says nothing of it",
            "program and arguments",
            "nothing",
        )
    yield from _probes(component, at)
    if component.ends:
        yield from jobs.refusals(component, at)


def image_at(index: int) -> str:
    """Return the place of the image of the component *index* in the command."""
    return f"/components/{index}/image"


def _reference(image: str, at: str) -> Iterator[Violation]:
    try:
        parse_reference(image)
    except BadReference as refused:
        expected = "registry/repository:tag, or …@sha256:<64 hex>"
        yield Violation(refused.code, at, refused.message, expected, image)


def _probes(component: Component, at: str) -> Iterator[Violation]:
    probes = component.probes
    named = (
        ("startup", probes.startup),
        ("readiness", probes.readiness),
        ("liveness", probes.liveness),
    )
    for name, probe in named:
        if probe is not None and probe.port not in {None, component.port}:
            yield Violation(
                "ProbeNotSupported",
                f"{at}/probes/{name}/port",
                "a probe asks the component's own port",
                str(component.port),
                str(probe.port),
            )


def _surfaces(
    command: Deploy,
    components: Sequence[ReleasedComponent | None],
    target: DeploymentTarget,
    environment: EnvironmentProjection,
    tenant: TenantId,
    context: PlanContext,
) -> Iterator[Violation]:
    by_surface: dict[ComputeTargetKind, dict[int, RevisionSpec]] = {}
    for index, (component, released) in enumerate(zip(command.components, components, strict=True)):
        at = f"/components/{index}/computeTarget"
        refusal = _misplaced(component, released, at, target, environment, context)
        if refusal is not None:
            yield refusal
        elif released is not None:
            try:
                spec = release_unit.to_revision_spec(
                    released,
                    command.environment_id,
                    tenant,
                    context.rollout,
                    context.configurations.values.get(released.module_id, {}),
                )
            except Invalid as refused:
                yield _impossible(released, index, refused)
            else:
                by_surface.setdefault(released.compute_target, {})[index] = spec
    steps = steps_of(
        command.strategy,
        context.rollout,
        has_baseline=any(target.module(c.module_id).revision for c in command.components),
        has_components=bool(command.components),
    )
    weights = tuple(step.weight for step in steps) or (100,)
    for kind, specs in by_surface.items():
        elsewhere = tuple(
            capabilities
            for other, capabilities in context.capabilities.items()
            if other != kind and other in environment.targets
        )
        surface_plan = SurfacePlan(
            specs,
            weights,
            elsewhere=elsewhere,
            is_gated=context.is_gated,
            metrics=command.gate.metrics,
        )
        yield from check(surface_plan, context.capabilities[kind])


def _impossible(released: ReleasedComponent, index: int, refused: Invalid) -> Violation:
    """Return why no surface can run *released* with what it is given."""
    return Violation(
        refused.code,
        f"/components/{index}{refused.target or ''}",
        f"{released.module_id} cannot be given what is bound to it: {refused.message}",
        "a place of its own for each secret, with a name that the platform does not use",
    )


def _misplaced(
    component: Component,
    released: ReleasedComponent | None,
    at: str,
    target: DeploymentTarget,
    environment: EnvironmentProjection,
    context: PlanContext,
) -> Violation | None:
    """Return why *released* cannot be where it is to run; None where it can.

    Raises:
        Unavailable: its surface is away, so that is not known.
    """
    held = target.module(component.module_id)
    if released is None or released.compute_target not in environment.targets:
        return Violation(
            "NoComputeTarget",
            at,
            f"this environment has no place for {component.module_id}",
            f"one of {', '.join(environment.targets)}",
            released.compute_target if released else "nothing that fits its type",
        )
    if held.revision and held.compute_target not in {None, released.compute_target}:
        return Violation(
            "ComputeTargetFixed",
            at,
            f"{component.module_id} is on {held.compute_target}, and no traffic can be moved "
            "from one surface to another: remove it there first, or use another module",
            str(held.compute_target),
            released.compute_target,
        )
    if released.compute_target in context.away:
        raise Unavailable(f"{released.compute_target} is away: what it can do is not known")
    if released.compute_target not in context.capabilities:
        return Violation(
            "SurfaceNotSupported",
            at,
            f"{released.compute_target} is not served by this installation yet",
            ", ".join(context.capabilities),
            released.compute_target,
        )
    return None
