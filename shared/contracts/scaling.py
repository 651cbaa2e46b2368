"""Commands, events and resources of scaling: how many replicas a service has, and why."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field, StringConstraints, model_validator

from shared.contracts.catalog import ReleaseOfComponent
from shared.contracts.gates import Wait
from shared.contracts.patterns import pattern
from shared.contracts.shape import Command, Event, Resource, Value
from shared.contracts.values import (
    DeploymentId,
    EnvironmentId,
    Instant,
    ModuleId,
    Reason,
    Replicas,
    Revision,
    ScalingPolicyId,
    ServiceId,
    Settings,
    Stage,
    TenantId,
    Text,
)
from shared.kernel.dataclass import dataclass


class ScalingStatus(StrEnum):
    REQUESTED = "Requested"
    APPLIED = "Applied"
    ENFORCED = "Enforced"
    PAUSED = "Paused"
    REJECTED = "Rejected"
    SUPERSEDED = "Superseded"


_IN_FORCE: Final = frozenset({ScalingStatus.APPLIED, ScalingStatus.ENFORCED, ScalingStatus.PAUSED})


class Actuator(StrEnum):
    """Who sets the number, one of them."""

    PLATFORM = "platform"
    NATIVE = "native"
    """The surface's own autoscaler, for example KEDA."""


class Signal(StrEnum):
    CPU = "cpu"
    MEMORY = "memory"
    REQUESTS = "requests"
    CONCURRENCY = "concurrency"
    """Requests that are being answered at the same time."""
    LATENCY = "latency"
    QUEUE_LENGTH = "queueLength"
    SCHEDULE = "schedule"
    """A window of time, in which the target is a number of instances."""
    BURN_RATE = "burnRate"
    """How fast the error budget goes, as health says it."""


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
    """Percent for cpu and memory; per instance for requests (a second), concurrency and queue
    length; ms for latency; a number of instances for a schedule; a rate for burnRate."""
    settings: Settings = Field(default_factory=dict)
    """`source`, `query`, `start` and so on, by signal: see the page of scaling."""


class RateUnit(StrEnum):
    INSTANCES = "instances"
    PERCENT = "percent"
    """Of the number at the beginning of the period."""


class RateLimit(Value):
    """How far the number moves in a period, at the most."""

    unit: RateUnit
    value: Annotated[int, Field(ge=1, le=1000)]
    period: Annotated[timedelta, Field(ge=timedelta(seconds=1), le=timedelta(minutes=30))]


_QUARTER_MINUTE: Final = timedelta(seconds=15)
Rates = Annotated[tuple[RateLimit, ...], Field(max_length=4)]


class RateLimits(Value):
    """By direction; of several the one that allows most counts, and none limits nothing.

    The defaults are Kubernetes': 4 instances or twice as many up, all of them down, in 15 s.
    """

    up: Rates = (
        RateLimit(unit=RateUnit.INSTANCES, value=4, period=_QUARTER_MINUTE),
        RateLimit(unit=RateUnit.PERCENT, value=100, period=_QUARTER_MINUTE),
    )
    down: Rates = (RateLimit(unit=RateUnit.PERCENT, value=100, period=_QUARTER_MINUTE),)


class CostPeriod(StrEnum):
    HOUR = "hour"
    MONTH = "month"


Price = Annotated[float, Field(ge=0, le=1e6)]


class PriceList(Value):
    """What an hour costs: of an instance, and of what it may take."""

    instance: Price = 0
    cpu: Price = 0
    """Of a core."""
    memory_gib: Price = 0

    @model_validator(mode="after")
    def _names_a_price(self) -> Self:
        if not (self.instance or self.cpu or self.memory_gib):
            raise ValueError("a price above 0 of instance, cpu or memoryGib")
        return self


class CostCeiling(Value):
    """As many instances as cost no more, by a price list of your own."""

    amount: Annotated[float, Field(gt=0, le=1e9)]
    currency: Annotated[
        str,
        StringConstraints(
            pattern=pattern(r"^[A-Z]{3}$", "a currency of three capital letters, such as EUR")
        ),
    ] = "EUR"
    per: CostPeriod = CostPeriod.MONTH
    """A month has 730 hours."""
    prices: PriceList


