"""The resources that deployments answers over HTTP."""

from collections.abc import Iterator, Sequence
from typing import Literal

from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.preconditions import waiting_for
from function_apps.deployments.model.rollout_steps import RolloutStep
from shared.contracts.alerts import Alert, OpenAlert, open_alert, service_subject
from shared.contracts.deployments import Deployment as DeploymentResource
from shared.contracts.deployments import (
    DeploymentAccepted,
    DeploymentStatus,
    DeploymentStep,
    TakenBack,
)
from shared.contracts.operations import OperationSummary
from shared.contracts.releases import ConfigurationPin
from shared.contracts.shape import Value
from shared.kernel.ids import (
    ModuleId,
    OperationId,
    TenantId,
    module_key,
    parse_id,
    service_id,
)
from shared.kernel.operation import Operation
from shared.messaging.unit_of_work import Json


class InstanceLogs(Value):
    """The last lines of one instance, oldest first, or why there are none.

    `live` is null where the surface does not say what runs; else it is whether this instance does.
    `stored_at` says when lines were kept that the surface has no longer.
    """

    module_id: ModuleId
    instance: str | None
    live: bool | None
    release_revision: int
    source: Literal["surface", "stored"]
    stored_at: str | None
    lines: tuple[str, ...]
    reason: str | None


def answer(deployment: Deployment, target: DeploymentTarget, warnings: Sequence[str] = ()) -> Json:
    """Return the immediate answer of a command, as JSON."""
    waits_for, holder = waiting_for(deployment, target)
    accepted = DeploymentAccepted(
        deployment_id=deployment.deployment_id,
        environment_id=deployment.environment_id,
        kind=deployment.kind,
        release_ref=deployment.release_ref,
        status=deployment.status,
        waiting_for=waits_for,
        holder=holder,
        operation_id=deployment.operation_id,
        warnings=tuple(warnings),
    )
    return accepted.model_dump(mode="json", by_alias=True)


def with_taken_back(accepted: Json, undone: Deployment) -> Json:
    """Return the answer of a rollback with what it takes back."""
    taken_back = TakenBack(
        deployment_id=undone.deployment_id,
        kind=undone.kind,
        release_ref=undone.release_ref,
        modules=undone.modules,
        secret=undone.secret,
    )
    answered = DeploymentAccepted.model_validate(accepted)
    after = answered.model_copy(update={"taken_back": taken_back})
    return after.model_dump(mode="json", by_alias=True)


def deployment_resource(
    deployment: Deployment, target: DeploymentTarget, operation: Operation | None
) -> DeploymentResource:
    """Return GET /deployments/{deploymentId}."""
    waits_for, holder = waiting_for(deployment, target)
    unit = deployment.unit
    pin: ConfigurationPin | None = (
        unit.components[0].configuration if unit and unit.components else None
    )
    shown = deployment.restored if deployment.status is DeploymentStatus.ROLLED_BACK else unit
    return DeploymentResource(
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
        paused=deployment.is_paused,
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
        secret=deployment.secret,
        relocation=deployment.relocation,
        soak=deployment.evidence,
        approvals=(),
        requested_by=deployment.origin.actor,
        created_at=deployment.created_at,
        updated_at=deployment.updated_at,
        ended_at=deployment.ended_at,
        operation_id=deployment.operation_id,
        operation=_summary(operation),
    )


def _step(step: RolloutStep) -> DeploymentStep:
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
        outage=operation.outage,
    )


def raised_alerts(target: DeploymentTarget, tenant: TenantId) -> Iterator[OpenAlert]:
    """Yield the alerts of the modules that nothing can be gone back to of."""
    key = parse_id(target.environment_id, "env").environment
    for module, state in target.modules.items():
        if state.alerted_at is not None:
            identity = service_id(key, module_key(tenant, module))
            subject = service_subject(identity, target.environment_id)
            yield open_alert(
                Alert.NOTHING_TO_GO_BACK_TO, subject, state.alerted_at, module_id=module
            )
