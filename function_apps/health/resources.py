"""What the API answers about health: the state of a service, and one look of its history."""

from collections.abc import Sequence
from statistics import median

from function_apps.health.model.probe_target import Target
from function_apps.health.model.sample import CHECKS_MAX, Sample
from shared.contracts.health import HealthCheckResult, HealthStatus, ServiceHealth


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
