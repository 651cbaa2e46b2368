"""The states of a deployment, its events with their data, and the only ways between the states."""

from collections.abc import Mapping
from typing import Final

from function_apps.deployments.errors import NothingToRollOut
from function_apps.deployments.model.rollout_steps import RolloutStep
from shared.contracts.deployments import DeploymentStatus, EndReason
from shared.contracts.gates import Gate
from shared.contracts.releases import (
    Hold,
    Proof,
    ReleasedComponent,
    ReleasedSecret,
    ReleaseUnit,
)
from shared.contracts.strategies import Strategy
from shared.contracts.values import DeploymentId, ModuleId, OperationId, ProjectId, Reason, Stage
from shared.kernel.dataclass import dataclass
from shared.kernel.transitions import Transitions

_S = DeploymentStatus


@dataclass(frozen=True)
class ReleaseName:
    """The release that a component is from, and the caller's name for it."""

    deployment_id: DeploymentId
    release_ref: str


@dataclass(frozen=True)
class PolicyAndBinding:
    """The scaling policy and tenant binding of a release; no rollback puts them back."""

    policy: int
    minimum: int
    binding: int | None
    """Revisions; 0 for none, None where it is not known."""

    @classmethod
    def of(cls, component: ReleasedComponent) -> "PolicyAndBinding":
        """Return what *component* recorded."""
        return cls(
            component.scaling_policy_revision,
            component.replicas,
            component.tenant_binding_revision,
        )


@dataclass(frozen=True)
class RolloutTerms:
    """The steps in which a release is rolled out, and its gate."""

    strategy: Strategy
    gate: Gate


@dataclass(frozen=True)
class DeploymentEvent:
    """One change of a deployment, with its data."""


@dataclass(frozen=True)
class EnvironmentReady(DeploymentEvent):
    """The environment takes the deployment now."""

    project_id: ProjectId
    stage: Stage


@dataclass(frozen=True)
class UnitPinned(DeploymentEvent):
    """The release unit is fixed, and with it everything that a rollback needs."""

    unit: ReleaseUnit
    missing: tuple[Reason, ...]
    previous: tuple[ReleasedComponent, ...]
    previous_deployment_id: DeploymentId | None
    earlier: tuple[ReleasedComponent, ...]
    earlier_releases: Mapping[ModuleId, ReleaseName]
    terms: Mapping[ModuleId, RolloutTerms]
    live_replicas: Mapping[ModuleId, int]
    steps: tuple[RolloutStep, ...]


@dataclass(frozen=True)
class RolloutBegan(DeploymentEvent):
    """Committed before the first instance: from here on the way out is a rollback."""


@dataclass(frozen=True)
class StepEvent(DeploymentEvent):
    """A change of one step of the rollout; *step* is the step after it."""

    step: RolloutStep


@dataclass(frozen=True)
class StepBegan(StepEvent):
    pass


@dataclass(frozen=True)
class TrafficAdjusted(StepEvent):
    """Ready capacity gives the new version another share than the step asks for."""


@dataclass(frozen=True)
class AnalysisRequested(StepEvent):
    """Health was asked to judge the step; *wait_name* is the event that its answer raises."""

    wait_name: str


@dataclass(frozen=True)
class EvidenceRecorded(StepEvent):
    pass


@dataclass(frozen=True)
class StepJudged(StepEvent):
    pass


@dataclass(frozen=True)
class Paused(DeploymentEvent):
    """The verdict was inconclusive, and somebody has to decide."""

    wait_name: str


@dataclass(frozen=True)
class AnalysisRestarted(DeploymentEvent):
    """The paused step is judged again, as a new attempt."""


@dataclass(frozen=True)
class PromotionBegan(DeploymentEvent):
    """The new version stays, and the old one goes."""


@dataclass(frozen=True)
class ReleaseProved(DeploymentEvent):
    """Every live instance runs the unit; *holds* are those that a rollback leaves."""

    unit: ReleaseUnit
    proof: Proof
    holds: tuple[Hold, ...]


@dataclass(frozen=True)
class Rejected(DeploymentEvent):
    """It was refused before anything was applied."""

    reason: EndReason


@dataclass(frozen=True)
class Cancelled(DeploymentEvent):
    """Somebody asked for it to stop before anything was applied."""

    reason: EndReason


