"""What deployments knows of one environment for one tenant: facts, queue, what is in force, holds.

One small document, so that every guard of a deployment is one point read. Queue: a deployment
claims all its modules at once and starts when no earlier claim shares one with it; the claims stand
in the order in which they are served. Each start, and each interruption, takes the next fencing
token of the environment.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pydantic import TypeAdapter

from function_apps.deployments.errors import HoldsFull, QueueFull, QueueTaken
from function_apps.deployments.model.facts import BindingProjection, Facts
from function_apps.deployments.model.holds import Holds
from shared.contracts.deployments import DeploymentKind
from shared.contracts.environments import EnvironmentStatus
from shared.contracts.strategies import OnConflict
from shared.contracts.values import (
    ComputeTargetKind,
    DeploymentId,
    EnvironmentId,
    Instant,
    ModuleId,
    OperationId,
    ProjectId,
    Stage,
    TenantId,
)

CLAIMS_MAX: Final = 200
"""Deployments on their way in one environment; 160 bytes each."""
OUTGOING_MAX: Final = 50
"""Starts or wakes in one batch, which takes 100 operations: what is left out is not lost."""
HOLDS_MAX: Final = 2000
"""In one environment; 60 bytes each. Holds restrict: what is refused then are new deployments."""


@dataclass(frozen=True)
class KnownEnvironment:
    """The environment as its newest event told it."""

    revision: int
    status: EnvironmentStatus
    project: ProjectId
    stage: Stage
    owner: TenantId
    generation: int
    targets: tuple[ComputeTargetKind, ...] = ()
    """Empty until it was provisioned once."""

    @property
    def is_usable(self) -> bool:
        usable = {EnvironmentStatus.PROVISIONED, EnvironmentStatus.UPDATING}
        return self.status in usable and bool(self.targets)

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
class Claim:
    """One deployment in the queue of its modules. `token` 0: it waits; `wait`: its open nudge."""

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


@dataclass(frozen=True)
class ModuleState:
    """What is in force for a module, and the highest release revision given out for it."""

    revision: int = 0
    last: int = 0
    by: DeploymentId | None = None
    key: str = ""
    path_prefix: str = ""
    depends_on: tuple[ModuleId, ...] = ()
    alerted_at: Instant | None = None
    """Since when it is known that nothing of it can be gone back to."""


@dataclass(frozen=True)
class Target:
    """DeploymentTarget `target/{environmentId}`."""

    environment_id: EnvironmentId
    revision: int = 0
    fence: int = 0
    environment: KnownEnvironment | None = None
    binding: BindingProjection | None = None
    claims: tuple[Claim, ...] = ()
    modules: Mapping[ModuleId, ModuleState] = field(default_factory=dict)
    holds: Holds = field(default_factory=dict)
    facts: Facts = field(default_factory=dict)
    drain: OperationId | None = None
    drain_token: int = 0
    """Above those of all deployments; 0 until the drain takes their workloads away."""

    @property
    def bound(self) -> BindingProjection | None:
        """The tenant's binding while it is in force."""
        return self.binding if self.binding and self.binding.is_in_force else None

    def claim(self, deployment: str) -> Claim | None:
        return next((claim for claim in self.claims if claim.deployment == deployment), None)

    def module(self, module: ModuleId) -> ModuleState:
        return self.modules.get(module, ModuleState())


_ADAPTER: Final = TypeAdapter(Target)
TYPE: Final = "deploymentTarget"


def document_id(environment: str) -> str:
    return f"target/{environment}"


def to_body(target: Target) -> dict[str, Any]:
    body: dict[str, Any] = _ADAPTER.dump_python(target, mode="json", exclude_defaults=True)
    return body | {"type": TYPE}


def from_body(body: Mapping[str, Any] | None, environment: EnvironmentId) -> Target:
    """Return the target that *body* holds; a new one where there is none."""
    if body is None:
        return Target(environment)
    return _ADAPTER.validate_python({k: v for k, v in body.items() if k != "type"})


def holder_of(target: Target, deployment: str) -> tuple[ModuleId, DeploymentId] | None:
    """Return the first claim before *deployment*'s that shares a module with it, and which."""
    own = target.claim(deployment)
    assert own is not None, deployment
    for claim in target.claims:
        if claim.deployment == deployment:
            return None
        shared = [module for module in own.modules if module in claim.modules]
        if shared:
            return shared[0], claim.deployment
    return None


