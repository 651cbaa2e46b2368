"""How health is told: the resource of the API, one row of its history, and its events."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from function_apps.health.model.probe_target import Target
from shared.contracts.gates import EvaluateGate, GateEvidence, Verdict
from shared.contracts.health import (
    HealthCheckCompleted,
    HealthCheckResult,
    HealthSource,
    HealthStatus,
    ServiceHealth,
)

CHECKS_MAX: Final = 50
"""As many as the contract lets one answer carry."""
_SAID: Final[Mapping[Verdict, HealthStatus]] = {
    Verdict.PASS: HealthStatus.HEALTHY,
    Verdict.FAIL: HealthStatus.UNHEALTHY,
    Verdict.INCONCLUSIVE: HealthStatus.UNKNOWN,
}


@dataclass(frozen=True)
class Sample:
    """What one look said. Every look is one, also those that change nothing."""

    at: str
    values: Mapping[str, str]

    @classmethod
    def of(cls, target: Target, at: str) -> "Sample":
        return cls(
            at,
            {
                "status": target.status.value,
                "reason": target.reason,
                "checks": json.dumps([dict(each) for each in target.checks[:CHECKS_MAX]]),
                "deploymentId": target.deployment_id or "",
            },
        )

    @property
    def checks(self) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = json.loads(self.values["checks"])
        return found


def resource(target: Target, latest: Sample | None) -> ServiceHealth:
    """Return what clients see of *target*; *latest* is its newest sample, of what it is now."""
    gone = target.is_retired
    return ServiceHealth.model_validate(
        {
            "serviceId": target.service_id,
            "tenantId": target.tenant_id,
            "environmentId": target.environment_id,
            "stage": target.stage,
            "moduleId": target.module_id,
            "deploymentId": target.deployment_id,
            "releaseRevision": target.release_revision,
            "digest": target.component.get("digest"),
            "status": HealthStatus.UNKNOWN if gone else target.status,
            "previousStatus": target.status if gone else target.previous,
            "reason": "retired" if gone else latest.values["reason"] if latest else target.reason,
            "since": target.retired_at if gone else target.since,
            "checkedAt": latest.at if latest else target.looked_at,
            "checks": () if gone else latest.checks if latest else target.checks[:CHECKS_MAX],
            "window": None,
            "sloBurn": (),
            "rootCause": None,
            "revision": target.revision,
        }
    )


def history_row(target: Target, sample: Sample) -> HealthCheckResult:
    """Return one look as clients see it; its window is the instant of the look."""
    failed = [each for each in sample.checks if each["status"] != HealthStatus.HEALTHY]
    return HealthCheckResult.model_validate(
        {
            "serviceId": target.service_id,
            "window": {
                "fromAt": sample.at,
                "untilAt": sample.at,
                "samples": len(sample.checks),
                "errors": len(failed),
                "p50Ms": _median([each["latencyMs"] for each in sample.checks]),
            },
            "status": sample.values["status"],
            "reason": sample.values["reason"],
            "checks": sample.checks,
            "deploymentId": sample.values["deploymentId"] or None,
        }
    )


def _median(latencies_ms: Sequence[float]) -> float | None:
    return median(latencies_ms) if latencies_ms else None


def completed(target: Target, source: HealthSource) -> HealthCheckCompleted:
    """Return the event that tells how a service is."""
    return HealthCheckCompleted.model_validate(
        {
            "aggregateId": target.service_id,
            "revision": target.revision,
            "serviceId": target.service_id,
            "environmentId": target.environment_id,
            "moduleId": target.module_id,
            "deploymentId": target.deployment_id,
            "releaseRevision": target.release_revision,
            "status": target.status,
            "previousStatus": target.previous,
            "checks": target.checks[:CHECKS_MAX],
            "samples": len(target.checks),
            "source": source,
        }
    )


def gate_completed(gate: EvaluateGate, found: GateEvidence, revision: int) -> HealthCheckCompleted:
    """Return the event that answers a gate; the gate is its aggregate."""
    return HealthCheckCompleted(
        aggregate_id=gate.gate_id,
        revision=revision,
        service_id=gate.service_id,
        environment_id=gate.environment_id,
        module_id=gate.module_id,
        deployment_id=gate.deployment_id,
        gate_id=gate.gate_id,
        release_revision=gate.candidate.release_revision,
        status=_SAID[found.verdict],
        samples=found.candidate.requests + found.candidate.probes,
        source=HealthSource.GATE,
        verdict=found.verdict,
        evidence=found,
    )
