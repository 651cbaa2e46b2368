"""The value of each rule's signal: measured by a provider, read of a clock, or remembered."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from function_apps.scaling.model.cron_windows import is_open
from function_apps.scaling.model.replica_ratio import InstanceUse
from function_apps.scaling.model.rule_checks import SOURCES
from function_apps.scaling.model.scaled_service import ScaledService
from function_apps.scaling.model.signal_values import (
    Level,
    Lost,
    Signals,
    SignalValue,
    Total,
    Uses,
    Window,
)
from function_apps.scaling.ports import ScalingApp
from shared.composition.parts import PartNotSupported
from shared.contracts.metrics import Metric, MetricSource
from shared.contracts.scaling import RULES_MAX, ScalingPolicyChange, ScalingRule, Signal
from shared.kernel.concurrency import Failure, answered_within, bounded_map
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Invalid
from shared.kernel.observation import Reading, Unknown
from shared.metrics.port import (
    Measured,
    Measurement,
    Metrics,
    MetricsQuery,
    Resolution,
    Subject,
    Unmeasurable,
)
from shared.surfaces.observed_state import LiveComponent, LiveRevision
from shared.surfaces.port import Surface
from shared.surfaces.spec import SurfaceComponent
from shared.surfaces.traffic import Histogram

_PERCENT: Final = 100.0
_MIB: Final = 2**20
_MS: Final = 1000.0
_METRICS: Final[Mapping[Signal, Metric]] = {
    Signal.CPU: Metric.CPU,
    Signal.MEMORY: Metric.MEMORY,
    Signal.REQUESTS: Metric.REQUESTS,
    Signal.LATENCY: Metric.LATENCY,
    Signal.QUEUE_LENGTH: Metric.QUEUE_LENGTH,
}
REVISION: Final = "{{revision}}"


@dataclass(frozen=True)
class Scaled:
    """A service to be scaled: where it runs, and the revision that is in force there."""

    service: ScaledService
    component: SurfaceComponent
    revision: LiveRevision


async def observe(
    surface: Surface, component: SurfaceComponent, app: ScalingApp
) -> Reading[LiveComponent]:
    """Return *component* as it is live, or Unknown where its surface takes too long."""
    work = surface.observe(component)
    seen = await answered_within(work, app.rules.read_within, "its surface")
    return Unknown(seen.reason) if isinstance(seen, Failure) else seen


async def measure_signals(
    policy: ScalingPolicyChange, scaled: Scaled, now: datetime, app: ScalingApp
) -> Signals:
    """Return what is seen for each rule of *policy*, by its place; nothing is raised.

    All are asked together: a provider that does not answer takes the time of one question.
    """

    async def see(rule: ScalingRule) -> SignalValue:
        return await _see(rule, scaled, now, app)

    return dict(enumerate(await bounded_map(policy.rules, see, at_once=RULES_MAX)))


async def _see(rule: ScalingRule, scaled: Scaled, now: datetime, app: ScalingApp) -> SignalValue:
    settings = rule.settings
    if rule.signal is Signal.SCHEDULE:
        zone = settings.get("timeZone", "UTC")
        return Window(is_open(settings["start"], settings["end"], zone, now))
    if rule.signal is Signal.BURN_RATE:
        kept = app.rules.scaling.burn_kept
        rate = scaled.service.burn_rate(settings.get("sli"), now, kept)
        return Level(rate) if rate is not None else Lost("health has said none lately")
    source = MetricSource(settings.get("source", SOURCES[rule.signal][0]))
    try:
        metrics = app.metrics(source)
    except (PartNotSupported, Invalid) as missing:
        return Lost(missing.message)
    queries = _queries(rule, scaled, source, _window(metrics, now, app))
    measured = await _measured(metrics, queries, app)
    lost = [each for each in measured if not isinstance(each, Measured)]
    if rule.signal in {Signal.CPU, Signal.MEMORY} and source is MetricSource.KUBERNETES:
        return _uses(rule, scaled, measured)
    if lost:
        return Lost(lost[0].reason)
    values = [each.value for each in measured if isinstance(each, Measured)]
    return _seen(rule, scaled, values, queries[0].window)


async def _measured(
    metrics: Metrics, queries: Sequence[MetricsQuery], app: ScalingApp
) -> Sequence[Measurement]:
    """Return what *metrics* measures; nothing of it where that takes too long."""
    work = metrics.measure(queries)
    measured = await answered_within(work, app.rules.read_within, "its provider")
    if isinstance(measured, Failure):
        return [Unmeasurable(measured.reason) for _ in queries]
    return measured


def _window(metrics: Metrics, now: datetime, app: ScalingApp) -> tuple[datetime, datetime]:
    """Return the last window that is complete, as fine as *metrics* measures."""
    resolution: Resolution = metrics.resolution
    length = max(app.rules.measured_over, resolution.window_least, resolution.grain)
    until = now - resolution.delay
    if resolution.delay or resolution.grain > timedelta(seconds=1):
        grain_s = resolution.grain.total_seconds()
        until = datetime.fromtimestamp(until.timestamp() // grain_s * grain_s, UTC)
    return until - length, until


def _queries(
    rule: ScalingRule, scaled: Scaled, source: MetricSource, window: tuple[datetime, datetime]
) -> Sequence[MetricsQuery]:
    settings, (since, until) = rule.settings, window
    text = settings.get("query", "")
    number = scaled.revision.revision
    whole = Subject(scaled.component, number if REVISION in text else None)
    if source is MetricSource.KUBERNETES:
        subjects = [
            Subject(scaled.component, number, each.id) for each in scaled.revision.instances
        ]
        return [MetricsQuery(_METRICS[rule.signal], each, since, until) for each in subjects]
    if rule.signal is Signal.CONCURRENCY:
        counted = source is MetricSource.SURFACE
        asked = [Metric.REQUESTS, Metric.LATENCY] if counted else [Metric.QUEUE_LENGTH]
        return [MetricsQuery(each, whole, since, until, text) for each in asked]
    unit_ms = _MS if settings.get("latencyUnit", "s") == "s" else 1.0
    return [
        MetricsQuery(
            _METRICS[rule.signal],
            whole,
            since,
            until,
            text,
            latency_unit_ms=unit_ms,
            resource=settings.get("resource", ""),
            namespace=settings.get("namespace", ""),
        )
    ]


def _uses(rule: ScalingRule, scaled: Scaled, measured: Sequence[Measurement]) -> SignalValue:
    """Return the use of each instance; one without a value is missing, and one may start."""
    limit = _limit(rule, scaled)
    # As in Kubernetes, an instance that starts uses CPU, but is no sign of load; memory is.
    is_cpu = rule.signal is Signal.CPU
    uses = []
    for instance, measurement in zip(scaled.revision.instances, measured, strict=True):
        value = measurement.value if isinstance(measurement, Measured) else None
        percent = value / limit * _PERCENT if isinstance(value, float | int) else None
        is_counted = instance.is_ready or (not is_cpu and percent is not None)
        uses.append(InstanceUse(percent, is_counted))
    return Uses(tuple(uses))


def _seen(
    rule: ScalingRule,
    scaled: Scaled,
    values: Sequence[float | Histogram],
    window: timedelta,
) -> SignalValue:
    first = values[0]
    match rule.signal:
        case Signal.LATENCY:
            assert isinstance(first, Histogram)
            percentile = int(rule.settings.get("percentile", "95")) / _PERCENT
            # No request is no latency: it is known that nobody waits.
            return Level(first.quantile_ms(percentile) or 0.0)
        case Signal.CONCURRENCY if len(values) > 1:
            assert isinstance(values[1], Histogram)
            assert not isinstance(first, Histogram)
            # Little's law: as many are inside as come in the time that one stays.
            rate = first / window.total_seconds()
            return Total(rate * (values[1].mean_ms or 0.0) / _MS)
    assert not isinstance(first, Histogram)
    if rule.signal is Signal.REQUESTS:
        return Total(first / window.total_seconds())
    if rule.signal in {Signal.CPU, Signal.MEMORY}:
        ready = max(1, scaled.revision.ready)
        each = first / _limit(rule, scaled) * _PERCENT / ready
        return Uses(tuple(InstanceUse(each) for _ in range(ready)))
    return Total(first)


def _limit(rule: ScalingRule, scaled: Scaled) -> float:
    """Return what one instance may use: cores, or bytes."""
    resources = scaled.service.resources
    if rule.signal is Signal.CPU:
        assert resources.cpu is not None, "a rule of what has no limit is refused"
        return resources.cpu
    assert resources.memory_mib is not None, "a rule of what has no limit is refused"
    return float(resources.memory_mib * _MIB)