def refuse_taken(target: Target, modules: Iterable[str], on_conflict: OnConflict) -> None:
    """Refuse a new deployment of *modules* that does not want to wait.

    Raises:
        QueueTaken: *on_conflict* is reject and another deployment changes one of them.
    """
    if on_conflict is not OnConflict.REJECT:
        return
    wanted = {*modules}
    for claim in target.claims:
        if shared := sorted(wanted.intersection(claim.modules)):
            raise QueueTaken(shared[0], claim.deployment)


def enter(target: Target, claim: Claim, on_conflict: OnConflict) -> Target:
    """Return *target* with *claim* in the queues of all its modules.

    A rollback stands before every deployment that has not started, and always has room; nothing
    that has started is interrupted.

    Raises:
        QueueTaken: *on_conflict* is reject and another deployment changes a module.
        QueueFull, HoldsFull: there are too many already.
    """
    refuse_taken(target, claim.modules, on_conflict)
    is_rollback = claim.kind is DeploymentKind.ROLLBACK
    if len(target.claims) >= CLAIMS_MAX and not is_rollback:
        raise QueueFull(
            f"{CLAIMS_MAX} deployments are on their way in this environment; wait until one ends"
        )
    if sum(map(len, target.holds.values())) >= HOLDS_MAX and not is_rollback:
        raise HoldsFull(
            f"{HOLDS_MAX} release units are held in this environment; release holds of old ones"
        )
    claims = list(target.claims)
    place = len(claims)
    if is_rollback:
        waiting = (
            index
            for index, other in enumerate(claims)
            if not other.token and other.kind is not DeploymentKind.ROLLBACK
        )
        place = next(waiting, place)
    claims.insert(place, claim)
    return replace(target, claims=tuple(claims))


def admit(target: Target) -> tuple[Target, tuple[Claim, ...]]:
    """Give the next token to every claim that is first in all its queues; return those too.

    One for which the batch has no room admits itself when its operation is taken up again.
    """
    fence = target.fence
    claims: list[Claim] = []
    admitted: list[Claim] = []
    for claim in target.claims:
        has_room = len(admitted) < OUTGOING_MAX
        if has_room and not claim.token and holder_of(target, claim.deployment) is None:
            fence += 1
            claim = replace(claim, token=fence)  # noqa: PLW2901  the admitted one takes its place
            admitted.append(claim)
        claims.append(claim)
    return replace(target, fence=fence, claims=tuple(claims)), tuple(admitted)


def leave(target: Target, deployment: str) -> tuple[Target, tuple[Claim, ...]]:
    """Take *deployment* out of its queues; return the claims that may start now, too."""
    claims = tuple(claim for claim in target.claims if claim.deployment != deployment)
    return admit(replace(target, claims=claims))


def pass_on(target: Target, deployment: str, operation: OperationId) -> tuple[Target, int]:
    """Give the right of *deployment* to *operation*, under a new token; return that too."""
    fence = target.fence + 1
    claims = tuple(
        replace(claim, operation=operation, token=fence, wait="")
        if claim.deployment == deployment
        else claim
        for claim in target.claims
    )
    return replace(target, fence=fence, claims=claims), fence


def waiting(target: Target, deployment: str, wait: str) -> Target:
    """Return *target* with the nudge that *deployment* waits for; empty: for none."""
    claims = tuple(
        replace(claim, wait=wait) if claim.deployment == deployment else claim
        for claim in target.claims
    )
    return replace(target, claims=claims)


def ahead_of(target: Target, deployment: str | None) -> tuple[Claim, ...]:
    """Return the claims that entered before *deployment*'s; all of them for a new one."""
    claims = [claim.deployment for claim in target.claims]
    place = claims.index(DeploymentId(deployment)) if deployment in claims else len(claims)
    return target.claims[:place]


def waits(target: Target) -> tuple[Claim, ...]:
    """Return claims that wait for the environment; those left out look again by themselves."""
    return tuple(claim for claim in target.claims if claim.wait)[:OUTGOING_MAX]
