"""The activities of a gate: begin, observe both versions, conclude."""

from dataclasses import replace
from typing import Final

from function_apps.health.activities.count_versions import count_versions
from function_apps.health.activities.inputs import GateBegun
from function_apps.health.events import gate_completed
from function_apps.health.model import gates
from function_apps.health.model.gate_record import GateRecord, gate_evidence
from function_apps.health.model.gate_samples import BurnRates, Observation, Progress
from function_apps.health.ports import HealthApp
from function_apps.health.repository import GATES, OBJECTIVES
from function_apps.health.use_cases.count_events import load_samples
from shared.contracts.gates import EvaluateGate, GateVersion, Verdict
from shared.contracts.values import ProbeKind
from shared.durable.activity import ActivityContext, Step, commit_step, load_owned
from shared.kernel.clock import isoformat
from shared.kernel.concurrency import bounded_map
from shared.kernel.ids import EnvironmentId, ModuleId, TenantId
from shared.kernel.observation import Absent, Unknown
from shared.kernel.operation import Operation
from shared.messaging.outbox import Audited
from shared.probing.result import DENIED
from shared.surfaces.observed_state import Instance, LiveComponent
from shared.surfaces.spec import SurfaceComponent

INSTANCES_AT_ONCE: Final = 8


async def begin_gate(ctx: ActivityContext, app: HealthApp) -> GateBegun:
    """Mark the operation as running; return the gate, and its progress before an observation."""
    every_s = app.rules.observe_every.total_seconds()

    def decide(record: GateRecord, operation: Operation) -> Step[GateBegun]:
        begun = GateBegun(record.gate, gates.begin(record.gate, isoformat(ctx.now())), every_s)
        return Step(begun, operation.begin_step("observe", ctx.now(), percent=5))

    return await commit_step(ctx, app, GATES, decide)


async def observe_gate(progress: Progress, ctx: ActivityContext, app: HealthApp) -> Progress:
    """Observe both versions once and judge. Changes nothing, so it needs no undo.

    A gate that was ended from outside is not observed: its verdict ends the orchestration.
    """
    record = await load_owned(GATES, ctx, app)
    if record.verdict is not None:
        return replace(progress, verdict=record.verdict)
    observation = await _observe(record.gate, progress, ctx.tenant, app)
    return gates.judge(record.gate, progress, observation)


async def conclude_gate(progress: Progress, ctx: ActivityContext, app: HealthApp) -> Verdict:
    """Record the verdict and publish the answer, once."""

    def decide(record: GateRecord, operation: Operation) -> Step[Verdict]:
        evidence = gate_evidence(record.gate, progress, ctx.now())
        decided = record.decided(evidence)
        return Step(
            evidence.verdict,
            operation.succeed({"verdict": evidence.verdict.value}, ctx.now()),
            writes=[GATES.put(decided)],
            outbox=[gate_completed(decided)],
            audited=Audited("ConcludeGate", ctx.aggregate_id, evidence.verdict),
        )

    return await commit_step(ctx, app, GATES, decide)


async def _observe(
    gate: EvaluateGate, progress: Progress, tenant: TenantId, app: HealthApp
) -> Observation:
    component = SurfaceComponent(
        EnvironmentId(gate.environment_id), tenant, ModuleId(gate.module_id)
    )
    live = await app.surface.observe(component)
    counts = await count_versions(gate, progress, component, app)
    at = isoformat(app.service.clock.now())
    if isinstance(live, Absent):
        return Observation(at, problem="the service is not on its surface")
    if isinstance(live, Unknown):
        return Observation(at, problem=live.reason)
    if counts.problem:
        return Observation(at, problem=counts.problem)
    probes, probe_errors = await _probe(gate, live.value, app)
    return Observation(
        at=at,
        epoch=counts.epoch,
        candidate=counts.candidate,
        baseline=counts.baseline,
        candidate_ready=_is_ready(gate.candidate, live.value),
        baseline_ready=gate.baseline is not None and _is_ready(gate.baseline, live.value),
        candidate_resuming=_is_resuming(gate.candidate, live.value),
        baseline_resuming=gate.baseline is not None and _is_resuming(gate.baseline, live.value),
        probes=probes,
        probe_errors=probe_errors,
        measured_at=counts.measured_at,
        unmeasured=counts.unmeasured,
        burn=await _burn(gate, tenant, app),
    )


async def _burn(gate: EvaluateGate, tenant: TenantId, app: HealthApp) -> BurnRates | None:
    """Return the burn rates of the service, as its sweeps have counted; None without objective."""
    objective = await app.service.work.find(OBJECTIVES, gate.service_id, tenant)
    if objective is None:
        return None
    samples = await load_samples(tenant, gate.service_id, app)
    fastest = objective.burns(samples, app.service.clock.now())[0]
    return BurnRates(fastest.long, fastest.short)


async def _probe(gate: EvaluateGate, live: LiveComponent, app: HealthApp) -> tuple[int, int]:
    """Probe the candidate's instances; return how many probes were sent and how many failed.

    An instance without an address for HTTP, or with one that may not be asked from here, is probed
    by its surface, which counts as one probe.
    """
    revision = live.revision(gate.candidate.release_revision)
    if not gate.probes_count or revision is None:
        return 0, 0
    probe = gate.probes.readiness
    is_http = probe is not None and probe.kind is ProbeKind.HTTP

    async def probe_instance(instance: Instance) -> tuple[int, int]:
        if probe is None or not is_http or instance.address is None:
            return 1, int(not instance.is_ready)
        url, failed = f"http://{instance.address}{probe.path}", 0
        for _ in range(app.rules.probes_per_observation):
            result = await app.prober.probe(url, probe.timeout.total_seconds())
            if result.code == DENIED:
                return 1, int(not instance.is_ready)
            failed += not result.passed
        return app.rules.probes_per_observation, failed

    results = await bounded_map(revision.instances, probe_instance, at_once=INSTANCES_AT_ONCE)
    return sum(sent for sent, _ in results), sum(failed for _, failed in results)


def _is_ready(version: GateVersion, live: LiveComponent) -> bool:
    revision = live.revision(version.release_revision)
    return revision is not None and 0 < revision.replicas <= revision.ready


def _is_resuming(version: GateVersion, live: LiveComponent) -> bool:
    revision = live.revision(version.release_revision)
    return revision is not None and any(each.is_resuming for each in revision.instances)
