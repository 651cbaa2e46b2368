"""Commands, events and resources of health: probes, objectives and alerts.

`EvaluateGate` and the evidence of a gate are in `gates.py`, which deployments shares.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from shared.contracts.catalog import ReleaseOfComponent
from shared.contracts.gate_metrics import GateMetrics
from shared.contracts.gates import GateEvidence, Verdict
from shared.contracts.shape import Command, Event, Resource, Value
from shared.contracts.values import (
    Count,
    DeploymentId,
    Digest,
    Duration,
    EnvironmentId,
    GateId,
    Instant,
    Label,
    Milliseconds,
    ModuleId,
    ProbeKind,
    Ratio,
    Revision,
    ServiceId,
    Severity,
    Stage,
    TenantId,
    Text,
)
from shared.kernel.dataclass import dataclass


class HealthStatus(StrEnum):
    HEALTHY = "Healthy"
    DEGRADED = "Degraded"
    UNHEALTHY = "Unhealthy"
    UNKNOWN = "Unknown"
    """Absent data, or the prober's own outage; never Healthy."""


class CheckKind(StrEnum):
    """The purpose of a probe, or a measure of traffic."""

    READINESS = "readiness"
    LIVENESS = "liveness"
    STARTUP = "startup"
    TRAFFIC = "traffic"


class HealthCheck(Value):
    kind: CheckKind
    probe: ProbeKind | None = None
    status: HealthStatus
    latency_ms: Milliseconds | None = None
    code: Label
    """HTTP status, or `Timeout`, `Refused`, `Dns`, `Ok`."""
    instance: Label | None = None
    description: Text = ""
    """The entries that the application itself reports as not Healthy."""


class Sli(StrEnum):
    """The events that an objective is about, and which of them are good."""

    AVAILABILITY = "availability"
    """Requests, as the surface's proxy counts them; a 5xx or no answer is bad."""
    LATENCY = "latency"
    """The same requests; one that took longer than `latencyMsMax` is bad."""
    PROBES = "probes"
    """The probes of its instances; one that fails is bad."""


class BurnRate(Value):
    """How fast the error budget goes: 1.0 uses it up exactly at the end of the period."""

    sli: Sli
    long_window: Duration
    long: Annotated[float, Field(ge=0)]
    short_window: Duration
    short: Annotated[float, Field(ge=0)]


class UnmeasuredBurn(Value):
    """Two windows, at least one with fewer events than asked for: no alert is raised by them.

    The one with enough has its rate.
    """

    sli: Sli
    long_window: Duration
    long: Annotated[float, Field(ge=0)] | None
    short_window: Duration
    short: Annotated[float, Field(ge=0)] | None


class RootCause(Value):
    """The dependency that explains it."""

    service_id: ServiceId
    module_id: ModuleId
    status: HealthStatus
    since: Instant


class HealthSource(StrEnum):
    CHANGE = "change"
    GATE = "gate"
    HEARTBEAT = "heartbeat"


class HealthWindow(Value):
    from_at: Instant
    until_at: Instant
    samples: Count
    errors: Count = 0
    p50_ms: Milliseconds | None = None
    p95_ms: Milliseconds | None = None
    p99_ms: Milliseconds | None = None


Checks = Annotated[tuple[HealthCheck, ...], Field(max_length=50)]


class HealthCheckCompleted(Event):
    """On change, as a heartbeat every five minutes, and once per gate with its verdict.

    `aggregate_id` is the service's id, or the gate's when `gate_id` is given.
    """

    service_id: ServiceId
    environment_id: EnvironmentId
    module_id: ModuleId
    deployment_id: DeploymentId | None = None
    gate_id: GateId | None = None
    release_revision: Revision = 0
    status: HealthStatus
    previous_status: HealthStatus | None = None
    reason: Text = ""
    checks: Checks = ()
    samples: Count = 0
    window: HealthWindow | None = None
    slo_burn: Annotated[tuple[BurnRate, ...], Field(max_length=10)] = ()
    root_cause: RootCause | None = None
    source: HealthSource
    verdict: Verdict | None = None
    """With `gate_id` only, as is `evidence`."""
    evidence: GateEvidence | None = None


class InstanceRestarts(Value):
    """How often one instance was started again after it ended by itself or was killed."""

    instance: Label
    restarts: Count
    last_exit: Text
    """`exit status 1`, `ended by SIGKILL`, `memory limit exceeded`, `liveness probe failed`."""
    is_crash_loop: bool


class RuntimeInstancesRestarted(Event):
    """Instances of the release in force ended and were started again.

    One event for all that one sweep noticed of a service, whose id is `aggregate_id`. `status` is
    that of the service.
    """

    service_id: ServiceId
    environment_id: EnvironmentId
    module_id: ModuleId
    deployment_id: DeploymentId | None = None
    release_revision: Revision = 0
    status: HealthStatus
    reason: Text
    restarted: Annotated[tuple[InstanceRestarts, ...], Field(max_length=50)]


class WatchRelease(ReleaseOfComponent):
    """health to itself: take what a deployment left of one service as the target of probes."""


def _is_none(value: object) -> bool:
    return value is None


