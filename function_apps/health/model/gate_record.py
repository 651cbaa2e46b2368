"""The stored record of a gate, and the evidence of its verdict."""

from dataclasses import replace
from datetime import datetime

from function_apps.health.model.baseline_comparison import usable_baseline
from function_apps.health.model.gate_rules import analyse
from function_apps.health.model.gate_samples import Counts, Progress
from shared.contracts.gates import EvaluateGate, GateEvidence, Samples, Verdict
from shared.kernel.clock import isoformat, parse_instant
from shared.kernel.dataclass import dataclass


@dataclass(frozen=True)
class GateRecord:
    """A gate, and its evidence once it is decided. One operation owns it from first to last."""

    gate: EvaluateGate
    operation_id: str
    revision: int = 1
    verdict: Verdict | None = None
    evidence: GateEvidence | None = None

    @property
    def gate_id(self) -> str:
        return self.gate.gate_id

    def decided(self, evidence: GateEvidence) -> "GateRecord":
        """Return this with its verdict."""
        return replace(
            self, revision=self.revision + 1, verdict=evidence.verdict, evidence=evidence
        )


def gate_evidence(gate: EvaluateGate, progress: Progress, now: datetime) -> GateEvidence:
    """Return the samples and analyses that the verdict rests on."""
    total = progress.total
    usable = usable_baseline(gate, total.baseline, is_there=progress.has_baseline)
    return GateEvidence(
        gate_id=gate.gate_id,
        module_id=gate.module_id,
        step=gate.step,
        weight=gate.weight,
        verdict=progress.verdict or Verdict.INCONCLUSIVE,
        candidate_revision=gate.candidate.release_revision,
        baseline_revision=gate.baseline.release_revision if gate.baseline else None,
        absolute_only=usable is None,
        analyses=analyse(gate, progress, isoformat(now)),
        candidate=_samples(total.candidate, total.probes),
        baseline=_samples(total.baseline, 0) if gate.baseline else None,
        unmeasured=progress.unmeasured,
        first_bad_at=parse_instant(progress.first_bad_at) if progress.first_bad_at else None,
        from_at=parse_instant(progress.began_at),
        until_at=now,
    )


def _samples(counts: Counts, probes: int) -> Samples:
    histogram = counts.histogram()
    p50, p95, p99 = (histogram.quantile_ms(fraction) for fraction in (0.5, 0.95, 0.99))
    return Samples(
        requests=counts.requests,
        errors=counts.errors,
        probes=probes,
        p50_ms=None if p50 is None else round(p50, 1),
        p95_ms=None if p95 is None else round(p95, 1),
        p99_ms=None if p99 is None else round(p99, 1),
    )
