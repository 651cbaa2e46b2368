"""The states of a deployment and the only ways between them."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from function_apps.deployments.errors import TransitionRefused
from shared.contracts.deployments import DeploymentStatus

_S = DeploymentStatus


class Change(StrEnum):
    """What can happen to a deployment."""

    ENVIRONMENT_READY = "EnvironmentReady"
    UNIT_FIXED = "UnitFixed"
    ROLLOUT_BEGUN = "RolloutBegun"
    """Committed before the first instance: from here on the way out is a rollback."""
    STEP_BEGUN = "StepBegun"
    TRAFFIC_ADJUSTED = "TrafficAdjusted"
    """Ready capacity gives the new version another share than the step asks for."""
    GATES_ASKED = "GatesAsked"
    EVIDENCE_CAME = "EvidenceCame"
    STEP_JUDGED = "StepJudged"
    PAUSED = "Paused"
    JUDGED_AGAIN = "JudgedAgain"
    PROMOTION_BEGUN = "PromotionBegun"
    RELEASE_PROVED = "ReleaseProved"
    TURNED_DOWN = "TurnedDown"
    CANCELLED = "Cancelled"
    ROLLBACK_BEGUN = "RollbackBegun"
    RESTORED = "Restored"
    RESTORE_FAILED = "RestoreFailed"
    HOLD_RELEASED = "HoldReleased"
    RETRIED = "Retried"


_BEFORE: Final = {Change.TURNED_DOWN: _S.FAILED, Change.CANCELLED: _S.CANCELLED}
"""While nothing has been applied."""

# What is not in this table cannot happen; the diagram in README.md is drawn from it.
TRANSITIONS: Final[Mapping[DeploymentStatus, Mapping[Change, DeploymentStatus]]] = {
    _S.REQUESTED: {Change.ENVIRONMENT_READY: _S.PROVISIONING, **_BEFORE},
    _S.PROVISIONING: {Change.UNIT_FIXED: _S.CONFIGURING, **_BEFORE},
    _S.CONFIGURING: {Change.ROLLOUT_BEGUN: _S.ROLLING_OUT, **_BEFORE},
    _S.ROLLING_OUT: {
        Change.STEP_BEGUN: _S.ROLLING_OUT,
        Change.TRAFFIC_ADJUSTED: _S.ROLLING_OUT,
        Change.GATES_ASKED: _S.HEALTH_GATING,
        Change.PROMOTION_BEGUN: _S.PROMOTING,
        Change.ROLLBACK_BEGUN: _S.ROLLING_BACK,
    },
    _S.HEALTH_GATING: {
        Change.TRAFFIC_ADJUSTED: _S.HEALTH_GATING,
        Change.EVIDENCE_CAME: _S.HEALTH_GATING,
        Change.GATES_ASKED: _S.HEALTH_GATING,
        Change.STEP_JUDGED: _S.HEALTH_GATING,
        Change.PAUSED: _S.HEALTH_GATING,
        Change.JUDGED_AGAIN: _S.HEALTH_GATING,
        Change.STEP_BEGUN: _S.ROLLING_OUT,
        Change.PROMOTION_BEGUN: _S.PROMOTING,
        Change.ROLLBACK_BEGUN: _S.ROLLING_BACK,
    },
    _S.PROMOTING: {
        Change.RELEASE_PROVED: _S.COMPLETED,
        Change.ROLLBACK_BEGUN: _S.ROLLING_BACK,
    },
    _S.COMPLETED: {Change.HOLD_RELEASED: _S.COMPLETED},
    _S.ROLLING_BACK: {Change.RESTORED: _S.ROLLED_BACK, Change.RESTORE_FAILED: _S.FAILED},
    _S.ROLLED_BACK: {Change.HOLD_RELEASED: _S.ROLLED_BACK},
    _S.FAILED: {Change.RETRIED: _S.REQUESTED, Change.HOLD_RELEASED: _S.FAILED},
    _S.CANCELLED: {},
}

ENDINGS: Final = frozenset({_S.COMPLETED, _S.ROLLED_BACK, _S.FAILED, _S.CANCELLED})
BEFORE_APPLIED: Final = frozenset({_S.REQUESTED, _S.PROVISIONING, _S.CONFIGURING})
"""Nothing has been changed outside: the way out is Failed or Cancelled."""
CHANGING: Final = frozenset({_S.ROLLING_OUT, _S.HEALTH_GATING, _S.PROMOTING})
"""Something may have been changed outside: the way out is a rollback."""


def after(status: DeploymentStatus, change: Change) -> DeploymentStatus:
    """Return the state that *change* leads to.

    Raises:
        TransitionRefused: the table has no row for it.
    """
    target = TRANSITIONS[status].get(change)
    if target is None:
        allowed = sorted(state for state, rows in TRANSITIONS.items() if change in rows)
        raise TransitionRefused(status, change, allowed)
    return target


def diagram() -> str:
    """Return the table as a mermaid state diagram, one arrow a pair of states."""
    lines = ["stateDiagram-v2", "    [*] --> Requested"]
    for source, rows in TRANSITIONS.items():
        arrows: dict[str, list[str]] = {}
        for change, target in rows.items():
            arrows.setdefault(target, []).append(change)
        lines += [
            f"    {source} --> {target}: {', '.join(changes)}" for target, changes in arrows.items()
        ]
        if source in ENDINGS:
            lines.append(f"    {source} --> [*]")
    return "\n".join(lines)
