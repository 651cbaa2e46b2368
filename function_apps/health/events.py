"""The events that health publishes: the status of a service, and the answer to a gate."""

from collections.abc import Mapping
from typing import Final

from function_apps.health.model.probe_target import Target
from function_apps.health.model.sample import CHECKS_MAX
from shared.contracts.gates import EvaluateGate, GateEvidence, Verdict
from shared.contracts.health import HealthCheckCompleted, HealthSource, HealthStatus

_SAID: Final[Mapping[Verdict, HealthStatus]] = {
    Verdict.PASS: HealthStatus.HEALTHY,
    Verdict.FAIL: HealthStatus.UNHEALTHY,
    Verdict.INCONCLUSIVE: HealthStatus.UNKNOWN,
}


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
