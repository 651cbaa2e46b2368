"""The activities of a gate: begin, observe, conclude; only the last one writes."""

from dataclasses import dataclass
from typing import Final

import shared.kernel.operation as operations
from function_apps.health.events import gate_completed
from function_apps.health.model import gates
from function_apps.health.model.gate_record import decided, evidence_of, gate_document
from function_apps.health.model.gate_samples import Counts, Observation, Progress
from function_apps.health.ports import HealthApp
from function_apps.health.use_cases.evaluate_gate import GateInput
from shared.contracts.gates import EvaluateGate, GateEvidence, GateVersion, Verdict
from shared.contracts.values import ProbeKind
from shared.durable.progress import Recorded, record, stored_operation
from shared.durable.steps import Step
from shared.kernel.clock import isoformat
from shared.kernel.concurrency import bounded_map
from shared.kernel.errors import NotFound
from shared.kernel.ids import EnvironmentId, ModuleId, TenantId
from shared.kernel.observation import Absent, Present, Unknown
from shared.kernel.operation import Operation
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause
from shared.messaging.compose import envelope_of
from shared.messaging.legacy_unit_of_work import Audited, Decision, Put, View
from shared.messaging.outbox import Publish
from shared.surfaces.observed_state import Instance, LiveComponent
from shared.surfaces.spec import SurfaceComponent as Component
from shared.surfaces.traffic import RevisionTraffic

INSTANCES_AT_ONCE: Final = 8


@dataclass(frozen=True)
class GateBegun:
    """`gate` is None when it is decided already, or its operation has ended."""

    gate: EvaluateGate | None
    look_every_s: float
    progress: Progress


@dataclass(frozen=True)
class ObservationInput:
    """The input of one observation: the tenant, the gate, and its progress so far."""

    tenant: TenantId
    gate: EvaluateGate
    progress: Progress


@dataclass(frozen=True)
class GateVerdict:
    """The end of a gate."""

    given: GateInput
    gate: EvaluateGate
    progress: Progress


async def begin_gate(given: GateInput, step: Step, app: HealthApp) -> GateBegun:
    """Read the gate; the result has none if there is nothing left to judge."""
    document_id = gate_document(given.gate_id)
    view = await app.service.work.read(
        given.partition, document_id, operations.document_id(step.operation_id)
    )
    body = view.body(document_id)
    if body is None:
        raise NotFound(f"no gate {given.gate_id!r}")
    has_ended = stored_operation(view, step.operation_id).is_terminal
    gate = EvaluateGate.model_validate(body["gate"])
    return GateBegun(
        gate=None if has_ended or body["verdict"] else gate,
        look_every_s=app.gate_rules.look_every.total_seconds(),
        progress=gates.begin(isoformat(app.service.clock.now())),
    )


async def look_at_gate(given: ObservationInput, _step: Step, app: HealthApp) -> Progress:
    """Observe both versions once and judge. Changes nothing, so it needs no undo."""
    return gates.judge(given.gate, given.progress, await _observe(given, app))


async def conclude_gate(verdict: GateVerdict, step: Step, app: HealthApp) -> Verdict:
    """Record the verdict and publish the answer, once."""
    given, gate = verdict.given, verdict.gate
    scope, cause = given.scope, given.cause(step)
    document_id = gate_document(given.gate_id)
    now = app.service.clock.now()
    evidence = evidence_of(gate, verdict.progress, now)

    def decide(view: View, operation: Operation) -> Recorded:
        body = view.body(document_id)
        assert body is not None, document_id
        row = decided(body, evidence)
        ended = operations.succeed(operation, {"verdict": evidence.verdict.value}, now)
        ttl_s = int(app.rules.results_kept.total_seconds())
        decision = Decision(
            writes=[Put(document_id, row, ttl_s=ttl_s)],
            outbox=[_answer(gate, evidence, row["revision"], cause, scope, app)],
            audited=Audited("ConcludeGate", given.gate_id, evidence.verdict),
        )
        return Recorded(decision, ended)

    outcome = await record(
        app.service.work,
        step,
        decide,
        scope=scope,
        partition=given.partition,
        reads=[document_id],
        cause=cause,
    )
    if not outcome.is_repeat:
        return evidence.verdict
    stored = (await app.service.work.read(given.partition, document_id)).body(document_id)
    assert stored is not None, document_id
    return GateEvidence.model_validate(stored["evidence"]).verdict


ACTIVITIES = (begin_gate, look_at_gate, conclude_gate)


def _answer(
    gate: EvaluateGate,
    evidence: GateEvidence,
    revision: int,
    cause: Cause,
    scope: Scope,
    app: HealthApp,
) -> Publish:
    envelope = envelope_of(
        gate_completed(gate, evidence, revision),
        tenant=scope.tenant,
        cause=cause,
        clock=app.service.clock,
        entropy=app.service.entropy,
        module=gate.module_id,
    )
    return Publish(envelope)


async def _observe(given: ObservationInput, app: HealthApp) -> Observation:
    gate = given.gate
    component = Component(
        EnvironmentId(gate.environment_id), given.tenant, ModuleId(gate.module_id)
    )
    live = await app.surface.observe(component)
    traffic = await app.surface.traffic(component)
    at = isoformat(app.service.clock.now())
    if isinstance(live, Absent):
        return Observation(at, problem="the service is not on its surface")
    if isinstance(live, Unknown):
        return Observation(at, problem=live.reason)
    if isinstance(traffic, Unknown):
        return Observation(at, problem=traffic.reason)
    probes, probe_errors = await _probe(gate, live.value, app)
    sample = traffic.value if isinstance(traffic, Present) else None
    revisions = sample.revisions if sample else {}
    return Observation(
        at=at,
        epoch=sample.epoch if sample else "",
        candidate=_counts(revisions.get(gate.candidate.release_revision)),
        baseline=_counts(revisions.get(gate.baseline.release_revision)) if gate.baseline else None,
        candidate_ready=_is_ready(gate.candidate, live.value),
        baseline_ready=gate.baseline is not None and _is_ready(gate.baseline, live.value),
        probes=probes,
        probe_errors=probe_errors,
    )


async def _probe(gate: EvaluateGate, live: LiveComponent, app: HealthApp) -> tuple[int, int]:
    """Probe the candidate's instances; return how many probes were sent and how many failed.

    An instance without an address for HTTP is probed by its surface, which counts as one probe.
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
        for _ in range(app.gate_rules.probes_per_look):
            result = await app.prober.probe(url, probe.timeout.total_seconds())
            failed += not result.passed
        return app.gate_rules.probes_per_look, failed

    results = await bounded_map(revision.instances, probe_instance, at_once=INSTANCES_AT_ONCE)
    return sum(sent for sent, _ in results), sum(failed for _, failed in results)


def _is_ready(version: GateVersion, live: LiveComponent) -> bool:
    revision = live.revision(version.release_revision)
    return revision is not None and 0 < revision.replicas <= revision.ready


def _counts(traffic: RevisionTraffic | None) -> Counts | None:
    if traffic is None:
        return None
    latency = {str(bucket): count for bucket, count in enumerate(traffic.latency.counts) if count}
    return Counts(traffic.requests, traffic.errors, latency)
