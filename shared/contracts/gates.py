"""The gate between two steps of a rollout: the question, the evidence and the verdict.

deployments asks (`EvaluateGate`, one per component and step), health measures and answers with
`HealthCheckCompleted` that carries the same `gate_id`; the verdict of a step over all components
is deployments' own.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from shared.contracts.gate_metrics import GateMetrics
from shared.contracts.metrics import QUERY_MAX, Metric, MetricSource
from shared.contracts.shape import Command, Value
from shared.contracts.values import (
    Count,
    DeploymentId,
    EnvironmentId,
    GateId,
    Instant,
    Label,
    Milliseconds,
    ModuleId,
    Percent,
    Port,
    Probes,
    Ratio,
    Revision,
    ServiceId,
    Stage,
    Text,
    Url,
)
from shared.kernel.dataclass import dataclass

Wait = Annotated[timedelta, Field(ge=timedelta(0), le=timedelta(days=1))]
Metrics = Annotated[GateMetrics | None, Field(exclude_if=lambda metrics: metrics is None)]
"""Left out where there is none, so that apps of an earlier release read the rest."""


class Verdict(StrEnum):
    PASS = "Pass"  # noqa: S105  a verdict
    FAIL = "Fail"
    INCONCLUSIVE = "Inconclusive"


class OnInconclusive(StrEnum):
    PAUSE = "pause"
    PASS = "pass"  # noqa: S105  a choice
    """Goes on, and the step is marked."""
    FAIL = "fail"


class GateLimits(Value):
    """Limits of the new version, against the old one and absolute; a tie passes.

    Ratios are fractions of requests. Latency is judged by p99 from 1,000 samples, p95 from 100,
    else p50, and fails only when both its relative and its absolute margin are passed, in two
    windows in a row. Without a healthy baseline only the absolute limits hold.
    """

    error_ratio_increase_max: Ratio = 0.005
    """Against the old version, as a fraction of requests; half a percent."""
    error_ratio_max: Ratio = 0.01
    """Absolute, where there is no healthy old version to compare with."""
    latency_increase_ratio_max: Annotated[float, Field(ge=0, le=100)] = 0.25
    """Of the p99 of a window with 1,000 requests, the p95 from 100, else the p50; not judged on
    fewer than 20. Against the old version; fails only together with the next one."""
    latency_increase_ms_max: Milliseconds = 20.0
    """Of the same percentile, in milliseconds."""
    p95_ms_max: Milliseconds = 800.0
    """Absolute, where there is no healthy old version to compare with."""
    burn_rate_max: Annotated[float, Field(gt=0, le=10_000)] = 14.4
    """Of the error budget, over one hour and five minutes, as in the SRE Workbook, where the
    service has an objective. What burned faster before the step fails nothing."""


class Gate(Value):
    """The limits of every step of a deployment; the environment has the defaults."""

    limits: GateLimits = Field(default_factory=GateLimits)
    """A tie with a limit passes."""
    window: Wait | None = None
    """So long all instances have to be ready; and so long is each window by whose requests errors
    and latency are judged: two good ones in a row pass, two bad ones fail."""
    min_samples: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    """Requests, and probes where they count, that a `Pass` takes. Errors that chance does not
    explain fail earlier."""
    deadline: Wait | None = None
    """From the start of the step; too few samples by then is Inconclusive."""
    on_inconclusive: OnInconclusive | None = None
    """When the deadline passes without a verdict; prod pauses, others pass, marked."""
    probes_count: bool | None = None
    """Whether probes are samples; by default outside prod, and for workers. Each time the gate
    looks, every instance is asked five times by its HTTP readiness probe, and each answer is a
    sample; without such a probe its readiness is one."""
    metrics: Metrics = None
    """Where requests, errors and latency are read; the surface's own proxy when not given. What
    cannot be measured there is Inconclusive."""


@dataclass(frozen=True)
class GateDefaults:
    """The values that apply when neither the deployment nor the environment gives others."""

    window: timedelta = timedelta(seconds=60)
    min_samples: int = 50
    deadline: timedelta = timedelta(minutes=10)

    def on_inconclusive(self, stage: Stage) -> OnInconclusive:
        """Prod pauses for a human, others pass, marked."""
        return OnInconclusive.PAUSE if stage is Stage.PROD else OnInconclusive.PASS


EXTENSION_MAX: Final = timedelta(minutes=10)
"""A gate with a longer deadline is judged often enough, so its deadline stays as asked."""


def extension_max(asked_at: datetime, deadline_at: datetime) -> timedelta:
    """Return the most by which an outage of the judge may move the deadline of a gate."""
    return min(deadline_at - asked_at, EXTENSION_MAX)


LOCAL_GATE: Final = GateDefaults(window=timedelta(seconds=5), deadline=timedelta(seconds=60))
"""For one machine, where people watch; the command line prints it."""


class GateVersion(Value):
    """One of the two versions that a gate compares."""

    release_revision: Annotated[int, Field(ge=1)]
    endpoint: Url | None = None
    """Where this version alone is reached; absent where health asks its surface itself."""
    metrics_key: Label
    """Names its samples at the surface, for example Envoy's cluster."""