@dataclass(frozen=True)
class RollbackBegan(DeploymentEvent):
    """It goes back, under *operation_id* and a new fencing token, to *previous*.

    *recorded* are the secrets of those of *previous* that get other versions now.
    """

    reason: EndReason
    operation_id: OperationId
    token: int
    previous: tuple[ReleasedComponent, ...]
    recorded: Mapping[ModuleId, tuple[ReleasedSecret, ...]]


@dataclass(frozen=True)
class RollbackEnded(DeploymentEvent):
    """The end of a rollback: the proof of what runs, and the unit that is in force again."""

    proof: Proof
    restored: ReleaseUnit
    reason: EndReason
    holds: tuple[Hold, ...]


@dataclass(frozen=True)
class Restored(RollbackEnded):
    pass


@dataclass(frozen=True)
class RestoreFailed(RollbackEnded):
    remaining: tuple[str, ...]


@dataclass(frozen=True)
class HoldReleased(DeploymentEvent):
    pass


@dataclass(frozen=True)
class Retried(DeploymentEvent):
    """A failed one begins anew, under *operation_id*."""

    operation_id: OperationId


ROLLBACK_ASKED: Final = "RollbackAsked"
"""The code of the end of a deployment that a person rolled back on its way."""


def refused(why: EndReason) -> DeploymentEvent:
    """Return the end of a deployment that *why* refuses; one with nothing to do has not failed."""
    return Cancelled(why) if why.code == NothingToRollOut.code else Rejected(why)


_BEFORE: Final = {Rejected: _S.FAILED, Cancelled: _S.CANCELLED}
"""While nothing has been applied."""

ENDINGS: Final = frozenset({_S.COMPLETED, _S.ROLLED_BACK, _S.FAILED, _S.CANCELLED})
# What is not in this table cannot happen; the diagram in README.md is drawn from it.
TRANSITIONS: Final[Transitions[DeploymentStatus, DeploymentEvent]] = Transitions(
    "a deployment",
    {
        _S.REQUESTED: {EnvironmentReady: _S.PROVISIONING, **_BEFORE},
        _S.PROVISIONING: {UnitPinned: _S.CONFIGURING, **_BEFORE},
        _S.CONFIGURING: {RolloutBegan: _S.ROLLING_OUT, **_BEFORE},
        _S.ROLLING_OUT: {
            StepBegan: _S.ROLLING_OUT,
            TrafficAdjusted: _S.ROLLING_OUT,
            AnalysisRequested: _S.HEALTH_GATING,
            PromotionBegan: _S.PROMOTING,
            RollbackBegan: _S.ROLLING_BACK,
        },
        _S.HEALTH_GATING: {
            TrafficAdjusted: _S.HEALTH_GATING,
            EvidenceRecorded: _S.HEALTH_GATING,
            AnalysisRequested: _S.HEALTH_GATING,
            StepJudged: _S.HEALTH_GATING,
            Paused: _S.HEALTH_GATING,
            AnalysisRestarted: _S.HEALTH_GATING,
            StepBegan: _S.ROLLING_OUT,
            PromotionBegan: _S.PROMOTING,
            RollbackBegan: _S.ROLLING_BACK,
        },
        _S.PROMOTING: {ReleaseProved: _S.COMPLETED, RollbackBegan: _S.ROLLING_BACK},
        _S.COMPLETED: {HoldReleased: _S.COMPLETED},
        _S.ROLLING_BACK: {Restored: _S.ROLLED_BACK, RestoreFailed: _S.FAILED},
        _S.ROLLED_BACK: {HoldReleased: _S.ROLLED_BACK},
        _S.FAILED: {Retried: _S.REQUESTED, HoldReleased: _S.FAILED},
        _S.CANCELLED: {},
    },
    ENDINGS,
)

BEFORE_APPLIED: Final = frozenset({_S.REQUESTED, _S.PROVISIONING, _S.CONFIGURING})
"""Nothing has been changed outside: the way out is Failed or Cancelled."""
CHANGING: Final = frozenset({_S.ROLLING_OUT, _S.HEALTH_GATING, _S.PROMOTING})
"""Something may have been changed outside: the way out is a rollback."""
