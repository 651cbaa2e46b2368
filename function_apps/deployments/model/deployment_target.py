"""DeploymentTarget: one environment for one tenant, with its queue, what is in force, and holds.

One small document, so that every guard of a deployment is one point read. Each start, each
interruption and each drain takes the next fencing token of the environment.
"""

from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from typing import Final

from function_apps.deployments.model.facts import BindingProjection, Facts
from function_apps.deployments.model.holds import Holds
from shared.contracts.deployments import DeploymentKind
from shared.contracts.environments import EnvironmentStatus
from shared.contracts.releases import ReleasedComponent
from shared.contracts.values import (
    ComputeTargetKind,
    DeploymentId,
    EnvironmentId,
    Instant,
    ModuleId,
    OperationId,
    ProjectId,
    Slug,
    Stage,
    TenantId,
)
from shared.kernel.dataclass import dataclass


@dataclass(frozen=True)
class EnvironmentProjection:
    """The environment as its newest event has it."""

    revision: int
    status: EnvironmentStatus
    project: ProjectId
    stage: Stage
    owner: TenantId
    generation: int
    targets: tuple[ComputeTargetKind, ...] = ()
    """Empty until it was provisioned once."""
    data: tuple[Slug, ...] = ()
    """The names of its data folders."""

    @property
    def is_usable(self) -> bool:
        usable = {EnvironmentStatus.PROVISIONED, EnvironmentStatus.UPDATING}
        return self.status in usable and bool(self.targets)

    @property
    def is_gone(self) -> bool:
        """Return whether nothing of it is left."""
        return self.status is EnvironmentStatus.DECOMMISSIONED

    @property
    def is_on_its_way(self) -> bool:
        """Also an update whose event overtook that of the provisioning, which has the targets."""
        return self.status in {
            EnvironmentStatus.REQUESTED,
            EnvironmentStatus.PLANNING,
            EnvironmentStatus.AWAITING_APPROVAL,
            EnvironmentStatus.PROVISIONING,
        } or (self.status is EnvironmentStatus.UPDATING and not self.targets)


@dataclass(frozen=True)
class QueueEntry:
    """One deployment in the queues of its modules.

    `token` is its fencing token, 0 until it starts, and `binding_revision` that of the tenant's
    binding then: what it brings is by that one, or a later one. `wait` is the name of the external
    event that its orchestration waits for, empty while it waits for none. `base` is the key of a
    release without its versions of secrets, and `moved_revision` that of the moved binding which a
    relocation is asked for by.
    """

    deployment: DeploymentId
    operation: OperationId
    modules: tuple[ModuleId, ...]
    kind: DeploymentKind
    key: str
    content: str
    token: int = 0
    wait: str = ""
    path_prefixes: tuple[str, ...] = ()
    depends_on: tuple[ModuleId, ...] = ()
    binding_revision: int = 0
    base: str = ""
    moved_revision: int = 0


ALERTS_ENDED_MAX: Final = 40
"""In one batch, which takes 100 operations: alerts that end with their environment."""


@dataclass(frozen=True)
class ModuleState:
    """The release in force of a module, and the highest release revision given out for it."""

    revision: int = 0
    last: int = 0
    by: DeploymentId | None = None
    key: str = ""
    path_prefix: str = ""
    depends_on: tuple[ModuleId, ...] = ()
    alerted_at: Instant | None = None
    """Since when it is known that nothing of it can be gone back to."""
    compute_target: ComputeTargetKind | None = None
    """The surface of the release in force; None of one that was recorded before this was."""
    is_floating: bool = False
    """Configuration is rolled out to it."""
    renewed: DeploymentId | None = None
    """The deployment whose rollback brought it back with other versions of secrets."""
    left_over: DeploymentId | None = None
    """The last deployment of it, where that failed and instances of it may run on."""

    @property
    def released_in(self) -> tuple[DeploymentId, ...]:
        """The deployments that say what is in force."""
        return tuple(each for each in (self.by, self.renewed) if each is not None)


