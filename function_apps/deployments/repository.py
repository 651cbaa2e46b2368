"""The documents of a deployment, read and committed together: target, deployment, operation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel

import shared.kernel.operation as operations
from function_apps.deployments.errors import DeploymentMissing
from function_apps.deployments.model import deployment as deployments
from function_apps.deployments.model import target as targets
from function_apps.deployments.model import telling
from function_apps.deployments.model.deployment import Deployment, Origin
from function_apps.deployments.model.target import Claim, Target
from function_apps.deployments.ports import DeploymentsApp
from shared.contracts.deployments import DeploymentStatus
from shared.durable.operation_input import OperationInput
from shared.kernel.ids import (
    DeploymentId,
    EnvironmentId,
    OperationId,
    TenantId,
    deployment_id,
    operation_id,
    parse_id,
)
from shared.kernel.operation import Operation
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause
from shared.messaging.compose import envelope_of
from shared.messaging.legacy_unit_of_work import Audited, Decision, Put, View
from shared.messaging.outbox import Publish, Row, Start
from shared.persistence.store import Partition

ROLL_OUT: Final = "deployments_roll_out_release"
DRAIN: Final = "deployments_drain_environment"
"""Durable names of the two orchestrations; a test holds them to `orchestrations.py`."""


def place(resource: str, scope: Scope) -> Partition:
    """Return the partition of a deployment's or environment's id. Raises NotFound."""
    return Partition(scope.tenant, parse_id(resource, "dep", "env").environment)


def origin_of(cause: Cause) -> Origin:
    """Return what a deployment keeps of the *cause* that it was asked for by."""
    return Origin(cause.actor, cause.trace_id, cause.correlation_id, cause.causation_id)


def environment_of(deployment: str) -> EnvironmentId:
    """Return the environment that a deployment's id names. Raises NotFound."""
    return EnvironmentId(f"env-{parse_id(deployment, 'dep').environment}")


@dataclass(frozen=True)
class Dossier:
    """What one decision about one deployment works on."""

    target: Target
    deployment: Deployment
    operation: Operation | None

    @property
    def open_operation(self) -> Operation:
        assert self.operation is not None, self.deployment.operation_id
        return self.operation


def dossier(view: View, deployment: str, operation: str | None = None) -> Dossier:
    """Return what *view* holds about *deployment*.

    Raises:
        DeploymentMissing: it is not there.
    """
    body = view.body(deployment)
    if body is None:
        raise DeploymentMissing(deployment)
    found = deployments.from_body(body)
    row = view.body(operations.document_id(operation or found.operation_id))
    environment = found.environment_id
    return Dossier(
        targets.from_body(view.body(targets.document_id(environment)), environment),
        found,
        operations.from_body(row) if row else None,
    )


def writes(
    *,
    target: Target | None = None,
    deployment: Deployment | None = None,
    operations_: Sequence[Operation] = (),
) -> list[Put]:
    """Return what puts those that are given."""
    found: list[Put] = []
    if target is not None:
        found.append(Put(targets.document_id(target.environment_id), targets.to_body(target)))
    if deployment is not None:
        found.append(Put(deployment.deployment_id, deployments.to_body(deployment)))
    found += [
        Put(operations.document_id(one.operation_id), operations.to_body(one))
        for one in operations_
    ]
    return found


def publish(
    payload: BaseModel, app: DeploymentsApp, scope: Scope, cause: Cause, project: str | None
) -> Publish:
    return Publish(
        envelope_of(
            payload,
            tenant=scope.tenant,
            cause=cause,
            clock=app.service.clock,
            entropy=app.service.entropy,
            project=project,
        )
    )


@dataclass(frozen=True)
class Ticket(OperationInput):
    """What a rollout is started with."""

    tenant: TenantId
    deployment: DeploymentId


@dataclass(frozen=True)
class DrainTicket(OperationInput):
    """What the drain of an environment is started with."""

    tenant: TenantId
    environment: EnvironmentId
    generation: int

    @property
    def scope(self) -> Scope:
        """Return the scope in which the tenant's deployments are taken away."""
        return Scope(self.tenant, "service:environments")


def start(claim: Claim, scope: Scope) -> Start:
    """Return the row that starts the rollout which *claim* stands for."""
    return Start(ROLL_OUT, claim.operation, Ticket(scope.tenant, claim.deployment).written())


@dataclass(frozen=True)
class Leaving:
    """A deployment that has ended: what its queues look like now, and who starts."""

    target: Target
    rows: tuple[Row, ...]


def leaving(
    ended: Deployment, target: Target, app: DeploymentsApp, scope: Scope, cause: Cause
) -> Leaving:
    """Take *ended* out of its queues; tell its end and start those that are first now."""
    after, admitted = targets.leave(target, ended.deployment_id)
    told = publish(telling.ended(ended), app, scope, cause, ended.project_id)
    return Leaving(after, (told, *(start(claim, scope) for claim in admitted)))


def ended_operation(operation: Operation, deployment: Deployment, now: datetime) -> Operation:
    """Return *operation* ended as *deployment* did; a rollback is not the success asked for."""
    reason = deployment.reason
    match deployment.status:
        case DeploymentStatus.COMPLETED:
            return operations.succeed(operation, summary(deployment), now)
        case DeploymentStatus.CANCELLED:
            return operations.cancel(operation, now)
        case _ if operation.kind in {"RollbackDeployment", "CancelDeployment"} and (
            deployment.status is DeploymentStatus.ROLLED_BACK
        ):
            return operations.succeed(operation, summary(deployment), now)
        case _:
            code, message = (reason.code, reason.message) if reason else ("Failed", "")
            return operations.fail(operation, code, message, now)


def summary(deployment: Deployment) -> Mapping[str, Any]:
    return {"deploymentId": deployment.deployment_id, "status": deployment.status.value}


def answer(deployment: Deployment, target: Target) -> Mapping[str, Any]:
    """Return what a command answers at once, as JSON."""
    return telling.accepted(deployment, target).model_dump(mode="json", by_alias=True)


def decided(
    dossier_: Dossier, rows: Sequence[Row], action: str, result: Mapping[str, Any]
) -> Decision:
    """Return the decision that commits all three documents."""
    operation = [dossier_.operation] if dossier_.operation else []
    return Decision(
        result=result,
        writes=writes(
            target=dossier_.target, deployment=dossier_.deployment, operations_=operation
        ),
        outbox=rows,
        audited=Audited(action, dossier_.deployment.deployment_id, dossier_.deployment.status),
    )


def unmarked(cause: Cause) -> Cause:
    """Return *cause* for a decision whose documents show by themselves that it was made."""
    return replace(cause, marker=None)


class Drawn:
    """Drawn before a decision, which may be made twice."""

    def __init__(self, now: datetime, deployment: DeploymentId, operation: OperationId) -> None:
        self.now = now
        self.deployment = deployment
        self.operation = operation

    @classmethod
    def new(cls, deployment: str, app: DeploymentsApp) -> "Drawn":
        now, entropy = app.service.clock.now(), app.service.entropy
        key = parse_id(deployment, "dep").environment
        operation = operation_id(app.service.outside_name, key, now, entropy)
        return cls(now, deployment_id(key, now, entropy), operation)
