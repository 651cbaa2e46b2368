"""Traffic of two versions as a traffic layer would count it, from one seed."""

import random  # noqa: TID251  a test's own seeded generator
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from function_apps.health.model import gates
from function_apps.health.model.gate_samples import Counts, Observation, Progress
from shared.contracts.gates import EvaluateGate
from shared.kernel.clock import isoformat
from shared.surfaces.traffic import LATENCY_BOUNDS_MS
from tests.kit.virtual_time import EPOCH


@dataclass
class Version:
    """Log-normal latencies around *median_ms* with a heavy tail, and a ratio of errors."""

    rng: random.Random
    median_ms: float = 40.0
    spread: float = 0.5
    error_ratio: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    requests: int = 0
    errors: int = 0

    def serve(self, requests: int) -> None:
        for _ in range(requests):
            latency = self.median_ms * self.rng.lognormvariate(0.0, self.spread)
            if self.rng.random() < 0.01:
                latency *= 5.0
            bucket = str(bisect_left(LATENCY_BOUNDS_MS, latency))
            self.counts[bucket] = self.counts.get(bucket, 0) + 1
            self.requests += 1
            self.errors += self.rng.random() < self.error_ratio

    def read(self) -> Counts:
        return Counts(self.requests, self.errors, dict(self.counts))


def a_gate(**changes: Any) -> EvaluateGate:
    key, module = "a" * 12, "b" * 10
    return EvaluateGate.model_validate(
        {
            "gateId": f"gate-{key}-{module}-{'0' * 16}-1-0",
            "deploymentId": f"dep-{key}-{'0' * 16}",
            "environmentId": f"env-{key}",
            "stage": "test",
            "moduleId": "module-web",
            "serviceId": f"svc-{key}-{module}",
            "attempt": 1,
            "step": 0,
            "weight": 10,
            "candidate": {"releaseRevision": 2, "metricsKey": "2"},
            "baseline": {"releaseRevision": 1, "metricsKey": "1"},
            "probesCount": False,
            "window": "PT60S",
            "minSamples": 50,
            "askedAt": isoformat(EPOCH),
            "deadlineAt": isoformat(EPOCH + timedelta(minutes=10)),
            **changes,
        }
    )


def run_gate(
    gate: EvaluateGate,
    candidate: Version,
    baseline: Version,
    *,
    rate: float,
    every_s: float = 5.0,
) -> Progress:
    """Look every *every_s* seconds at both versions under *rate* requests a second in all."""
    progress, at = gates.begin(gate, isoformat(EPOCH)), EPOCH
    share = gate.weight / 100
    while progress.verdict is None:
        at += timedelta(seconds=every_s)
        candidate.serve(round(rate * every_s * share))
        baseline.serve(round(rate * every_s * (1 - share)))
        seen = Observation(
            isoformat(at), "epoch", candidate.read(), baseline.read(),
            candidate_ready=True, baseline_ready=True,
        )  # fmt: skip
        progress = gates.judge(gate, progress, seen)
    return progress


def run_rollout(
    seed: int, *, rate: float = 60.0, both: Mapping[str, float] | None = None, **candidate: float
) -> list[str]:
    """Run the gates of a default canary, 10, 50, 100 %; return the verdicts up to a Fail.

    *both* is how both versions are, *candidate* what is different of the new one. At 100 % the old
    one has no traffic, so there is nothing to compare with.
    """
    rng, verdicts = random.Random(seed), []
    baseline, new = Version(rng, **(both or {})), Version(rng, **{**(both or {}), **candidate})
    for step, weight in enumerate((10, 50, 100)):
        whole = {"baseline": None} if weight == 100 else {}
        gate = a_gate(step=step, weight=weight, **whole)
        progress = run_gate(gate, new, baseline, rate=rate)
        assert progress.verdict is not None
        verdicts.append(progress.verdict.value)
        if progress.verdict.value == "Fail":
            break
    return verdicts