class SetObjective(Command):
    """PUT /services/{serviceId}/slo."""

    sli: Sli
    objective: Annotated[float, Field(ge=0.5, le=0.99999)]
    """The fraction of events that are to be good: 0.999. The rest is the error budget."""
    window: Annotated[timedelta, Field(ge=timedelta(hours=1), le=timedelta(days=90))]
    """The period that the budget is for, up to now; ISO 8601, for example `P30D`."""
    min_samples: Annotated[int, Field(ge=1, le=10_000_000)] = 50
    """A window with fewer events is not measured; a short one takes a twelfth of it."""
    latency_ms_max: Annotated[float | None, Field(gt=0, le=60_000)] = None
    """With `latency` only: a slower request is bad."""
    metrics: Annotated[GateMetrics | None, Field(exclude_if=_is_none)] = None
    """Who measures the requests, and by which queries, as of a gate; without it the surface's own
    proxy does."""

    @model_validator(mode="after")
    def _limits_latency_alone(self) -> Self:
        if (self.sli is Sli.LATENCY) != (self.latency_ms_max is not None):
            raise ValueError("latencyMsMax for latency, and for it alone")
        return self

    @model_validator(mode="after")
    def _is_measured_by_what_it_says(self) -> Self:
        metrics = self.provider_metrics
        if metrics is None:
            return self
        if self.sli is Sli.PROBES:
            raise ValueError("no metrics with probes, which health counts itself")
        if (self.sli is Sli.LATENCY) != (metrics.latency is not None):
            raise ValueError("metrics.latency for latency, and for it alone")
        asked = (metrics.requests, metrics.errors, metrics.latency)
        if any("{{revision}}" in text for text in asked if text is not None):
            raise ValueError("no {{revision}} in metrics: an objective is of all releases")
        return self

    @property
    def provider_metrics(self) -> GateMetrics | None:
        """Return who measures besides the platform; None where that counts itself."""
        is_measured = self.metrics is not None and not self.metrics.is_counted
        return self.metrics if is_measured else None


class ServiceObjective(Resource):
    service_id: ServiceId
    sli: Sli
    objective: Ratio
    window: Duration
    min_samples: Count
    latency_ms_max: Milliseconds | None
    metrics: GateMetrics | None = None
    unmeasured: Text = ""
    """Why the provider measured nothing the last time."""
    revision: Revision
    burn: Annotated[tuple[BurnRate, ...], Field(max_length=10)]
    """One for each rule that is measured; a window with too few samples has none."""


class RaisedAlert(Value):
    """An alert of a service that has not ended."""

    alert: Label
    severity: Severity
    raised_at: Instant


class ServiceHealth(Resource):
    """GET /services/{serviceId}/health."""

    service_id: ServiceId
    tenant_id: TenantId
    environment_id: EnvironmentId
    stage: Stage
    module_id: ModuleId
    deployment_id: DeploymentId | None
    release_revision: Revision
    digest: Digest | None
    status: HealthStatus
    previous_status: HealthStatus | None
    reason: Text
    since: Instant
    checked_at: Instant | None
    checks: Checks
    window: HealthWindow | None
    slo_burn: Annotated[tuple[BurnRate, ...], Field(max_length=10)]
    slo_unmeasured: Annotated[tuple[UnmeasuredBurn, ...], Field(max_length=10)] = ()
    root_cause: RootCause | None
    alerts: Annotated[tuple[RaisedAlert, ...], Field(max_length=10)] = ()
    revision: Revision


class HealthCheckResult(Resource):
    """One row of GET /services/{serviceId}/health/history; kept 30 days."""

    service_id: ServiceId
    window: HealthWindow
    status: HealthStatus
    reason: Text = ""
    checks: Checks
    deployment_id: DeploymentId | None


@dataclass(frozen=True)
class HealthDefaults:
    """The default numbers of probing."""

    sweep: timedelta = timedelta(seconds=30)
    probe_timeout: timedelta = timedelta(seconds=5)
    probe_retries: int = 3
    failures_to_worsen: int = 3
    passes_to_improve: int = 2
    heartbeat: timedelta = timedelta(minutes=5)
    prober_outage_ratio: float = 0.5
    """More targets than this lost at once is the prober's outage: Unknown."""
    resumed_within: timedelta = timedelta(minutes=5)
    """An instance that starts again after an interruption is Unknown so long, and then fails."""
    crash_loop_restarts: int = 3
    crash_loop_within: timedelta = timedelta(minutes=5)
    """An instance that restarts so often within this time is in a crash loop: Degraded."""
    crash_loop_over: timedelta = timedelta(minutes=10)
    """Without a restart, as long as Kubernetes takes to begin its backoff anew."""
    explained_within: timedelta = timedelta(seconds=90)
    """A dependency that failed later by so much still explains a service: probes are so far apart,
    and one of them may pass by chance."""
    spreads_within: timedelta = timedelta(minutes=5)
    """A dependency that failed earlier by more has not broken a service that failed only now."""
    recovered_within: timedelta = timedelta(minutes=5)
    """So long after its recovery a dependency explains services that have not recovered yet."""


LOCAL_HEALTH: Final = HealthDefaults(
    sweep=timedelta(seconds=2), probe_timeout=timedelta(seconds=1), heartbeat=timedelta(minutes=1),
    resumed_within=timedelta(seconds=90), crash_loop_over=timedelta(minutes=1),
    explained_within=timedelta(seconds=6), spreads_within=timedelta(seconds=30),
    recovered_within=timedelta(seconds=30),
)  # fmt: skip
"""For one machine, where people watch; the command line prints it."""
