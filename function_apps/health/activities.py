"""The steps of evaluating a gate: looks change nothing, the verdict is recorded once."""

from dataclasses import dataclass
from typing import Final

import shared.kernel.operation as operations
from function_apps.health.model import gates
from function_apps.health.model.gate_record import decided, evidence, gate_document
from function_apps.health.model.gate_samples import Counts, Observation, Progress
from function_apps.health.ports import HealthApp
from function_apps.health.resources import gate_completed
from function_apps.health.use_cases.evaluate_gate import GateErrand
from shared.concurrency import each_of
from shared.contracts.gates import EvaluateGate, GateEvidence, GateVersion, Verdict
from shared.contracts.values import ProbeKind
from shared.durable.progress import Recorded, record, stored_operation
from shared.durable.steps import Step
from shared.kernel.clock import isoformat
from shared.kernel.errors import NotFound
from shared.kernel.ids import EnvironmentId, ModuleId, TenantId
from shared.kernel.observation import Absent, Present, Unknown
from shared.kernel.operation import Operation
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause
from shared.messaging.compose import envelope_of
from shared.messaging.outbox import Publish
from shared.messaging.unit_of_work import Audited, Decision, Put, View
from shared.surfaces.observed_state import Instance, LiveComponent
from shared.surfaces.spec import Component
from shared.surfaces.traffic import RevisionTraffic

INSTANCES_AT_ONCE: Final = 8


@dataclass(frozen=True)
class GateBegun:
    """`gate` is None when there is nothing to do any more."""

    gate: EvaluateGate | None
    look_every_s: float
    progress: Progress


@dataclass(frozen=True)
class GateLook:
    """The gate, whose it is, and what earlier looks saw."""

    tenant: TenantId
    gate: EvaluateGate
    progress: Progress


@dataclass(frozen=True)
class GateVerdict:
    """The end of a gate."""

    errand: GateErrand
    gate: EvaluateGate
    progress: Progress


async def begin_gate(errand: GateErrand, step: Step, app: HealthApp) -> GateBegun:
    """Read the gate; one that is decided, or whose operation ended, needs nothing."""
    document_id = gate_document(errand.gate_id)
    view = await app.service.work.read(
        errand.partition, document_id, operations.document_id(step.operation_id)
    )
    body = view.body(document_id)
    if body is None:
        raise NotFound(f"no gate {errand.gate_id!r}")
    is_over = stored_operation(view, step.operation_id).is_terminal
    gate = EvaluateGate.model_validate(body["gate"])
    return GateBegun(
        gate=None if is_over or body["verdict"] else gate,
        look_every_s=app.gate_rules.look_every.total_seconds(),
        progress=gates.begin(isoformat(app.service.clock.now())),
    )


async def look_at_gate(look: GateLook, _step: Step, app: HealthApp) -> Progress:
    """Look once at both versions and judge; nothing is changed, so nothing needs an undo."""
    return gates.look(look.gate, look.progress, await _observe(look, app))


async def conclude_gate(verdict: GateVerdict, step: Step, app: HealthApp) -> Verdict:
    """Record the verdict and answer whoever asked, once."""
    errand, gate = verdict.errand, verdict.gate
    scope, cause = errand.scope, errand.cause(step)
    document_id = gate_document(errand.gate_id)
    now = app.service.clock.now()
    found = evidence(gate, verdict.progress, now)

    def decide(view: View, operation: Operation) -> Recorded:
        body = view.body(document_id)
        assert body is not None, document_id
        row = decided(body, found)
        ended = operations.succeed(operation, {"verdict": found.verdict.value}, now)
        ttl_s = int(app.rules.results_kept.total_seconds())
        decision = Decision(
            writes=[Put(document_id, row, ttl_s=ttl_s)],
            outbox=[_answer(gate, found, row["revision"], cause, scope, app)],
            audited=Audited("ConcludeGate", errand.gate_id, found.verdict),
        )
        return Recorded(decision, ended)

    outcome = await record(
        app.service.work,
        step,
        decide,
        scope=scope,
        partition=errand.partition,
        reads=[document_id],
        cause=cause,
    )
    if not outcome.is_repeat:
        return found.verdict
    stored = (await app.service.work.read(errand.partition, document_id)).body(document_id)
    assert stored is not None, document_id
    return GateEvidence.model_validate(stored["evidence"]).verdict


ACTIVITIES = (begin_gate, look_at_gate, conclude_gate)


def _answer(
    gate: EvaluateGate,
    found: GateEvidence,
    revision: int,
    cause: Cause,
    scope: Scope,
    app: HealthApp,
) -> Publish:
    envelope = envelope_of(
        gate_completed(gate, found, revision),
        tenant=scope.tenant,
        cause=cause,
        clock=app.service.clock,
        entropy=app.service.entropy,
        module=gate.module_id,
    )
    return Publish(envelope)


async def _observe(look: GateLook, app: HealthApp) -> Observation:
    gate = look.gate
    component = Component(EnvironmentId(gate.environment_id), look.tenant, ModuleId(gate.module_id))
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
    """Ask the candidate's instances; return how many probes were sent and how many failed.

    An instance without an address for HTTP is asked by its surface; a look then counts as one.
    """
    revision = live.revision(gate.candidate.release_revision)
    if not gate.probes_count or revision is None:
        return 0, 0
    probe = gate.probes.readiness
    is_http = probe is not None and probe.kind is ProbeKind.HTTP

    async def ask(instance: Instance) -> tuple[int, int]:
        if probe is None or not is_http or instance.address is None:
            return 1, int(not instance.is_ready)
        url, failed = f"http://{instance.address}{probe.path}", 0
        for _ in range(app.gate_rules.probes_per_look):
            result = await app.prober.probe(url, probe.timeout.total_seconds())
            failed += not result.passed
        return app.gate_rules.probes_per_look, failed

    asked = await each_of(revision.instances, ask, at_once=INSTANCES_AT_ONCE)
    return sum(sent for sent, _ in asked), sum(failed for _, failed in asked)


def _is_ready(version: GateVersion, live: LiveComponent) -> bool:
    revision = live.revision(version.release_revision)
    return revision is not None and 0 < revision.replicas <= revision.ready


def _counts(traffic: RevisionTraffic | None) -> Counts | None:
    if traffic is None:
        return None
    latency = {str(at): count for at, count in enumerate(traffic.latency.counts) if count}
    return Counts(traffic.requests, traffic.errors, latency)
