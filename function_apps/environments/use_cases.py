"""Commands and inbound events of environments: load, decide, commit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import shared.kernel.operation as operations
from function_apps.environments import model
from function_apps.environments.errors import EnvironmentNotFound, PlanMoved
from function_apps.environments.model import RuntimeEnvironment, State
from function_apps.environments.ports import EnvironmentsApp
from shared.contracts.deployments import RuntimeEnvironmentDrained
from shared.contracts.environments import (
    DecommissionEnvironment,
    Environment,
    EnvironmentFacts,
    EnvironmentPlan,
    PlannedAction,
    PlannedResource,
    ProvisionEnvironment,
    Refusal,
    RuntimeEnvironmentDecommissioned,
    RuntimeEnvironmentFailed,
    RuntimeEnvironmentProvisioned,
    RuntimeEnvironmentStatusChanged,
    UpdateEnvironment,
)
from shared.infrastructure.inputs import ComputeTargetInput, DataResourceInput, EnvironmentInputs
from shared.infrastructure.port import Preview, StackName
from shared.kernel.errors import PlanRefused
from shared.kernel.ids import (
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
from shared.messaging.compose import envelope_of
from shared.messaging.outbox import Publish, Raise, Row, Start
from shared.messaging.unit_of_work import Audited, Decision, Outcome, Put, View
from shared.persistence.store import Comparison, Document, Page, Partition, Prefix, Query, Where

APPLY = "environments_apply_environment"
DECOMMISSION = "environments_decommission_environment"
"""Durable names of the two orchestrations; a test holds them to `orchestrations.py`."""


@dataclass(frozen=True)
class Ticket:
    """Drawn before a decision, which may be made twice: one instant, one operation id."""

    now: datetime
    operation_id: OperationId


def partition_of(scope: Scope, key: EnvironmentKey) -> Partition:
    return Partition(scope.tenant, key)


def inputs_of(environment: RuntimeEnvironment) -> EnvironmentInputs:
    """Return what the environment program is given for *environment*."""
    return EnvironmentInputs(
        tenant_id=environment.tenant_id,
        project_id=environment.project_id,
        environment_id=environment.environment_id,
        name=environment.name,
        stage=environment.stage,
        region=environment.region,
        isolation_model=environment.spec.isolation_model,
        trace_id=environment.trace_id,
        generation=environment.generation,
        compute_targets=tuple(
            ComputeTargetInput(
                kind=target.kind,
                capacity=target.capacity.model_dump(mode="json", exclude_none=True)
                if target.capacity
                else {},
                settings=dict(target.settings),
            )
            for target in environment.spec.compute_targets
        ),
        data_resources=tuple(
            DataResourceInput(
                name=resource.name,
                kind=resource.kind,
                protected=environment.spec.protected,
                settings=dict(resource.settings),
            )
            for resource in environment.spec.data_resources
        ),
        tags=dict(environment.spec.tags),
    )


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
    document_id = model.document_id(environment_id(key))
    fresh = model.request(
        command,
        environment_id=environment_id(key),
        tenant_id=scope.tenant,
        operation_id=ticket.operation_id,
        trace_id=cause.trace_id,
        now=ticket.now,
    )
    await _require_plan(command.plan_id, fresh, app)

    def decide(view: View) -> Decision:
        body = view.body(document_id)
        if body is None:
            return _begin("ProvisionEnvironment", fresh, ticket, APPLY, cause, app)
        known = model.from_body(body)
        if model.is_same_request(known, command):
            return Decision(result=_answer(known))
        again = model.request_again(
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
    wanted = model.spec_of(command)
    if command.plan_id is not None:
        known = await load(command.environment_id, scope=scope, app=app)
        await _require_plan(command.plan_id, replace(known, spec=wanted), app)

    def decide(view: View) -> Decision:
        known = _known(view, command.environment_id)
        same = not model.differences(known, wanted, stage=known.stage, region=known.region)
        if same and known.status is State.UPDATING:
            return Decision(result=_answer(known))
        updating = model.update(known, wanted, operation_id=ticket.operation_id, now=ticket.now)
        return _begin("UpdateEnvironment", updating, ticket, APPLY, cause, app)

    return await app.service.work.write(
        scope,
        partition_of(scope, key),
        [model.document_id(command.environment_id)],
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
        known = _known(view, command.environment_id)
        if known.status in {State.DECOMMISSIONING, State.DECOMMISSIONED}:
            return Decision(result=_answer(known))
        leaving = model.decommission(
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
        [model.document_id(command.environment_id)],
        decide,
        cause,
    )


async def note_environment_drained(
    event: RuntimeEnvironmentDrained, *, scope: Scope, cause: Cause, app: EnvironmentsApp
) -> Outcome:
    """Remember that no workload is left, and wake the decommissioning that waits for it."""
    key = parse_id(event.environment_id, "env").environment
    document_id = model.document_id(event.environment_id)

    def decide(view: View) -> Decision:
        body = view.body(document_id)
        known = model.from_body(body) if body is not None else None
        waits = known is not None and known.status is State.DECOMMISSIONING
        if known is None or not waits or known.drained or event.generation != known.generation:
            return Decision()
        drained = replace(known, drained=True, revision=known.revision + 1)
        return Decision(
            writes=[Put(document_id, model.to_body(drained))],
            outbox=[Raise(known.operation_id, drained_name(known.operation_id))],
            audited=Audited("NoteEnvironmentDrained", known.environment_id),
        )

    return await app.service.work.write(
        scope, partition_of(scope, key), [document_id], decide, cause
    )


def drained_name(operation: str) -> str:
    """Return the name of the nudge that a decommissioning waits for, unique to its operation."""
    return f"drained-{operation}"


async def plan_environment(
    environment: RuntimeEnvironment, app: EnvironmentsApp
) -> EnvironmentPlan:
    """Return what applying *environment* would do; nothing is changed."""
    preview = await app.engine.preview(StackName(environment.stack), inputs_of(environment))
    return _plan(environment, preview)


async def plan_request(
    command: ProvisionEnvironment, *, scope: Scope, cause: Cause, app: EnvironmentsApp
) -> EnvironmentPlan:
    """Return the plan of a request before anything exists (`dryRun`)."""
    key = environment_key(scope.tenant, ProjectId(command.project_id), command.name)
    ticket = _ticket(app, key)
    wanted = model.request(
        command,
        environment_id=environment_id(key),
        tenant_id=scope.tenant,
        operation_id=ticket.operation_id,
        trace_id=cause.trace_id,
        now=ticket.now,
    )
    return await plan_environment(wanted, app)


async def plan_update(
    command: UpdateEnvironment, *, scope: Scope, app: EnvironmentsApp
) -> EnvironmentPlan:
    """Return the plan of an update (`dryRun`)."""
    known = await load(command.environment_id, scope=scope, app=app)
    return await plan_environment(replace(known, spec=model.spec_of(command)), app)


async def load(environment: str, *, scope: Scope, app: EnvironmentsApp) -> RuntimeEnvironment:
    """Return the environment. Raises EnvironmentNotFound."""
    return model.from_body((await load_document(environment, scope=scope, app=app)).body)


async def load_document(environment: str, *, scope: Scope, app: EnvironmentsApp) -> Document:
    """Return the environment's document, with its etag. Raises EnvironmentNotFound."""
    key = parse_id(environment, "env").environment
    document = await app.service.store.read(
        partition_of(scope, key), model.document_id(environment)
    )
    if document is None:
        raise EnvironmentNotFound(environment)
    return document


