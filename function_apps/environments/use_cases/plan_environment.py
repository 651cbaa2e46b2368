"""Plans: the resources that applying an environment would change. Planning changes nothing."""

from dataclasses import replace
from typing import Final

from function_apps.environments.errors import DataWouldBeDeleted, PlanChanged
from function_apps.environments.model import requests
from function_apps.environments.model.environment import RuntimeEnvironment
from function_apps.environments.model.lifecycle import State
from function_apps.environments.model.prod_change import prod_change
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.repository import ENVIRONMENTS
from function_apps.environments.resources import plan_resource
from shared.contracts.environments import EnvironmentPlan, ProvisionEnvironment, UpdateEnvironment
from shared.infrastructure.graph import ResourceAction
from shared.infrastructure.inputs import (
    ComputeTargetInput,
    DataResourceInput,
    EnvironmentInputs,
    data_resource_name,
)
from shared.infrastructure.port import Preview
from shared.kernel.asked_once import AskedOnce
from shared.kernel.context import Context
from shared.kernel.errors import PlanRefused, Violation
from shared.kernel.ids import ProjectId, environment_key
from shared.kernel.ids import environment_id as environment_id_of

_DELETING: Final = frozenset({ResourceAction.DELETE, ResourceAction.REPLACE})
_NO_OPERATION: Final = "none"
"""A dry run begins no operation."""


def inputs_of(environment: RuntimeEnvironment) -> EnvironmentInputs:
    """Return the input of the environment program for *environment*."""
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
            for resource in (*environment.spec.data_resources, *environment.still_retained)
        ),
        tags=dict(environment.spec.tags),
    )


async def plan_environment(
    environment_id: str, ctx: Context, app: EnvironmentsApp
) -> EnvironmentPlan:
    """Return the changes that applying the environment as it is described would make.

    Raises:
        EnvironmentNotFound.
        Stale: it is not the one that the caller has seen.
    """
    view = await app.service.work.read_for_plan(ENVIRONMENTS, environment_id, ctx)
    environment = view.get(ENVIRONMENTS, environment_id)
    # What a failed update was allowed to delete may not be deleted any longer.
    deletes = () if environment.status is State.PROVISIONED else environment.deletes
    described = replace(environment, spec=environment.in_force, deletes=deletes)
    return await _plan(described, environment.revision, ctx, app)


async def _plan(
    environment: RuntimeEnvironment,
    base_revision: int,
    ctx: Context,
    app: EnvironmentsApp,
    *,
    known: RuntimeEnvironment | None = None,
    approved: str | None = None,
    asked: str | None = None,
) -> EnvironmentPlan:
    """Return the plan; of a change that is *asked* for, with what the policy for prod denies."""
    preview = await _preview(environment, app, known)
    _require_approved(approved, preview)
    if app.prod_policy is not None and asked is not None and environment is not known:
        denied = await app.prod_policy.refusals(prod_change(asked, environment), ctx)
        preview = replace(preview, refusals=(*preview.refusals, *denied))
    return plan_resource(environment, preview, base_revision)


async def plan_request(
    command: ProvisionEnvironment, ctx: Context, app: EnvironmentsApp
) -> EnvironmentPlan:
    """Return the plan of a request (`dryRun`): of the environment as it would be stored.

    Raises:
        EnvironmentExists, TransitionRefused, PlanChanged, Stale: the request would be refused.
    """
    key = environment_key(ctx.tenant, ProjectId(command.project_id), command.name)
    environment_id, now = environment_id_of(key), ctx.now()
    fresh = requests.new_environment(
        command,
        environment_id=environment_id,
        tenant_id=ctx.tenant,
        operation_id=_NO_OPERATION,
        trace_id=ctx.cause.trace_id,
        now=now,
    )
    view = await app.service.work.read_for_plan(ENVIRONMENTS, environment_id, ctx)
    known = view.find(ENVIRONMENTS, environment_id)
    requested = requests.request(known, fresh, now)
    base = known.revision if known else fresh.revision
    # A repeat is answered whatever was approved.
    approved = None if requested is known else command.plan_id
    return await _plan(
        requested, base, ctx, app, known=known, approved=approved, asked="ProvisionEnvironment"
    )


async def plan_change(
    command: UpdateEnvironment, ctx: Context, app: EnvironmentsApp
) -> EnvironmentPlan:
    """Return the plan of an update (`dryRun`): of the environment as it would be stored.

    Raises:
        EnvironmentNotFound, TransitionRefused, PlanChanged, Stale: the update would be refused.
    """
    environment_id = command.environment_id
    view = await app.service.work.read_for_plan(ENVIRONMENTS, environment_id, ctx)
    known = view.get(ENVIRONMENTS, environment_id)
    updated = requests.update(known, command, operation_id=_NO_OPERATION, now=ctx.now())
    approved = None if updated is known else command.plan_id
    return await _plan(
        updated, known.revision, ctx, app, known=known, approved=approved, asked="UpdateEnvironment"
    )


async def require_plan(
    approved: str | None,
    known: RuntimeEnvironment | None,
    environment: RuntimeEnvironment,
    once: AskedOnce,
    app: EnvironmentsApp,
) -> None:
    """Refuse to make *environment* of *known* against what its caller approved, or did not name.

    Raises:
        DataWouldBeDeleted: it deletes data that the request does not name for that.
        PlanChanged: *approved* is not its plan: the stack or the program has changed since.
    """
    may_lose = known is not None and requests.may_delete_data(known, environment)
    if approved is None and not may_lose:
        return
    question = (environment.stack, inputs_of(environment), known and known.data_resources)
    preview = await once.ask(question, lambda: _preview(environment, app, known))
    lost = [refusal for refusal in preview.refusals if refusal.code == DataWouldBeDeleted.code]
    if lost:
        raise DataWouldBeDeleted(environment.environment_id, lost)
    _require_approved(approved, preview)


async def require_applicable(environment: RuntimeEnvironment, app: EnvironmentsApp) -> str:
    """Return the hash of the plan of *environment*, which is the approved one where one was.

    Raises:
        PlanRefused: the plan has refusals; every one is listed.
        PlanChanged: a caller approved another plan.
    """
    preview = await _preview(environment, app)
    if preview.refusals:
        raise PlanRefused(
            "the environment cannot be applied as planned: "
            + "; ".join(map(str, preview.refusals)),
            details=preview.refusals,
        )
    _require_approved(environment.approved_plan, preview)
    return preview.plan_hash


async def _preview(
    environment: RuntimeEnvironment, app: EnvironmentsApp, known: RuntimeEnvironment | None = None
) -> Preview:
    """Return the preview of *environment*; what deletes data that it may not delete is refused."""
    preview = await app.engine.preview(environment.stack, inputs_of(environment))
    names = {*environment.data_resources, *(known.data_resources if known else ())}
    guarded = {data_resource_name(name): name for name in names - {*environment.deletes}}
    lost = [
        Violation(
            DataWouldBeDeleted.code, "/dataResources",
            f"{guarded[change.name]} would be deleted with all content",
            "it stays in dataResources, or deleteData names it", guarded[change.name],
        )
        for change in preview.changes
        if change.action in _DELETING and change.name in guarded
    ]  # fmt: skip
    return replace(preview, refusals=(*preview.refusals, *lost))


def _require_approved(approved: str | None, preview: Preview) -> None:
    """Refuse *preview* where *approved* is another plan; None approves every one."""
    if approved is not None and approved != preview.plan_hash:
        raise PlanChanged(approved, preview.plan_hash)
