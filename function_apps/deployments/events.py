"""The events that deployments publishes, as rows of the outbox."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from function_apps.deployments.model.alerts import EndedAlert
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget
from shared.contracts.alerts import Alert, alert_event, service_subject
from shared.contracts.deployments import (
    DeploymentStatus,
    ModuleRevision,
    RuntimeDeploymentCancelled,
    RuntimeDeploymentCompleted,
    RuntimeDeploymentFailed,
    RuntimeDeploymentRequested,
    RuntimeDeploymentRolledBack,
    RuntimeDeploymentStepChanged,
)
from shared.contracts.releases import ReleasedComponent, ReleaseUnit
from shared.kernel.ids import TenantId, module_key, parse_id, service_id
from shared.messaging.outbox import Publish

Ending = (
    RuntimeDeploymentCompleted
    | RuntimeDeploymentRolledBack
    | RuntimeDeploymentFailed
    | RuntimeDeploymentCancelled
)


def _facts(deployment: Deployment) -> dict[str, Any]:
    return {
        "aggregate_id": deployment.deployment_id,
        "revision": deployment.revision,
        "deployment_id": deployment.deployment_id,
        "environment_id": deployment.environment_id,
        "project_id": deployment.project_id,
        "stage": deployment.stage,
        "kind": deployment.kind,
        "release_ref": deployment.release_ref,
        "strategy": deployment.strategy.kind,
        "status": deployment.status,
        "attempt": deployment.attempt,
        "modules": deployment.modules,
        "secret": deployment.secret,
        "relocation": deployment.relocation,
    }


def requested(deployment: Deployment, waits_for: str | None) -> Publish:
    event = RuntimeDeploymentRequested(**_facts(deployment), waiting_for=waits_for)
    return Publish(event, deployment.project_id)


def step_changed(
    deployment: Deployment, step: int, name: str, weight: int, deadline_at: datetime | None = None
) -> Publish:
    """Return the event that *step* is about to act: own work is never taken for drift."""
    event = RuntimeDeploymentStepChanged(
        **_facts(deployment),
        step=step,
        name=name,
        weight=weight,
        deadline_at=deadline_at,
        release_revisions=tuple(
            ModuleRevision(
                module_id=component.module_id, release_revision=component.release_revision
            )
            for component in deployment.released_components
        ),
    )
    return Publish(event, deployment.project_id)


def ended(deployment: Deployment) -> Publish:
    """Return the event of the end that *deployment* has come to, with what is in force now."""
    return Publish(_ending(deployment), deployment.project_id)


def _ending(deployment: Deployment) -> Ending:
    assert deployment.ended_at is not None
    common = _facts(deployment) | {
        "release_unit": deployment.unit,
        "previous_deployment_id": deployment.previous_deployment_id,
        "reason": deployment.reason,
        "proof": deployment.proof,
        "ended_at": deployment.ended_at,
    }
    match deployment.status:
        case DeploymentStatus.COMPLETED:
            choice = deployment.configuration
            return RuntimeDeploymentCompleted(
                **common,
                rolled_back_deployment_id=deployment.rolled_back_deployment_id,
                configuration_id=choice.configuration_id if choice else None,
            )
        case DeploymentStatus.ROLLED_BACK:
            restored = deployment.restored or ReleaseUnit(components=())
            return RuntimeDeploymentRolledBack(
                **(common | {"release_unit": restored}),
                holds=deployment.holds,
                rejected=deployment.unit,
            )
        case DeploymentStatus.FAILED:
            return RuntimeDeploymentFailed(**common, remaining=deployment.remaining)
        case _:
            assert deployment.status is DeploymentStatus.CANCELLED, deployment.status
            return RuntimeDeploymentCancelled(**common)


def alert_raised(
    deployment: Deployment, component: ReleasedComponent, reasons: Iterable[str], now: datetime
) -> Publish:
    """Return the alert that *component* serves and its previous version is dead.

    Its revision is the release's.
    """
    event = alert_event(
        Alert.NOTHING_TO_GO_BACK_TO,
        service_subject(component.service_id, deployment.environment_id),
        component.release_revision,
        now,
        evidence=reasons,
    )
    return Publish(event, deployment.project_id, component.module_id)


def alert_cleared(
    ended: EndedAlert, target: DeploymentTarget, tenant: TenantId, now: datetime
) -> Publish:
    """Return the end of that alert, in the environment of *target*."""
    key = parse_id(target.environment_id, "env").environment
    identity = service_id(key, module_key(tenant, ended.module_id))
    event = alert_event(
        Alert.NOTHING_TO_GO_BACK_TO,
        service_subject(identity, target.environment_id),
        ended.revision,
        ended.raised_at,
        cleared_at=now,
    )
    return Publish(event, target.project, ended.module_id)
