"""The events that health publishes, as rows of the outbox."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from function_apps.health.model.gate_record import GateRecord
from function_apps.health.model.probe_target import ProbeTarget
from function_apps.health.model.restarts import Restarts
from function_apps.health.model.sample import CHECKS_MAX
from shared.contracts.alerts import AlertChange, change_event, service_subject
from shared.contracts.gates import Verdict
from shared.contracts.health import (
    BurnRate,
    HealthCheckCompleted,
    HealthSource,
    HealthStatus,
    RuntimeInstancesRestarted,
)
from shared.messaging.outbox import Publish

REASON_MAX: Final = 2048
"""As long as the contract lets a text be."""
_STATUS_OF: Final[Mapping[Verdict, HealthStatus]] = {
    Verdict.PASS: HealthStatus.HEALTHY,
    Verdict.FAIL: HealthStatus.UNHEALTHY,
    Verdict.INCONCLUSIVE: HealthStatus.UNKNOWN,
}


def health_check_completed(
    target: ProbeTarget, burns: Sequence[BurnRate], source: HealthSource
) -> Publish:
    """Return the event with the health of a service and the burn rates of its objective."""
    event = HealthCheckCompleted.model_validate(
        {
            **_facts(target),
            "previousStatus": target.previous,
            "checks": target.checks[:CHECKS_MAX],
            "samples": len(target.checks),
            "sloBurn": burns,
            "rootCause": target.root_cause,
            "source": source,
        }
    )
    return Publish(event, module=target.module_id)


def instances_restarted(target: ProbeTarget, restarted: Restarts) -> Publish:
    """Return the event that instances of a service restarted."""
    event = RuntimeInstancesRestarted.model_validate(
        {
            **_facts(target),
            "restarted": [
                {
                    "instance": name,
                    "restarts": each.restarts,
                    "lastExit": each.last_exit,
                    "isCrashLoop": each.is_crash_loop,
                }
                for name, each in list(restarted.items())[:CHECKS_MAX]
            ],
        }
    )
    return Publish(event, module=target.module_id)


def alert_changed(target: ProbeTarget, change: AlertChange) -> Publish:
    """Return the event of *change*, after which the alert is as *target* has it."""
    subject = service_subject(target.service_id, target.environment_id)
    event = change_event(change, subject, target.alerts[change.alert].revision)
    return Publish(event, module=target.module_id)


def _facts(target: ProbeTarget) -> Mapping[str, Any]:
    return {
        "aggregateId": target.service_id,
        "revision": target.revision,
        "serviceId": target.service_id,
        "environmentId": target.environment_id,
        "moduleId": target.module_id,
        "deploymentId": target.deployment_id,
        "releaseRevision": target.release_revision,
        "status": target.status,
        "reason": target.reason[:REASON_MAX],
    }


def gate_completed(record: GateRecord) -> Publish:
    """Return the event that answers a decided gate; the gate is its aggregate."""
    gate, evidence = record.gate, record.evidence
    assert evidence is not None, record
    event = HealthCheckCompleted(
        aggregate_id=gate.gate_id,
        revision=record.revision,
        service_id=gate.service_id,
        environment_id=gate.environment_id,
        module_id=gate.module_id,
        deployment_id=gate.deployment_id,
        gate_id=gate.gate_id,
        release_revision=gate.candidate.release_revision,
        status=_STATUS_OF[evidence.verdict],
        samples=evidence.candidate.requests + evidence.candidate.probes,
        source=HealthSource.GATE,
        verdict=evidence.verdict,
        evidence=evidence,
    )
    return Publish(event, module=gate.module_id)