RULES_MAX: Final = 10
Rules = Annotated[tuple[ScalingRule, ...], Field(max_length=RULES_MAX)]


class ScalingPolicyChange(Command):
    """PUT /scaling-policies/{policyId}."""

    min: Replicas
    max: Annotated[int, Field(ge=1, le=1000)]
    rules: Rules = ()
    actuator: Actuator = Actuator.PLATFORM
    stabilisation: Wait = timedelta(minutes=5)
    """Down only to the highest number wanted in this span."""
    cooldown: Wait = timedelta(minutes=1)
    """After each change of the number it is not lowered for so long."""
    rate_limits: RateLimits = Field(default_factory=RateLimits)
    on_signal_loss: SignalLoss = SignalLoss.HOLD
    scale_to: Replicas | None = None
    cost_ceiling: CostCeiling | None = None

    @model_validator(mode="after")
    def _bounds_agree(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min is at most max: {self.min} is more than {self.max}")
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


class ScalingReturn(Command):
    """POST /scaling-policies/{policyId}/resume."""

    reason: Text = ""


class LeftReplicas(Value):
    """The number of instances that a policy left, as it stopped to decide it."""

    replicas: Replicas
    release_revision: Revision
    """The newest release of the service that it scaled."""

    def is_of(self, release_revision: int, policy_revision: int) -> bool:
        """Return whether a release is to have this number: the policy scaled it.

        So is one that was begun under a policy (*policy_revision*), as it began with as many.
        """
        return policy_revision > 0 or release_revision <= self.release_revision


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
    left_replicas: LeftReplicas | None = None
    """What stays since the policy decides it no more; absent where it left nothing."""

    @property
    def number(self) -> int | None:
        """The number of instances that the policy wants; None while it is not in force."""
        return self.desired if self.status in _IN_FORCE else None


class ScaleRelease(ReleaseOfComponent):
    """scaling to itself: note what a deployment left of one service."""


class HoldScaling(Command):
    """scaling to itself: a deployment changes one service, so nothing is stopped meanwhile."""

    environment_id: EnvironmentId
    module_id: ModuleId
    deployment_id: DeploymentId
    at: Instant
    """When deployments said so, which orders what it says of one deployment."""
    is_over: bool = False
    """It ended without a release of the service."""
    stage: Stage | None = None
    """Of the environment; absent in what was sent by an earlier release."""


class ScalingPolicy(Resource):
    """GET /scaling-policies/{policyId}."""

    policy_id: ScalingPolicyId
    tenant_id: TenantId
    service_id: ServiceId
    environment_id: EnvironmentId
    module_id: ModuleId | None
    """Absent while nothing is known of the service."""
    min: Replicas
    max: Replicas
    rules: Rules
    actuator: Actuator
    stabilisation: Wait
    cooldown: Wait
    rate_limits: RateLimits
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


class ScalingInput(Value):
    """What one rule saw, and how many instances it asks for."""

    signal: Signal
    target: Annotated[float, Field(gt=0, le=1e9)]
    value: Annotated[float, Field(ge=0)] | None = None
    """In the unit of the target; absent when it is not known, for the `reason`."""
    wanted: Replicas | None = None
    reason: Text = ""


Inputs = Annotated[tuple[ScalingInput, ...], Field(max_length=RULES_MAX)]


class ScalingDecision(Resource):
    """One row of GET /scaling-policies/{policyId}/decisions, or of a what-if."""

    at: Instant
    desired: Replicas | None
    """Absent where nothing was decided: the number there is could not be read."""
    actual: Replicas | None
    reason: ScalingReason
    signal: Signal | None
    value: float | None
    message: Text
    inputs: Inputs = ()
    policy_revision: Revision = 0


@dataclass(frozen=True)
class ScalingDefaults:
    """The numbers of scaling."""

    evaluation: timedelta = timedelta(seconds=60)
    tolerance: float = 0.1
    """A signal so near its target changes nothing: a share of the target, Kubernetes' default."""
    hold_at_most: timedelta = timedelta(hours=24)
    """A rollout that never said its end holds no longer."""
    burn_kept: timedelta = timedelta(minutes=15)
    """Three heartbeats of health; an older burn rate is not known."""
