"""Commands: an environment is requested, changed or taken down; the operation does the work."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import shared.kernel.operation as operations
from function_apps.environments.model import documents, telling
from function_apps.environments.model import environment as environments
from function_apps.environments.model.environment import RuntimeEnvironment
from function_apps.environments.model.states import State
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.use_cases.dossier import (
    Errand,
    announce,
    load,
    partition_of,
    stored,
)
from function_apps.environments.use_cases.planning import require_plan
from shared.contracts.environments import (
    DecommissionEnvironment,
    ProvisionEnvironment,
    UpdateEnvironment,
)
from shared.kernel.ids import (
    EnvironmentId,
    EnvironmentKey,
    OperationId,
    ProjectId,
    TenantId,
    environment_id,
    environment_key,
    operation_id,
    parse_id,
)
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause
from shared.messaging.outbox import Start
from shared.messaging.unit_of_work import Audited, Decision, Outcome, Put, View

APPLY = "environments_apply_environment"
DECOMMISSION = "environments_decommission_environment"
"""Durable names of the two orchestrations; a test holds them to `orchestrations.py`."""


@dataclass(frozen=True)
class Ticket:
    """Drawn before a decision, which may be made twice: one instant, one operation id."""

    now: datetime
    operation_id: OperationId


async def provision_environment(
    command: ProvisionEnvironment, *, scope: Scope, cause: Cause, app: EnvironmentsApp
) -> Outcome:
    """Request an environment, or retry one that failed; a repeat gets the first result.

    Raises:
        EnvironmentExists: the name is active with other content.
        PlanMoved: `planId` is not what would be done now.
    """
    key = environment_key(scope.tenant, ProjectId(command.project_id), command.name)
    ticket = _ticket(app, key)
    document_id = documents.document_id(environment_id(key))
    fresh = environments.request(
        command,
        environment_id=environment_id(key),
        tenant_id=scope.tenant,
        operation_id=ticket.operation_id,
        trace_id=cause.trace_id,
        now=ticket.now,
    )
    await require_plan(command.plan_id, fresh, app)

    def decide(view: View) -> Decision:
        body = view.body(document_id)
        if body is None:
            return _begin("ProvisionEnvironment", fresh, ticket, APPLY, cause, app)
        known = documents.from_body(body)
        if environments.is_same_request(known, command):
            return Decision(result=_answer(known))
        again = environments.request_again(
            known, command, operation_id=ticket.operation_id, now=ticket.now
        )
        return _begin("ProvisionEnvironment", again, ticket, APPLY, cause, app)

    return await app.service.work.write(
        scope, partition_of(scope, key), [document_id], decide, cause
    )


async def update_environment(
    command: UpdateEnvironment, *, scope: Scope, cause: Cause, app: EnvironmentsApp
) -> Outcome:
    """Apply other content to a provisioned environment.

    Raises:
        EnvironmentNotFound, TransitionRefused, PlanMoved.
    """
    key = parse_id(command.environment_id, "env").environment
    ticket = _ticket(app, key)
    wanted = environments.spec_of(command)
    if command.plan_id is not None:
        known = await load(command.environment_id, scope=scope, app=app)
        await require_plan(command.plan_id, replace(known, spec=wanted), app)

    def decide(view: View) -> Decision:
        known = stored(view, command.environment_id)
        same = not environments.differences(known, wanted, stage=known.stage, region=known.region)
        if same and known.status is State.UPDATING:
            return Decision(result=_answer(known))
        updating = environments.update(
            known, wanted, operation_id=ticket.operation_id, now=ticket.now
        )
        return _begin("UpdateEnvironment", updating, ticket, APPLY, cause, app)

    return await app.service.work.write(
        scope,
        partition_of(scope, key),
        [documents.document_id(command.environment_id)],
        decide,
        cause,
    )


async def decommission_environment(
    command: DecommissionEnvironment, *, scope: Scope, cause: Cause, app: EnvironmentsApp
) -> Outcome:
    """Take an environment down, or go on with one that could not be taken down whole.

    Raises:
        EnvironmentNotFound, ConfirmationMissing, TransitionRefused.
    """
    key = parse_id(command.environment_id, "env").environment
    ticket = _ticket(app, key)

    def decide(view: View) -> Decision:
        known = stored(view, command.environment_id)
        if known.status in {State.DECOMMISSIONING, State.DECOMMISSIONED}:
            return Decision(result=_answer(known))
        leaving = environments.decommission(
            known,
            confirm=command.confirm,
            retain=command.retain,
            operation_id=ticket.operation_id,
            now=ticket.now,
        )
        return _begin("DecommissionEnvironment", leaving, ticket, DECOMMISSION, cause, app)

    return await app.service.work.write(
        scope,
        partition_of(scope, key),
        [documents.document_id(command.environment_id)],
        decide,
        cause,
    )


def _ticket(app: EnvironmentsApp, key: EnvironmentKey) -> Ticket:
    now = app.service.clock.now()
    name = app.service.outside_name
    return Ticket(now, operation_id(name, key, now, app.service.entropy))


def _begin(
    action: str,
    environment: RuntimeEnvironment,
    ticket: Ticket,
    orchestration: str,
    cause: Cause,
    app: EnvironmentsApp,
) -> Decision:
    """Return the batch that hands *environment* to its orchestration."""
    argument = Errand(
        TenantId(environment.tenant_id),
        EnvironmentId(environment.environment_id),
        environment.fence,
        cause.trace_id,
        cause.correlation_id,
    ).written()
    operation = operations.accept(
        ticket.operation_id,
        action,
        f"/v1/runtime/environments/{environment.environment_id}",
        cause.actor,
        orchestration,
        argument,
        ticket.now,
    )
    return Decision(
        result=_answer(environment),
        writes=[
            Put(documents.document_id(environment.environment_id), documents.to_body(environment)),
            Put(operations.document_id(operation.operation_id), operations.to_body(operation)),
        ],
        outbox=[
            *announce(environment, cause, app),
            Start(orchestration, ticket.operation_id, argument),
        ],
        audited=Audited(action, environment.environment_id),
    )


def _answer(environment: RuntimeEnvironment) -> Mapping[str, Any]:
    return {
        "operationId": environment.operation_id,
        "environment": telling.resource(environment).model_dump(mode="json", by_alias=True),
    }
