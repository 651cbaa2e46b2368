"""Probe one service: read its surface and ask each of its instances."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from function_apps.health.model.probe_target import ProbeTarget
from function_apps.health.model.status_hysteresis import ProbeOutcome
from function_apps.health.ports import HealthApp
from shared.contracts.health import CheckKind, HealthStatus
from shared.contracts.values import Probe, ProbeKind
from shared.kernel.concurrency import bounded_map
from shared.kernel.dataclass import dataclass
from shared.kernel.ids import EnvironmentId, ModuleId, TenantId
from shared.kernel.observation import Absent, Present
from shared.probing.health_body import ReportedHealth
from shared.probing.result import DENIED, ProbeResult
from shared.surfaces.observed_state import Instance, LiveComponent
from shared.surfaces.spec import SurfaceComponent as Component

INSTANCES_AT_ONCE: Final = 8
REPORTS_SHOWN: Final = 3
"""Instances of one release usually miss the same dependency."""
UNREACHED: Final = "is in no network that health may ask: the probe of its surface counts"


@dataclass(frozen=True)
class ServiceProbe:
    """The result of probing all instances of a service once, with the check of each."""

    outcome: ProbeOutcome
    checks: Sequence[Mapping[str, Any]]
    reason: str
    instances: Sequence[Instance] | None = None
    """Those that were asked; None where the surface could not be read."""

    @property
    def is_lost(self) -> bool:
        """Return whether it fails without an answer: who answers an error was reached."""
        fails = self.outcome in {ProbeOutcome.FAIL, ProbeOutcome.NOTHING}
        return fails and not any(str(check["code"]).isdecimal() for check in self.checks)


def unknown_result(reason: str) -> ServiceProbe:
    return ServiceProbe(ProbeOutcome.NOTHING, (), reason)


async def probe_service(target: ProbeTarget, app: HealthApp) -> ServiceProbe:
    """Ask every instance of *target* that serves requests.

    What an interruption stopped is not known to fail while it starts again, for a bounded time.
    """
    if target.has_run:
        return ServiceProbe(ProbeOutcome.PASS, (), "it ran to its end with its release", ())
    reading = await app.surface.observe(
        Component(
            EnvironmentId(target.environment_id),
            TenantId(target.tenant_id),
            ModuleId(target.module_id),
        )
    )
    if isinstance(reading, Absent):
        return ServiceProbe(ProbeOutcome.FAIL, (), "nothing of it runs")
    if not isinstance(reading, Present):
        return unknown_result(reading.reason)
    instances = serving(reading.value)
    if not instances and target.may_be_none(app.service.clock.now(), app.rules.probing):
        # Nobody is asked: what was well stays so, and what was not is not known to be.
        was_well = target.status is HealthStatus.HEALTHY
        outcome = ProbeOutcome.PASS if was_well else ProbeOutcome.NOTHING
        return ServiceProbe(outcome, (), "its scaling policy wants no instance now", ())
    if not instances:
        return ServiceProbe(ProbeOutcome.FAIL, (), "no instance runs", ())
    probe = target.readiness

    async def ask(instance: Instance) -> Mapping[str, Any]:
        return await _check(instance, probe, app)

    checks = await bounded_map(instances, ask, at_once=INSTANCES_AT_ONCE)
    outcome, reason = _judge(target, instances, checks, app)
    return ServiceProbe(outcome, checks, reason, instances)


def _judge(
    target: ProbeTarget,
    instances: Sequence[Instance],
    checks: Sequence[Mapping[str, Any]],
    app: HealthApp,
) -> tuple[ProbeOutcome, str]:
    """Return the outcome of *checks*, one per instance, and the reason in words."""
    statuses = [check["status"] for check in checks]
    passing = len(statuses) - statuses.count(HealthStatus.UNHEALTHY)
    now, rules = app.service.clock.now(), app.rules.probing
    wanted = target.instances_due(now, rules)
    if not target.may_be_none(now, rules):
        wanted = max(1, wanted)
    # Of those that there are, where scaling has more run than the release asks for.
    there_are = max(wanted, len(statuses))
    reason = "; ".join((f"{passing} of {there_are} instances pass", *_reports(checks)))
    if passing >= wanted:
        is_degraded = HealthStatus.DEGRADED in statuses
        return ProbeOutcome.PARTLY if is_degraded else ProbeOutcome.PASS, reason
    since = now - rules.resumed_within
    resuming = sum(
        check["status"] is HealthStatus.UNHEALTHY
        and instance.is_resuming
        and instance.started_at >= since
        for instance, check in zip(instances, checks, strict=True)
    )
    if passing + resuming >= wanted:
        return ProbeOutcome.NOTHING, f"{reason}, {resuming} start again after an interruption"
    return ProbeOutcome.PARTLY if passing else ProbeOutcome.FAIL, reason


def _reports(checks: Sequence[Mapping[str, Any]]) -> Sequence[str]:
    """Return what the instances say of themselves, each sentence once."""
    reports: dict[str, str] = {}
    for check in checks:
        if check["status"] is not HealthStatus.HEALTHY and check["description"]:
            reports.setdefault(check["description"], str(check["instance"]))
    return [f"{instance}: {text}" for text, instance in list(reports.items())[:REPORTS_SHOWN]]


def serving(component: LiveComponent) -> Sequence[Instance]:
    """Return the instances that have traffic, or all of them for a worker without traffic."""
    weighted = [
        revision for revision in component.revisions if component.weights.get(revision.revision)
    ]
    revisions = weighted or list(component.revisions)
    return [instance for revision in revisions for instance in revision.instances]


async def _check(instance: Instance, probe: Probe | None, app: HealthApp) -> Mapping[str, Any]:
    if probe is None or instance.address is None:
        return _as_its_surface_says(instance, "")
    result = await _probe_with_retries(f"http://{instance.address}{probe.path}", probe, app)
    if result.code == DENIED:
        return _as_its_surface_says(instance, f"{instance.address} {UNREACHED}")
    return _to_check(instance, result, ProbeKind.HTTP)


def _as_its_surface_says(instance: Instance, why: str) -> Mapping[str, Any]:
    """Return the check of an instance whose surface runs the probes that it was given itself."""
    passed = instance.is_live and instance.is_ready
    code = instance.reason or ("Ok" if passed else "NotReady")
    # A schedule of which a run failed: the next one may go well.
    is_told = passed and instance.reason
    told = ReportedHealth(HealthStatus.DEGRADED, instance.message) if is_told else None
    check = _to_check(instance, ProbeResult(passed, code, 0.0, told), None)
    return {**check, "description": check["description"] or why}


async def _probe_with_retries(url: str, probe: Probe, app: HealthApp) -> ProbeResult:
    """Ask once, and again up to three times: one lost packet is not a failure."""
    timeout_s = probe.timeout.total_seconds()
    result = await app.prober.probe(url, timeout_s)
    for _ in range(app.rules.probing.probe_retries):
        if result.passed or result.code == DENIED:
            break
        result = await app.prober.probe(url, timeout_s)
    return result


def _to_check(instance: Instance, result: ProbeResult, kind: ProbeKind | None) -> Mapping[str, Any]:
    reported = result.reported
    is_degraded = reported is not None and reported.status is HealthStatus.DEGRADED
    passed = HealthStatus.DEGRADED if is_degraded else HealthStatus.HEALTHY
    unready = "" if result.passed else instance.message
    return {
        "kind": CheckKind.READINESS,
        "probe": kind,
        "status": passed if result.passed else HealthStatus.UNHEALTHY,
        "latencyMs": round(result.latency_ms, 1),
        "code": result.code,
        "instance": instance.id,
        "description": reported.description if reported is not None else unready,
    }
