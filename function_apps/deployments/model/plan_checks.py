"""From a command to a plan: order, natural key, what is refused, and the release unit."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from function_apps.deployments.model import neighbours, units
from function_apps.deployments.model.deployment import TrafficShift
from function_apps.deployments.model.target import KnownEnvironment, Target
from shared.contracts.components import Component, ConfigurationChoice
from shared.contracts.deployments import Deploy
from shared.contracts.strategies import (
    OnConflict,
    RolloutDefaults,
    Strategy,
    StrategyKind,
    TrafficStep,
)
from shared.contracts.values import (
    ComputeTargetKind,
    DeploymentId,
    ModuleId,
    ProbeKind,
    TenantId,
)
from shared.kernel.errors import Violation
from shared.surfaces.capabilities import Capabilities, SurfacePlan, check
from shared.surfaces.spec import RevisionSpec

JUDGEMENTS_MAX: Final = 150
"""Components times steps: each leaves about 1.2 KB of evidence in a document of at most 1 MB."""
_KEY_LENGTH: Final = 16


def order_of(components: Sequence[Component]) -> tuple[tuple[ModuleId, ...], tuple[ModuleId, ...]]:
    """Return the modules, dependencies first and otherwise as given; and a cycle, if there is one.

    Dependencies outside the deployment are there already and order nothing.
    """
    needs = {c.module_id: [m for m in c.depends_on if m != c.module_id] for c in components}
    done: list[ModuleId] = []
    path: list[ModuleId] = []

    def visit(module: ModuleId) -> tuple[ModuleId, ...]:
        if module in done or module not in needs:
            return ()
        if module in path:
            return (*path[path.index(module) :], module)
        path.append(module)
        for needed in needs[module]:
            if cycle := visit(needed):
                return cycle
        path.pop()
        done.append(module)
        return ()

    for component in components:
        if component.module_id in component.depends_on:
            return (), (component.module_id, component.module_id)
        if cycle := visit(component.module_id):
            return (), cycle
    return tuple(done), ()


def natural_key(command: Deploy) -> str:
    """Return the key of environment, modules with version and digest, removals and pins."""
    parts = sorted([c.module_id, c.version, units.digest_of(c)] for c in command.components)
    pins = command.configuration.model_dump(mode="json") if command.configuration else None
    return _hash([command.environment_id, parts, sorted(command.remove), pins])


def unit_key(
    environment: str, components: Sequence[Component], pins: ConfigurationChoice | None
) -> str:
    """Return the key of all that runs: the same version may start otherwise, with other bounds."""
    parts = sorted((c.model_dump(mode="json") for c in components), key=lambda c: c["moduleId"])
    return _hash([environment, parts, pins.model_dump(mode="json") if pins else None])


def content_key(command: Deploy) -> str:
    """Return the key of everything that a repeat must agree in."""
    return _hash(command.model_dump(mode="json", exclude={"dry_run", "on_conflict"}))


def _hash(content: object) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]


def steps_of(
    strategy: Strategy, defaults: RolloutDefaults, *, has_baseline: bool, has_components: bool
) -> tuple[TrafficShift, ...]:
    """Return the weights to go through; all at once where there is no baseline to compare with."""
    if not has_components:
        return ()
    whole = (TrafficStep(weight=100),)
    steps = strategy.steps or defaults.steps()
    if strategy.kind is StrategyKind.RECREATE or not has_baseline:
        steps = whole
    return tuple(
        TrafficShift(
            index,
            f"weight {step.weight} %",
            step.weight,
            (step.pause or timedelta(0)).total_seconds(),
        )
        for index, step in enumerate(steps)
    )


@dataclass(frozen=True)
class Ground:
    """What a plan stands on: the environment's surfaces and what this service has uploaded."""

    target: Target
    capabilities: Mapping[ComputeTargetKind, Capabilities]
    uploaded: frozenset[str]
    """Digests of the caller's tenant."""
    rollout: RolloutDefaults
    own: DeploymentId | None = None
    """The deployment that is planned, once it is in the queue."""


def refusals(command: Deploy, tenant: TenantId, ground: Ground) -> tuple[Violation, ...]:
    """Return every reason why *command* cannot be done as it stands, in the order of the rules.

    What depends on the environment is judged once the environment is known.
    """
    found = [
        *_not_offered(command),
        *_unordered(command),
        *_components(command, ground),
        *neighbours.refusals(command, ground.target, ground.own),
    ]
    environment = ground.target.environment
    if environment is not None and environment.targets and not found:
        found += _surfaces(command, tenant, ground, environment)
    return tuple(found)


