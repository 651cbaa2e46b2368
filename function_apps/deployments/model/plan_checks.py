"""The checks of a plan, and the keys by which a repeated command is recognised."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from function_apps.deployments.errors import NaturalKeyActive
from function_apps.deployments.model import neighbours, release_unit
from function_apps.deployments.model.deployment_target import (
    DeploymentTarget,
    EnvironmentProjection,
)
from function_apps.deployments.model.rollout_steps import order_of, steps_of
from shared.contracts.components import Component, ConfigurationChoice
from shared.contracts.deployments import Deploy
from shared.contracts.strategies import (
    OnConflict,
    RolloutDefaults,
    StrategyKind,
)
from shared.contracts.values import (
    ComputeTargetKind,
    DeploymentId,
    ProbeKind,
    TenantId,
)
from shared.kernel.errors import Violation
from shared.surfaces.capabilities import Capabilities, SurfacePlan, check
from shared.surfaces.spec import RevisionSpec

JUDGEMENTS_MAX: Final = 150
"""Components times steps: each leaves about 1.2 KB of evidence in a document of at most 1 MB."""
_KEY_LENGTH: Final = 16


def natural_key(command: Deploy) -> str:
    """Return the key of environment, modules with version and digest, removals and pins."""
    parts = sorted([c.module_id, c.version, release_unit.digest_of(c)] for c in command.components)
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


def repeated_by(command: Deploy, target: DeploymentTarget) -> DeploymentId | None:
    """Return the deployment that answers *command*: one on its way, or the one in force now.

    Raises:
        NaturalKeyActive: one on its way has the same versions and other content.
    """
    key = natural_key(command)
    active = next((entry for entry in target.queue if entry.key == key), None)
    if active is not None:
        if active.content != content_key(command):
            raise NaturalKeyActive(active.deployment)
        return active.deployment
    if command.restart or not command.components or command.remove:
        return None
    unit = unit_key(command.environment_id, command.components, command.configuration)
    states = [target.module(component.module_id) for component in command.components]
    is_in_force = all(state.revision and state.key == unit for state in states)
    return states[0].by if is_in_force else None


def _hash(content: object) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]


@dataclass(frozen=True)
class PlanContext:
    """The context of a plan: the target, the surfaces with their capabilities, the artifacts."""

    target: DeploymentTarget
    capabilities: Mapping[ComputeTargetKind, Capabilities]
    uploaded: frozenset[str]
    """Digests of the caller's tenant."""
    rollout: RolloutDefaults
    own: DeploymentId | None = None
    """The deployment that is planned, once it is in the queue."""


def refusals(command: Deploy, tenant: TenantId, context: PlanContext) -> tuple[Violation, ...]:
    """Return every reason why *command* cannot be done as it stands, in the order of the rules.

    What depends on the environment is judged once the environment is known.
    """
    found = [
        *_unsupported(command),
        *_unordered(command),
        *_components(command, context),
        *neighbours.refusals(command, context.target, context.own),
    ]
    environment = context.target.environment
    if environment is not None and environment.targets and not found:
        found += _surfaces(command, tenant, context, environment)
    return tuple(found)


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


def _components(command: Deploy, context: PlanContext) -> Iterator[Violation]:
    for index, component in enumerate(command.components):
        at = f"/components/{index}"
        if component.image is not None:
            yield Violation(
                "ImageNotSupported",
                f"{at}/image",
                "no surface runs images yet: upload an artifact and name its digest",
                "artifactDigest",
                component.image,
            )
        elif component.artifact_digest not in context.uploaded:
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
            "StartupProbeNotSupported",
            f"{at}/probes/startup",
            "startup probes are not supported yet: readiness decides on traffic",
            "readiness and liveness",
            "startup",
        )
    for name, probe in (("readiness", probes.readiness), ("liveness", probes.liveness)):
        if probe is not None and probe.kind is not ProbeKind.HTTP:
            yield Violation(
                "ProbeNotSupported",
                f"{at}/probes/{name}/kind",
                f"{probe.kind} probes are not supported yet",
                "http",
                probe.kind,
            )
        if probe is not None and probe.port not in {None, component.port}:
            yield Violation(
                "ProbeNotSupported",
                f"{at}/probes/{name}/port",
                "a probe asks the component's own port",
                str(component.port),
                str(probe.port),
            )


def _surfaces(
    command: Deploy, tenant: TenantId, context: PlanContext, environment: EnvironmentProjection
) -> Iterator[Violation]:
    by_surface: dict[ComputeTargetKind, list[RevisionSpec]] = {}
    for index, component in enumerate(command.components):
        kind = release_unit.choose_target(component, environment.targets)
        offered = ", ".join(environment.targets)
        if kind is None or kind not in environment.targets:
            yield Violation(
                "NoComputeTarget",
                f"/components/{index}/computeTarget",
                f"this environment has no place for {component.module_id}",
                f"one of {offered}",
                kind or "nothing that fits its type",
            )
        elif kind not in context.capabilities:
            yield Violation(
                "SurfaceNotSupported",
                f"/components/{index}/computeTarget",
                f"{kind} is not served by this installation yet",
                ", ".join(context.capabilities),
                kind,
            )
        else:
            unit = release_unit.to_released_component(
                component, kind, 1, command.environment_id, tenant, context.target
            )
            spec = release_unit.to_revision_spec(
                unit, command.environment_id, tenant, context.rollout
            )
            by_surface.setdefault(kind, []).append(spec)
    has_baseline = any(
        context.target.module(component.module_id).revision for component in command.components
    )
    steps = steps_of(
        command.strategy,
        context.rollout,
        has_baseline=has_baseline,
        has_components=bool(command.components),
    )
    weights = tuple(step.weight for step in steps) or (100,)
    for kind, specs in by_surface.items():
        yield from check(SurfacePlan(tuple(specs), weights), context.capabilities[kind])