async def list_environments(
    filters: Mapping[str, str], *, limit: int, continuation: str | None, scope: Scope,
    app: EnvironmentsApp,
) -> Page:  # fmt: skip
    """Return one page of the tenant's environments; *filters* are stored field names."""
    where = [Where("type", Comparison.EQ, "environment")]
    where += [Where(name, Comparison.EQ, value) for name, value in filters.items()]
    return await app.service.store.query(
        Prefix(scope.tenant), Query(where=where, limit=limit, continuation=continuation)
    )


def _ticket(app: EnvironmentsApp, key: EnvironmentKey) -> Ticket:
    now = app.service.clock.now()
    name = app.service.outside_name
    return Ticket(now, operation_id(name, key, now, app.service.entropy))


def _known(view: View, environment: str) -> RuntimeEnvironment:
    body = view.body(model.document_id(environment))
    if body is None:
        raise EnvironmentNotFound(environment)
    return model.from_body(body)


async def _require_plan(
    approved: str | None, wanted: RuntimeEnvironment, app: EnvironmentsApp
) -> None:
    if approved is None:
        return
    plan = await plan_environment(wanted, app)
    if plan.plan_id != approved:
        raise PlanMoved(approved, plan.plan_id)


def _begin(
    action: str,
    environment: RuntimeEnvironment,
    ticket: Ticket,
    orchestration: str,
    cause: Cause,
    app: EnvironmentsApp,
) -> Decision:
    """Return the batch that hands *environment* to its orchestration."""
    argument = {
        "tenantId": environment.tenant_id,
        "environmentId": environment.environment_id,
        "token": environment.fence,
        "traceId": cause.trace_id,
        "correlationId": cause.correlation_id,
    }
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
            Put(model.document_id(environment.environment_id), model.to_body(environment)),
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
        "environment": resource(environment).model_dump(mode="json", by_alias=True),
    }