def _not_offered(command: Deploy) -> Iterator[Violation]:
    rows = (
        (bool(command.hooks), "/hooks", "HookNotOffered", "hooks", "no hooks"),
        (
            command.strategy.kind in {StrategyKind.BLUE_GREEN, StrategyKind.ROLLING},
            "/strategy/kind",
            "StrategyNotOffered",
            command.strategy.kind,
            "canary or recreate",
        ),
        (
            command.on_conflict is OnConflict.SUPERSEDE,
            "/onConflict",
            "SupersedeNotOffered",
            command.on_conflict,
            "queue or reject",
        ),
    )
    for is_wrong, target, code, received, expected in rows:
        if is_wrong:
            message = f"{received} is not offered yet: expected {expected}"
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


def _unordered(command: Deploy) -> Iterator[Violation]:
    _, cycle = order_of(command.components)
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


def _components(command: Deploy, ground: Ground) -> Iterator[Violation]:
    for index, component in enumerate(command.components):
        at = f"/components/{index}"
        if component.image is not None:
            yield Violation(
                "ImageNotOffered",
                f"{at}/image",
                "no surface runs images yet: upload an artifact and name its digest",
                "artifactDigest",
                component.image,
            )
        elif component.artifact_digest not in ground.uploaded:
            yield Violation(
                "ArtifactMissing",
                f"{at}/artifactDigest",
                f"{component.artifact_digest} has not been uploaded: POST /artifacts first",
                "the digest of an uploaded artifact",
                component.artifact_digest,
            )
        if not component.command:
            yield Violation(
                "CommandMissing",
                f"{at}/command",
                f"{component.module_id} does not say how it starts: an artifact says nothing of it",
                "program and arguments",
                "nothing",
            )
        yield from _probes(component, at)


def _probes(component: Component, at: str) -> Iterator[Violation]:
    probes = component.probes
    if probes.startup is not None:
        yield Violation(
            "StartupProbeNotOffered",
            f"{at}/probes/startup",
            "startup probes are not offered yet: readiness decides on traffic",
            "readiness and liveness",
            "startup",
        )
    for name, probe in (("readiness", probes.readiness), ("liveness", probes.liveness)):
        if probe is not None and probe.kind is not ProbeKind.HTTP:
            yield Violation(
                "ProbeNotOffered",
                f"{at}/probes/{name}/kind",
                f"{probe.kind} probes are not offered yet",
                "http",
                probe.kind,
            )
        if probe is not None and probe.port not in {None, component.port}:
            yield Violation(
                "ProbeNotOffered",
                f"{at}/probes/{name}/port",
                "a probe asks the component's own port",
                str(component.port),
                str(probe.port),
            )


def _surfaces(
    command: Deploy, tenant: TenantId, ground: Ground, environment: KnownEnvironment
) -> Iterator[Violation]:
    by_surface: dict[ComputeTargetKind, list[RevisionSpec]] = {}
    for index, component in enumerate(command.components):
        kind = units.placed(component, environment.targets)
        offered = ", ".join(environment.targets)
        if kind is None or kind not in environment.targets:
            yield Violation(
                "NoComputeTarget",
                f"/components/{index}/computeTarget",
                f"this environment has no place for {component.module_id}",
                f"one of {offered}",
                kind or "nothing that fits its type",
            )
        elif kind not in ground.capabilities:
            yield Violation(
                "SurfaceNotOffered",
                f"/components/{index}/computeTarget",
                f"{kind} is not served by this installation yet",
                ", ".join(ground.capabilities),
                kind,
            )
        else:
            unit = units.released(component, kind, 1, command.environment_id, tenant, ground.target)
            spec = units.spec_of(unit, command.environment_id, tenant, ground.rollout)
            by_surface.setdefault(kind, []).append(spec)
    has_baseline = any(
        ground.target.module(component.module_id).revision for component in command.components
    )
    steps = steps_of(
        command.strategy,
        ground.rollout,
        has_baseline=has_baseline,
        has_components=bool(command.components),
    )
    weights = tuple(step.weight for step in steps) or (100,)
    for kind, specs in by_surface.items():
        yield from check(SurfacePlan(tuple(specs), weights), ground.capabilities[kind])