@dataclass(frozen=True)
class DrainClaim:
    """The drain that has the environment: its operation, and the generation that is drained.

    `token` is above those of all deployments; 0 until the drain takes their workloads away.
    """

    operation: OperationId
    generation: int
    token: int = 0


@dataclass(frozen=True)
class DeploymentTarget:
    """DeploymentTarget `target/{environmentId}`."""

    environment_id: EnvironmentId
    revision: int = 0
    fence: int = 0
    environment: EnvironmentProjection | None = None
    binding: BindingProjection | None = None
    queue: tuple[QueueEntry, ...] = ()
    modules: Mapping[ModuleId, ModuleState] = field(default_factory=dict)
    holds: Holds = field(default_factory=dict)
    facts: Facts = field(default_factory=dict)
    drain: DrainClaim | None = None

    @property
    def bound(self) -> BindingProjection | None:
        """The tenant's binding while it is in force."""
        return self.binding if self.binding and self.binding.is_in_force else None

    @property
    def binding_revision(self) -> int:
        """The revision of that binding; 0 without one."""
        return self.bound.revision if self.bound else 0

    @property
    def project(self) -> ProjectId | None:
        """The project of its environment, once that is known."""
        return self.environment.project if self.environment else None

    def entry(self, deployment_id: str) -> QueueEntry | None:
        return next((entry for entry in self.queue if entry.deployment == deployment_id), None)

    def module(self, module: ModuleId) -> ModuleState:
        return self.modules.get(module, ModuleState())


def emptied(target: DeploymentTarget) -> DeploymentTarget:
    """Return *target* with nothing in force and nothing on its way.

    Revisions that were given out are never used again. Alerts end with it, as many as a batch has
    room for; `without_alerts_left` ends the others.
    """
    after = replace(without_in_force(target, target.modules), holds={}, queue=())
    alerted = [name for name, state in target.modules.items() if state.alerted_at is not None]
    left = {
        name: ModuleState(last=target.module(name).last, alerted_at=target.module(name).alerted_at)
        for name in alerted[ALERTS_ENDED_MAX:]
    }
    return replace(after, modules={**after.modules, **left})


def without_alerts_left(target: DeploymentTarget) -> DeploymentTarget:
    """Return *target* with alerts ended of which `emptied` left nothing in force, so many again."""
    left = [
        name
        for name, state in target.modules.items()
        if state.alerted_at is not None and not state.revision
    ]
    return without_in_force(target, left[:ALERTS_ENDED_MAX])


def with_in_force(
    target: DeploymentTarget, components: Iterable[ReleasedComponent], by: DeploymentId, key: str
) -> DeploymentTarget:
    """Return *target* with *components*, which the deployment *by* released, in force."""
    modules = dict(target.modules)
    for component in components:
        state = target.module(component.module_id)
        modules[component.module_id] = ModuleState(
            revision=component.release_revision,
            last=max(state.last, component.release_revision),
            by=by,
            key=key,
            path_prefix=component.path_prefix or "",
            depends_on=component.depends_on,
            compute_target=component.compute_target,
            is_floating=component.takes_roll_outs,
        )
    return replace(target, modules=modules)


def with_left_over(
    target: DeploymentTarget, modules: Iterable[ModuleId], by: DeploymentId | None
) -> DeploymentTarget:
    """Return *target* with instances of *by* left over of *modules*; None for of no deployment."""
    left = {module: replace(target.module(module), left_over=by) for module in modules}
    return replace(target, modules={**target.modules, **left})


def without_in_force(target: DeploymentTarget, modules: Iterable[ModuleId]) -> DeploymentTarget:
    """Return *target* with nothing in force of *modules*.

    The end of an alert takes a revision, as its events are ordered by those of releases.
    """
    states = {module: target.module(module) for module in modules}
    removed = {
        module: ModuleState(last=state.last + (state.alerted_at is not None))
        for module, state in states.items()
    }
    return replace(target, modules={**target.modules, **removed})
