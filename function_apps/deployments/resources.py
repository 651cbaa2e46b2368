"""What deployments say to the world: their events, and the resources that HTTP answers."""

from datetime import datetime
from typing import Any

from function_apps.deployments.model.access import waiting_for
from function_apps.deployments.model.deployment import Deployment, TrafficShift
from function_apps.deployments.model.target import Target
from shared.contracts import deployments as told
from shared.contracts.deployments import (
    DeploymentAccepted,
    DeploymentStatus,
    DeploymentStep,
    ModuleRevision,
    RuntimeDeploymentCancelled,
    RuntimeDeploymentCompleted,
    RuntimeDeploymentFailed,
    RuntimeDeploymentRequested,
    RuntimeDeploymentRolledBack,
    RuntimeDeploymentStepChanged,
)
from shared.contracts.operations import OperationSummary
from shared.contracts.releases import ConfigurationPin, ReleaseUnit
from shared.kernel.ids import OperationId
from shared.kernel.operation import Operation

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
    }


def requested(deployment: Deployment, waits_for: str | None) -> RuntimeDeploymentRequested:
    return RuntimeDeploymentRequested(**_facts(deployment), waiting_for=waits_for)


def step_changed(
    deployment: Deployment, step: int, name: str, weight: int, deadline_at: datetime | None = None
) -> RuntimeDeploymentStepChanged:
    """Return the word that *step* is about to act, so that own work is never taken for drift."""
    released = deployment.unit.components if deployment.unit else ()
    return RuntimeDeploymentStepChanged(
        **_facts(deployment),
        step=step,
        name=name,
        weight=weight,
        deadline_at=deadline_at,
        release_revisions=tuple(
            ModuleRevision(module_id=one.module_id, release_revision=one.release_revision)
            for one in released
        ),
    )


def ended(deployment: Deployment) -> Ending:
    """Return the event of the end that *deployment* has come to, with what is in force now."""
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


def accepted(deployment: Deployment, target: Target) -> DeploymentAccepted:
    """Return what a command answers at once."""
    waits_for, holder = waiting_for(deployment, target)
    return DeploymentAccepted(
        deployment_id=deployment.deployment_id,
        environment_id=deployment.environment_id,
        kind=deployment.kind,
        release_ref=deployment.release_ref,
        status=deployment.status,
        waiting_for=waits_for,
        holder=holder,
        operation_id=deployment.operation_id,
    )


def resource(
    deployment: Deployment, target: Target, operation: Operation | None
) -> told.Deployment:
    """Return GET /deployments/{deploymentId}."""
    waits_for, holder = waiting_for(deployment, target)
    unit = deployment.unit
    pin: ConfigurationPin | None = (
        unit.components[0].configuration if unit and unit.components else None
    )
    shown = deployment.restored if deployment.status is DeploymentStatus.ROLLED_BACK else unit
    return told.Deployment(
        deployment_id=deployment.deployment_id,
        tenant_id=deployment.tenant_id,
        environment_id=deployment.environment_id,
        project_id=deployment.project_id,
        stage=deployment.stage,
        kind=deployment.kind,
        release_ref=deployment.release_ref,
        status=deployment.status,
        revision=deployment.revision,
        attempt=deployment.attempt,
        strategy=deployment.strategy,
        gate=deployment.gate,
        components=deployment.components,
        remove=deployment.remove,
        hooks=(),
        on_conflict=deployment.on_conflict,
        paused=deployment.paused_at is not None,
        awaiting_approval=False,
        held=bool(deployment.holds),
        waiting_for=waits_for,
        holder=holder,
        weight=deployment.weight,
        steps=tuple(_step(step) for step in deployment.steps),
        configuration=pin,
        configuration_id=deployment.configuration.configuration_id
        if deployment.configuration
        else None,
        release_unit=shown,
        previous_deployment_id=deployment.previous_deployment_id,
        rolled_back_deployment_id=deployment.rolled_back_deployment_id,
        reason=deployment.reason,
        proof=deployment.proof,
        holds=deployment.holds,
        remaining=deployment.remaining,
        absent=deployment.absent,
        soak=deployment.evidence,
        approvals=(),
        requested_by=deployment.origin.actor,
        created_at=deployment.created_at,
        updated_at=deployment.updated_at,
        ended_at=deployment.ended_at,
        operation_id=deployment.operation_id,
        operation=_summary(operation),
    )


def _step(step: TrafficShift) -> DeploymentStep:
    return DeploymentStep(
        index=step.index,
        name=step.name,
        weight=step.weight,
        verdict=step.verdict,
        marked=step.marked,
        evidence=step.evidence,
        started_at=step.started_at,
        ended_at=step.ended_at,
        shares=step.shares,
    )


def _summary(operation: Operation | None) -> OperationSummary | None:
    if operation is None:
        return None
    return OperationSummary(
        operation_id=OperationId(operation.operation_id),
        status=operation.status,
        percent=operation.percent,
    )
