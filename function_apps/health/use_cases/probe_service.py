"""One look at a service: its surface is read, and each of its instances is asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from function_apps.health.model.probe_target import Target
from function_apps.health.model.status_hysteresis import Look
from function_apps.health.ports import HealthApp
from shared.concurrency import each_of
from shared.contracts.health import CheckKind, HealthStatus
from shared.contracts.values import Probe, ProbeKind
from shared.kernel.ids import EnvironmentId, ModuleId, TenantId
from shared.kernel.observation import Absent, Present
from shared.probing.result import ProbeResult
from shared.surfaces.observed_state import Instance, LiveComponent
from shared.surfaces.spec import Component

INSTANCES_AT_ONCE: Final = 8


@dataclass(frozen=True)
class Seen:
    """One look at a target: what it says, and the probes behind it."""

    look: Look
    checks: Sequence[Mapping[str, Any]]
    reason: str


def blind(reason: str) -> Seen:
    return Seen(Look.NOTHING, (), reason)


async def look_at(target: Target, app: HealthApp) -> Seen:
    """Ask every instance of *target* that serves requests."""
    reading = await app.surface.observe(
        Component(
            EnvironmentId(target.environment_id),
            TenantId(target.tenant_id),
            ModuleId(target.module_id),
        )
    )
    if isinstance(reading, Absent):
        return Seen(Look.FAIL, (), "nothing of it runs")
    if not isinstance(reading, Present):
        return blind(reading.reason)
    instances = serving(reading.value)
    if not instances:
        return Seen(Look.FAIL, (), "no instance runs")
    probe = target.readiness

    async def ask(instance: Instance) -> Mapping[str, Any]:
        return await _check(instance, probe, app)

    checks = await each_of(instances, ask, at_once=INSTANCES_AT_ONCE)
    passing = sum(check["status"] is HealthStatus.HEALTHY for check in checks)
    wanted = max(1, target.replicas)
    reason = f"{passing} of {wanted} instances pass"
    if passing >= wanted:
        return Seen(Look.PASS, checks, reason)
    return Seen(Look.PARTLY if passing else Look.FAIL, checks, reason)


def serving(component: LiveComponent) -> Sequence[Instance]:
    """Return the instances that have traffic, or all of them for a worker without traffic."""
    weighted = [
        revision for revision in component.revisions if component.weights.get(revision.revision)
    ]
    revisions = weighted or list(component.revisions)
    return [instance for revision in revisions for instance in revision.instances]


async def _check(instance: Instance, probe: Probe | None, app: HealthApp) -> Mapping[str, Any]:
    if probe is None or instance.address is None:
        # The surface asks it itself, by the probes that it was given.
        passed = instance.is_live and instance.is_ready
        code = "Ok" if passed else instance.reason or "NotReady"
        return _as_check(instance, ProbeResult(passed, code, 0.0), None)
    result = await ask_again(f"http://{instance.address}{probe.path}", probe, app)
    return _as_check(instance, result, ProbeKind.HTTP)


async def ask_again(url: str, probe: Probe, app: HealthApp) -> ProbeResult:
    """Ask once, and again up to three times: one lost packet is not a failure."""
    timeout_s = probe.timeout.total_seconds()
    result = await app.prober.probe(url, timeout_s)
    for _ in range(app.rules.probe_retries):
        if result.passed:
            break
        result = await app.prober.probe(url, timeout_s)
    return result


def _as_check(instance: Instance, result: ProbeResult, kind: ProbeKind | None) -> Mapping[str, Any]:
    return {
        "kind": CheckKind.READINESS,
        "probe": kind,
        "status": HealthStatus.HEALTHY if result.passed else HealthStatus.UNHEALTHY,
        "latencyMs": round(result.latency_ms, 1),
        "code": result.code,
        "instance": instance.id,
    }
