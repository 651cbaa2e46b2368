"""The states of an environment, what can happen to it, and the only ways between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from shared.contracts.environments import ComputeTarget, EnvironmentStatus
from shared.contracts.values import Reason

State = EnvironmentStatus


@dataclass(frozen=True)
class EnvironmentEvent:
    """Something that happened to an environment."""


@dataclass(frozen=True)
class RequestRepeated(EnvironmentEvent):
    """It was requested anew after it had been decommissioned."""


@dataclass(frozen=True)
class PlanningBegan(EnvironmentEvent):
    pass


@dataclass(frozen=True)
class ApplyBegan(EnvironmentEvent):
    pass


@dataclass(frozen=True)
class UpdateBegan(EnvironmentEvent):
    pass


@dataclass(frozen=True)
class Applied(EnvironmentEvent):
    """The stack is as planned; these are its outputs."""

    targets: Sequence[ComputeTarget]
    outputs: Mapping[str, str]


@dataclass(frozen=True)
class ApplyFailed(EnvironmentEvent):
    reason: Reason
    remaining: Sequence[str] = ()


@dataclass(frozen=True)
class DecommissionBegan(EnvironmentEvent):
    pass


@dataclass(frozen=True)
class Destroyed(EnvironmentEvent):
    """Everything that was to go is gone; *retained* was asked to stay."""

    retained: Sequence[str] = ()


@dataclass(frozen=True)
class DestroyFailed(EnvironmentEvent):
    reason: Reason
    remaining: Sequence[str] = ()


# What is not in this table cannot happen. AwaitingApproval is entered by the approval rules.
TRANSITIONS: Final[Mapping[State, Mapping[type[EnvironmentEvent], State]]] = MappingProxyType(
    {
        State.REQUESTED: {PlanningBegan: State.PLANNING, ApplyFailed: State.FAILED},
        State.PLANNING: {
            ApplyBegan: State.PROVISIONING,
            ApplyFailed: State.FAILED,
        },
        State.AWAITING_APPROVAL: {
            ApplyFailed: State.FAILED,
            DecommissionBegan: State.DECOMMISSIONING,
        },
        State.PROVISIONING: {Applied: State.PROVISIONED, ApplyFailed: State.FAILED},
        State.PROVISIONED: {
            UpdateBegan: State.UPDATING,
            DecommissionBegan: State.DECOMMISSIONING,
        },
        State.UPDATING: {
            Applied: State.PROVISIONED,
            ApplyFailed: State.PROVISIONED,
            DecommissionBegan: State.DECOMMISSIONING,
        },
        State.FAILED: {
            PlanningBegan: State.PLANNING,
            DecommissionBegan: State.DECOMMISSIONING,
        },
        State.DECOMMISSIONING: {
            Destroyed: State.DECOMMISSIONED,
            DestroyFailed: State.DECOMMISSION_FAILED,
        },
        State.DECOMMISSION_FAILED: {DecommissionBegan: State.DECOMMISSIONING},
        State.DECOMMISSIONED: {RequestRepeated: State.REQUESTED},
    }
)


def sources(event: type[EnvironmentEvent]) -> Sequence[str]:
    """Return the states in which *event* may happen."""
    return [state.value for state, row in TRANSITIONS.items() if event in row]
