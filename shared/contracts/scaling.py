"""Commands, events and resources of scaling: how many replicas a service has, and why."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from shared.contracts.gates import Wait
from shared.contracts.patterns import pattern
from shared.contracts.releases import Routing
from shared.contracts.shape import Command, Event, Resource, Value
from shared.contracts.values import (
    EnvironmentId,
    Instant,
    Label,
    ModuleId,
    Reason,
    Replicas,
    Revision,
    ScalingPolicyId,
    ServiceId,
    Settings,
    TenantId,
    Text,
)


class ScalingStatus(StrEnum):
    REQUESTED = "Requested"
    APPLIED = "Applied"
    ENFORCED = "Enforced"
    PAUSED = "Paused"
    REJECTED = "Rejected"
    SUPERSEDED = "Superseded"


class Actuator(StrEnum):
    """Who sets the number, one of them."""

    PLATFORM = "platform"
    NATIVE = "native"
    """The surface's own autoscaler, for example KEDA."""


class Signal(StrEnum):
    CPU = "cpu"
    MEMORY = "memory"
    REQUESTS = "requests"
    LATENCY = "latency"
    QUEUE_LENGTH = "queueLength"
    SCHEDULE = "schedule"


class SignalLoss(StrEnum):
    """What to do without data; never down."""

    HOLD = "hold"
    SCALE_TO = "scaleTo"
    MAX = "max"


class Direction(StrEnum):
    UP = "up"
    DOWN = "down"
    BOTH = "both"


class ScalingReason(StrEnum):
    POLICY = "Policy"
    RULE = "Rule"
    LIMITED = "Limited"
    """By min, max, cost ceiling or capacity."""
    SIGNAL_LOST = "SignalLost"
    COOLDOWN = "Cooldown"
    PAUSED = "Paused"
    ROLLOUT = "Rollout"
    """Only up while two versions run."""


class ScalingRule(Value):
    """One target: replicas follow the ratio of the signal to it."""

    signal: Signal
    target: Annotated[float, Field(gt=0, le=1e9)]
    """Percent for cpu and memory, per replica for requests and queue length, ms for latency."""
    settings: Settings = Field(default_factory=dict)


class CostPeriod(StrEnum):
    HOUR = "hour"
    MONTH = "month"


class CostCeiling(Value):
    amount: Annotated[float, Field(gt=0, le=1e9)]
    currency: Annotated[
        str,
        StringConstraints(
            pattern=pattern(r"^[A-Z]{3}$", "a currency of three capital letters, such as EUR")
        ),
    ] = "EUR"
    per: CostPeriod = CostPeriod.MONTH


Rules = Annotated[tuple[ScalingRule, ...], Field(max_length=10)]


class ScalingPolicyChange(Command):
    """PUT /scaling-policies/{policyId}."""

    min: Replicas
    max: Annotated[int, Field(ge=1, le=1000)]
    rules: Rules = ()
    actuator: Actuator = Actuator.PLATFORM
    stabilisation: Wait = timedelta(minutes=5)
    """Down only to the highest number wanted in this span."""
    cooldown: Wait = timedelta(minutes=1)
    on_signal_loss: SignalLoss = SignalLoss.HOLD
    scale_to: Replicas | None = None
    cost_ceiling: CostCeiling | None = None

    @model_validator(mode="after")
    def _bounds_agree(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min is at most max, which is {self.max}")
        if (self.on_signal_loss is SignalLoss.SCALE_TO) != (self.scale_to is not None):
            raise ValueError("scaleTo is given exactly when onSignalLoss is scaleTo")
        return self


class ApplyScalingPolicy(ScalingPolicyChange):
    """POST /scaling-policies. The natural key: service."""

    service_id: ServiceId


class ScalingPause(Command):
    """POST /scaling-policies/{policyId}/pause."""

    direction: Direction = Direction.BOTH
    length: Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(hours=24))]
    reason: Text = ""


class WhatIf(Command):
    """POST /scaling-policies/{policyId}/what-if: this policy over recorded samples."""

    policy: ScalingPolicyChange
    from_at: Instant
    until_at: Instant


class ScalingPolicyApplied(Event):
    """A policy or the number it wants changed; `aggregate_id` is the policy's id."""

    policy_id: ScalingPolicyId
    service_id: ServiceId
    environment_id: EnvironmentId
    module_id: ModuleId
    min: Replicas
    max: Replicas
    desired: Replicas
    actual: Replicas | None = None
    """As last observed; absent when it is not known."""
    actuator: Actuator
    rules: Rules = ()
    status: ScalingStatus
    reason: ScalingReason
    policy_revision: Annotated[int, Field(ge=1)]
    """Grows with the policy only, not with each decision; part of the release unit."""


class ScaleRelease(Command):
    """scaling to itself: note what a deployment left of one service."""

    environment_id: EnvironmentId
    module_id: ModuleId
    service_id: ServiceId
    release_revision: Annotated[int, Field(ge=1)]
    policy_revision: Revision
    replicas: Replicas
    routing: Routing


class ScalingPolicy(Resource):
    """GET /scaling-policies/{policyId}."""

    policy_id: ScalingPolicyId
    tenant_id: TenantId
    service_id: ServiceId
    min: Replicas
    max: Replicas
    rules: Rules
    actuator: Actuator
    stabilisation: Wait
    cooldown: Wait
    on_signal_loss: SignalLoss
    scale_to: Replicas | None
    cost_ceiling: CostCeiling | None
    status: ScalingStatus
    paused: Direction | None
    paused_until: Instant | None
    desired: Replicas | None
    actual: Replicas | None
    policy_revision: Revision
    revision: Revision
    reason: Reason | None


class ScalingDecision(Resource):
    """One row of GET /scaling-policies/{policyId}/decisions, or of a what-if."""

    at: Instant
    desired: Replicas
    actual: Replicas | None
    reason: ScalingReason
    signal: Signal | None
    value: float | None
    message: Label


@dataclass(frozen=True)
class ScalingDefaults:
    """The numbers of scaling."""

    evaluation: timedelta = timedelta(seconds=60)
    pause_max: timedelta = timedelta(hours=24)
    samples_kept: timedelta = timedelta(days=30)
    history_kept: timedelta = timedelta(days=365)
