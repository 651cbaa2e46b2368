"""The steps of evaluating a gate: looks change nothing, the verdict is recorded once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import shared.kernel.operation as operations
from function_apps.health.model import gates
from function_apps.health.model.gates import Counts, Observation, Progress
from function_apps.health.ports import HealthApp
from function_apps.health.use_cases import gate_completed
from shared.contracts.gates import EvaluateGate, GateEvidence, GateVersion, Verdict
from shared.durable.progress import Recorded, record, stored_operation
from shared.durable.steps import Step
from shared.kernel.clock import isoformat
from shared.kernel.errors import NotFound
from shared.kernel.ids import EnvironmentId, ModuleId, TenantId, parse_id
from shared.kernel.operation import Operation
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause
from shared.messaging.unit_of_work import Audited, Decision, Put, View
from shared.persistence.store import Partition
from shared.surfaces.live import LiveComponent
from shared.surfaces.reading import Absent, Present, Reading, Unknown
from shared.surfaces.spec import Component
from shared.surfaces.traffic import NO_TRAFFIC, RevisionTraffic, TrafficSample


@dataclass(frozen=True)
class GateWork:
    """Which gate, for whom, and as part of what."""

    tenantId: str  # noqa: N815  as in the operation's input
    serviceId: str  # noqa: N815
    gateId: str  # noqa: N815
    traceId: str  # noqa: N815
    correlationId: str  # noqa: N815
    causationId: str | None  # noqa: N815

    @property
    def partition(self) -> Partition:
        return Partition(self.tenantId, parse_id(self.serviceId, "svc").environment, self.serviceId)


@dataclass(frozen=True)
class GateBegun:
    """`gate` is None when there is nothing to do any more."""

    gate: EvaluateGate | None
    look_every_s: float
    progress: Progress


@dataclass(frozen=True)
class GateLook:
    """The gate, whose it is, and what earlier looks saw."""

    tenant: str
    gate: EvaluateGate
    progress: Progress


@dataclass(frozen=True)
class GateVerdict:
    """The end of a gate."""

    work: GateWork
    gate: EvaluateGate
    progress: Progress


async def begin_gate(work: GateWork, step: Step, app: HealthApp) -> GateBegun:
    """Read the gate; one that is decided, or whose operation ended, needs nothing."""
    document_id = gates.gate_document(work.gateId)
    view = await app.service.work.read(
        work.partition, document_id, operations.document_id(step.operation_id)
    )
    body = view.body(document_id)
    if body is None:
        raise NotFound(f"no gate {work.gateId!r}")
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
    work, gate = verdict.work, verdict.gate
    scope = Scope(TenantId(work.tenantId), "service:health")
    document_id = gates.gate_document(work.gateId)
    cause = Cause(
        scope.caller,
        "operation",
        step.operation_id,
        work.traceId,
        work.correlationId,
        work.causationId,
    )
    now = app.service.clock.now()
    found = gates.evidence(gate, verdict.progress, now)

    def decide(view: View, operation: Operation) -> Recorded:
        body = view.body(document_id)
        assert body is not None, document_id
        row = gates.decided(body, found)
        ended = operations.succeed(operation, {"verdict": found.verdict.value}, now)
        decision = Decision(
            writes=[Put(document_id, row)],
            outbox=[gate_completed(gate, found, row["revision"], cause, app, work.tenantId)],
            audited=Audited("ConcludeGate", work.gateId, found.verdict),
        )
        return Recorded(decision, ended)

    outcome = await record(
        app.service.work,
        step,
        decide,
        scope=scope,
        partition=work.partition,
        reads=[document_id],
        cause=cause,
    )
    if not outcome.is_repeat:
        return found.verdict
    stored = (await app.service.work.read(work.partition, document_id)).body(document_id)
    assert stored is not None, document_id
    return GateEvidence.model_validate(stored["evidence"]).verdict


ACTIVITIES = (begin_gate, look_at_gate, conclude_gate)


async def _observe(look: GateLook, app: HealthApp) -> Observation:
    gate, at = look.gate, isoformat(app.service.clock.now())
    component = Component(
        EnvironmentId(gate.environment_id), TenantId(look.tenant), ModuleId(gate.module_id)
    )
    live = await app.surface.observe(component)
    if not isinstance(live, Present):
        return Observation(at, problem=_problem(live))
    traffic = await app.surface.traffic(component)
    if isinstance(traffic, Unknown):
        return Observation(at, problem=traffic.reason)
    probes, probe_errors = await _probe(gate, live.value, app)
    revisions = traffic.value.revisions if isinstance(traffic, Present) else {}
    return Observation(
        at=at,
        epoch=traffic.value.epoch if isinstance(traffic, Present) else "none",
        candidate=_counts(revisions.get(gate.candidate.release_revision)),
        baseline=_counts(revisions.get(gate.baseline.release_revision)) if gate.baseline else None,
        candidate_ready=_is_ready(gate.candidate, live.value),
        baseline_ready=gate.baseline is not None and _is_ready(gate.baseline, live.value),
        probes=probes,
        probe_errors=probe_errors,
    )


async def _probe(gate: EvaluateGate, live: LiveComponent, app: HealthApp) -> tuple[int, int]:
    """Ask the candidate's instances; return how many probes were sent and how many failed."""
    readiness = gate.probes.readiness
    revision = live.revision(gate.candidate.release_revision)
    if not gate.probes_count or readiness is None or revision is None:
        return 0, 0
    sent = failed = 0
    timeout_s = app.gate_rules.probe_timeout.total_seconds()
    for instance in revision.instances:
        if instance.address is None:
            continue
        for _ in range(app.gate_rules.probes_per_look):
            result = await app.prober.probe(f"http://{instance.address}{readiness.path}", timeout_s)
            sent, failed = sent + 1, failed + (not result.passed)
    return sent, failed


def _is_ready(version: GateVersion, live: LiveComponent) -> bool:
    revision = live.revision(version.release_revision)
    return revision is not None and 0 < revision.replicas <= revision.ready


def _counts(traffic: RevisionTraffic | None) -> Counts:
    seen = traffic or NO_TRAFFIC
    latency = {str(at): count for at, count in enumerate(seen.latency.counts) if count}
    return Counts(seen.requests, seen.errors, latency)


def _problem(reading: Reading[Any] | Reading[TrafficSample]) -> str:
    if isinstance(reading, Absent):
        return "the service is not on its surface"
    assert isinstance(reading, Unknown), reading
    return reading.reason


def work_of(argument: Mapping[str, Any]) -> GateWork:
    """Return the work that an operation's input describes."""
    return GateWork(**argument)