def announce(environment: RuntimeEnvironment, cause: Cause, app: EnvironmentsApp) -> Sequence[Row]:
    """Return the event that tells of the state *environment* is in."""
    facts: dict[str, Any] = {
        "aggregate_id": environment.environment_id,
        "revision": environment.revision,
        "environment_id": environment.environment_id,
        "owner_tenant_id": environment.tenant_id,
        "name": environment.name,
        "stage": environment.stage,
        "region": environment.region,
        "isolation_model": environment.spec.isolation_model,
        "status": environment.status,
        "generation": environment.generation,
    }
    payload: EnvironmentFacts
    match environment.status:
        case State.PROVISIONED:
            payload = RuntimeEnvironmentProvisioned(
                **facts,
                compute_targets=environment.targets,
                outputs=environment.outputs,
                pulumi_stack_ref=environment.stack,
                last_update=environment.last_update,
            )
        case State.FAILED | State.DECOMMISSION_FAILED:
            payload = RuntimeEnvironmentFailed(
                **facts, reason=environment.reason, remaining=environment.remaining
            )
        case State.DECOMMISSIONED:
            payload = RuntimeEnvironmentDecommissioned(**facts, remaining=environment.remaining)
        case _:
            payload = RuntimeEnvironmentStatusChanged(**facts, reason=environment.reason)
    envelope = envelope_of(
        payload,
        tenant=environment.tenant_id,
        cause=cause,
        clock=app.service.clock,
        entropy=app.service.entropy,
        project=environment.project_id,
    )
    return [Publish(envelope)]


def resource(environment: RuntimeEnvironment) -> Environment:
    """Return what clients see of *environment*."""
    spec = environment.spec
    return Environment.model_validate(
        {
            "environmentId": environment.environment_id,
            "tenantId": environment.tenant_id,
            "projectId": environment.project_id,
            "name": environment.name,
            "stage": environment.stage,
            "region": environment.region,
            "status": environment.status,
            "isolationModel": spec.isolation_model,
            "generation": environment.generation,
            "revision": environment.revision,
            "computeTargets": spec.compute_targets,
            "dataResources": spec.data_resources,
            "protected": spec.protected,
            "paused": False,
            "ttl": None,
            "expiresAt": None,
            "tags": spec.tags,
            "admits": spec.admits,
            "provisioned": environment.targets,
            "outputs": environment.outputs,
            "isolation": (),
            "pulumiStackRef": environment.stack,
            "lastUpdate": environment.last_update,
            "reason": environment.reason,
            "remaining": environment.remaining,
            "createdAt": environment.created_at,
            "updatedAt": environment.updated_at,
            "decommissionedAt": environment.decommissioned_at,
            "lastOperationId": environment.operation_id,
            "lastOperation": None,
        }
    )


def _plan(environment: RuntimeEnvironment, preview: Preview) -> EnvironmentPlan:
    dependencies = {node.urn: node.dependencies for node in preview.graph.nodes}
    cost = preview.monthly_cost
    return EnvironmentPlan(
        plan_id=preview.plan_hash,
        plan_hash=preview.plan_hash,
        environment_id=environment.environment_id,
        base_revision=environment.revision,
        resources=tuple(
            PlannedResource(
                urn=change.urn,
                type=change.type,
                action=PlannedAction(change.change),
                depends_on=dependencies.get(change.urn, ()),
                changed=change.paths,
            )
            for change in preview.changes
        ),
        refusals=tuple(
            Refusal(code=each.code, target=each.target, message=each.message)
            for each in preview.refusals
        ),
        monthly_cost=cost.amount if cost else None,
        currency=cost.currency if cost else "EUR",
    )


def require_no_refusals(preview: Preview) -> None:
    """Raises PlanRefused with every refusal of *preview*."""
    if preview.refusals:
        raise PlanRefused(
            "the environment cannot be applied as planned: "
            + "; ".join(each.message for each in preview.refusals),
            details=preview.refusals,
        )


def scope_of(tenant: str) -> Scope:
    """Return the scope in which the service's own orchestrations work for *tenant*."""
    return Scope(TenantId(tenant), "service:environments")
