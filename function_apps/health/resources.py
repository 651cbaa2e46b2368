"""The resources of health: the health of a service, and one sample of its history."""

from collections.abc import Iterator, Sequence
from statistics import median

from function_apps.health.model.objective import Objective
from function_apps.health.model.probe_target import ProbeTarget
from function_apps.health.model.sample import CHECKS_MAX, Sample
from shared.contracts.alerts import SEVERITIES, Alert, OpenAlert, open_alert, service_subject
from shared.contracts.health import (
    BurnRate,
    HealthCheckResult,
    HealthStatus,
    ServiceHealth,
    ServiceObjective,
    UnmeasuredBurn,
)
from shared.kernel.ids import TenantId


def service_health(
    target: ProbeTarget,
    latest: Sample | None,
    burn: Sequence[BurnRate],
    unmeasured: Sequence[UnmeasuredBurn],
) -> ServiceHealth:
    """Return the resource of *target*; *latest* is its newest sample since its last change."""
    is_retired = target.is_retired
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
            "status": HealthStatus.UNKNOWN if is_retired else target.status,
            "previousStatus": target.status if is_retired else target.previous,
            "reason": "retired"
            if is_retired
            else latest.values["reason"]
            if latest
            else target.reason,
            "since": target.retired_at if is_retired else target.since,
            "checkedAt": latest.at if latest else target.probed_at,
            "checks": () if is_retired else latest.checks if latest else target.checks[:CHECKS_MAX],
            "window": None,
            "sloBurn": burn,
            "sloUnmeasured": unmeasured,
            "rootCause": None if is_retired else target.root_cause,
            "alerts": [
                {
                    "alert": name,
                    "severity": SEVERITIES[Alert(name)],
                    "raisedAt": state.raised_at,
                }
                for name, state in target.alerts.items()
                if state.raised_at is not None
            ],
            "revision": target.revision,
        }
    )


def service_objective(
    objective: Objective, burn: Sequence[BurnRate], unmeasured: str = ""
) -> ServiceObjective:
    """Return the resource of *objective*, with its burn rates as of now."""
    return ServiceObjective.model_validate(
        {
            **objective.content.model_dump(),
            "service_id": objective.service_id,
            "revision": objective.revision,
            "burn": burn,
            "unmeasured": unmeasured,
        }
    )


def history_row(target: ProbeTarget, sample: Sample) -> HealthCheckResult:
    """Return the resource of one sample; its window is the instant of the probe."""
    failed = [check for check in sample.checks if check["status"] == HealthStatus.UNHEALTHY]
    return HealthCheckResult.model_validate(
        {
            "serviceId": target.service_id,
            "window": {
                "fromAt": sample.at,
                "untilAt": sample.at,
                "samples": len(sample.checks),
                "errors": len(failed),
                "p50Ms": _median([check["latencyMs"] for check in sample.checks]),
            },
            "status": sample.values["status"],
            "reason": sample.values["reason"],
            "checks": sample.checks,
            "deploymentId": sample.values["deploymentId"] or None,
        }
    )


def _median(latencies_ms: Sequence[float]) -> float | None:
    return median(latencies_ms) if latencies_ms else None


def raised_alerts(target: ProbeTarget, _tenant: TenantId) -> Iterator[OpenAlert]:
    """Yield the raised alerts of the service *target*."""
    subject = service_subject(target.service_id, target.environment_id)
    for name, state in target.alerts.items():
        if state.raised_at is not None:
            yield open_alert(name, subject, state.raised_at, module_id=target.module_id)