class EvaluateGate(Command):
    """Judge one component of one step until decided or the deadline. Same `gate_id`, same gate."""

    gate_id: GateId
    deployment_id: DeploymentId
    environment_id: EnvironmentId
    stage: Stage
    module_id: ModuleId
    service_id: ServiceId
    attempt: Annotated[int, Field(ge=1, le=9999)]
    step: Annotated[int, Field(ge=0, le=999)]
    weight: Percent
    candidate: GateVersion
    baseline: GateVersion | None = None
    """Absent for a first release: absolute limits only."""
    endpoint: Url | None = None
    """The public endpoint, where both share the traffic; absent as that of a version is."""
    port: Port | None = None
    probes: Probes = Field(default_factory=Probes)
    probes_count: bool = True
    limits: GateLimits = Field(default_factory=GateLimits)
    window: Wait
    min_samples: Annotated[int, Field(ge=1, le=1_000_000)]
    metrics: Metrics = None
    asked_at: Instant
    deadline_at: Instant


class Measure(StrEnum):
    READINESS = "readiness"
    ERROR_RATIO = "errorRatio"
    LATENCY = "latency"
    BURN_RATE = "burnRate"
    SAMPLES = "samples"


class Analysis(Value):
    """One rule of a gate: the measured value, its limit, and the verdict."""

    measure: Measure
    verdict: Verdict
    value: float | None = None
    """Of the candidate."""
    baseline: float | None = None
    threshold: float | None = None
    unit: Label
    """`ratio`, `ms`, `s`, `times` or `count`; latency says its percentile in `reason`."""
    reason: Annotated[str, Field(max_length=256)]


class Samples(Value):
    """How much evidence there was."""

    requests: Count = 0
    errors: Count = 0
    probes: Count = 0
    p50_ms: Milliseconds | None = None
    p95_ms: Milliseconds | None = None
    p99_ms: Milliseconds | None = None


class Unmeasured(Value):
    """One figure that a gate asked for and did not get, and why; it keeps the gate from Pass."""

    source: MetricSource
    metric: Metric
    revision: Revision
    """The release revision that it was to be a figure of."""
    query: Annotated[str, Field(max_length=2 * QUERY_MAX)] = ""
    """As the source was asked."""
    cause: Text


class GateEvidence(Value):
    """All evidence of a verdict; the same evidence gives the same verdict."""

    gate_id: GateId
    module_id: ModuleId
    step: Annotated[int, Field(ge=0, le=999)]
    weight: Percent
    verdict: Verdict
    candidate_revision: Revision
    baseline_revision: Revision | None = None
    absolute_only: bool = False
    """No baseline, or an unhealthy one."""
    analyses: Annotated[tuple[Analysis, ...], Field(max_length=10)] = ()
    candidate: Samples = Field(default_factory=Samples)
    baseline: Samples | None = None
    unmeasured: Annotated[
        tuple[Unmeasured, ...], Field(max_length=6, exclude_if=lambda entries: not entries)
    ] = ()
    """What the source of the gate's metrics did not measure last."""
    first_bad_at: Instant | None = None
    """When the first sample beyond a limit was seen."""
    from_at: Instant
    until_at: Instant
