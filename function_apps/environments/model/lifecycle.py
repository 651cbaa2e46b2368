"""The states of an environment, its events, and the only ways between the states."""

from collections.abc import Mapping
from dataclasses import field
from typing import Final

from shared.contracts.environments import (
    ComputeTarget,
    ComputeTargetSpec,
    DataResourceSpec,
    EnvironmentStatus,
)
from shared.contracts.values import IsolationModel, Reason
from shared.kernel.dataclass import dataclass
from shared.kernel.transitions import Transitions

State = EnvironmentStatus


@dataclass(frozen=True)
class Spec:
    """The content of a request that may change after creation."""

    isolation_model: IsolationModel
    compute_targets: tuple[ComputeTargetSpec, ...]
    data_resources: tuple[DataResourceSpec, ...]
    protected: bool
    tags: Mapping[str, str]
    admits: tuple[str, ...]


@dataclass(frozen=True)
class EnvironmentEvent:
    """One change of an environment, with its data."""


@dataclass(frozen=True)
class OperationBegan(EnvironmentEvent):
    """A change by a command: *operation_id* owns the environment from here on."""

    operation_id: str


@dataclass(frozen=True)
class ContentRequested(OperationBegan):
    """`spec` is to be applied; of the data that it leaves out only `deletes` may be deleted."""

    spec: Spec
    approved_plan: str | None = None
    deletes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RequestRepeated(ContentRequested):
    """It was requested anew after it had been decommissioned: a new generation."""

    stage: str = field(kw_only=True)
    region: str = field(kw_only=True)


@dataclass(frozen=True)
class RetryRequested(ContentRequested):
    """It was requested again after it had failed."""


@dataclass(frozen=True)
class UpdateRequested(ContentRequested):
    pass


@dataclass(frozen=True)
class RepairRequested(ContentRequested):
    """The content in force is to be applied once more, after a look at what is live."""


@dataclass(frozen=True)
class DecommissionRequested(OperationBegan):
    """`retain` names the data resources that stay."""

    retain: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlanningBegan(EnvironmentEvent):
    pass


@dataclass(frozen=True)
class ProvisioningBegan(EnvironmentEvent):
    pass


@dataclass(frozen=True)
class Applied(EnvironmentEvent):
    """The stack is as planned; these are its outputs."""

    targets: tuple[ComputeTarget, ...]
    outputs: Mapping[str, str]


@dataclass(frozen=True)
class ApplyFailed(EnvironmentEvent):
    """`remaining` names what is there and not as planned."""

    reason: Reason
    remaining: tuple[str, ...] = ()


@dataclass(frozen=True)
class Drained(EnvironmentEvent):
    """Deployments has removed every workload."""


@dataclass(frozen=True)
class Destroyed(EnvironmentEvent):
    """Every resource is gone but those in *retained*, which were to stay."""

    retained: tuple[str, ...] = ()


@dataclass(frozen=True)
class DestroyFailed(EnvironmentEvent):
    reason: Reason
    remaining: tuple[str, ...] = ()


# What is not in this table cannot happen. Nothing leads to AwaitingApproval yet: it is a state of
# the contract, for approvals.
TRANSITIONS: Final[Transitions[State, EnvironmentEvent]] = Transitions(
    "an environment",
    {
        State.REQUESTED: {PlanningBegan: State.PLANNING, ApplyFailed: State.FAILED},
        State.PLANNING: {ProvisioningBegan: State.PROVISIONING, ApplyFailed: State.FAILED},
        State.AWAITING_APPROVAL: {
            ApplyFailed: State.FAILED,
            DecommissionRequested: State.DECOMMISSIONING,
        },
        State.PROVISIONING: {Applied: State.PROVISIONED, ApplyFailed: State.FAILED},
        State.PROVISIONED: {
            UpdateRequested: State.UPDATING,
            RepairRequested: State.UPDATING,
            DecommissionRequested: State.DECOMMISSIONING,
        },
        State.UPDATING: {
            Applied: State.PROVISIONED,
            ApplyFailed: State.PROVISIONED,
            DecommissionRequested: State.DECOMMISSIONING,
        },
        State.FAILED: {
            RetryRequested: State.PLANNING,
            DecommissionRequested: State.DECOMMISSIONING,
        },
        State.DECOMMISSIONING: {
            Drained: State.DECOMMISSIONING,
            Destroyed: State.DECOMMISSIONED,
            DestroyFailed: State.DECOMMISSION_FAILED,
        },
        State.DECOMMISSION_FAILED: {DecommissionRequested: State.DECOMMISSIONING},
        State.DECOMMISSIONED: {RequestRepeated: State.REQUESTED},
    },
)

LEAVING: Final = frozenset({State.DECOMMISSIONING, State.DECOMMISSION_FAILED, State.DECOMMISSIONED})
IN_FLIGHT: Final = frozenset(
    {
        State.REQUESTED,
        State.PLANNING,
        State.AWAITING_APPROVAL,
        State.PROVISIONING,
        State.UPDATING,
        State.DECOMMISSIONING,
    }
)
"""States in which an operation is at work; the others are left by a command only."""
