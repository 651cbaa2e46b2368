"""Retry: a Failed deployment begins anew, and the step at which one is paused is judged again."""

from datetime import datetime

from function_apps.deployments.errors import NotRetryable
from function_apps.deployments.model.deployment import Deployment, evolve
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.lifecycle import AnalysisRestarted, Retried
from function_apps.deployments.model.promotion import require_fresh_evidence
from shared.contracts.deployments import DeploymentStatus
from shared.contracts.promotions import SoakDefaults
from shared.contracts.values import OperationId


def restart_analysis(paused: Deployment, now: datetime) -> Deployment:
    """Return *paused* with its step to be judged again."""
    return evolve(paused, AnalysisRestarted(), now)


def begin_anew(
    deployment: Deployment,
    target: DeploymentTarget,
    operation_id: OperationId,
    soak: SoakDefaults,
    now: datetime,
) -> Deployment:
    """Return the Failed *deployment* as requested again, under *operation_id*.

    Raises:
        NotRetryable: it is in another state, was refused before it was of anything, or the same
            versions are on their way.
        NotPromotable: the evidence of its promotion is too old.
    """
    deployment_id = deployment.deployment_id
    if deployment.status is not DeploymentStatus.FAILED:
        raise NotRetryable(
            f"{deployment_id} is {deployment.status}; Failed and paused deployments can be retried"
        )
    if not (deployment.components or deployment.remove):
        raise NotRetryable(
            f"{deployment_id} was refused before it had a release: who asked for it asks again"
        )
    if deployment.evidence is not None:
        require_fresh_evidence(deployment.evidence, soak, now)
    if any(entry.key == deployment.key for entry in target.queue):
        raise NotRetryable(f"the same versions as in {deployment_id} are on their way")
    return evolve(deployment, Retried(operation_id), now)
