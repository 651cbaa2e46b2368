"""Plans: what applying an environment would do, and whether that is what was approved."""

from dataclasses import replace

from function_apps.environments.errors import PlanMoved
from function_apps.environments.model import environment as environments
from function_apps.environments.model import telling
from function_apps.environments.model.environment import RuntimeEnvironment
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.use_cases.dossier import load
from shared.contracts.environments import EnvironmentPlan, ProvisionEnvironment, UpdateEnvironment
from shared.infrastructure.inputs import ComputeTargetInput, DataResourceInput, EnvironmentInputs
from shared.infrastructure.port import Preview, StackName
from shared.kernel.errors import PlanRefused
from shared.kernel.ids import ProjectId, environment_id, environment_key
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause


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


async def plan_environment(
    environment: RuntimeEnvironment, app: EnvironmentsApp
) -> EnvironmentPlan:
    """Return what applying *environment* would do; nothing is changed."""
    preview = await app.engine.preview(StackName(environment.stack), inputs_of(environment))
    return telling.plan(environment, preview)


async def plan_request(
    command: ProvisionEnvironment, *, scope: Scope, cause: Cause, app: EnvironmentsApp
) -> EnvironmentPlan:
    """Return the plan of a request before anything exists (`dryRun`)."""
    key = environment_key(scope.tenant, ProjectId(command.project_id), command.name)
    wanted = environments.request(
        command,
        environment_id=environment_id(key),
        tenant_id=scope.tenant,
        operation_id="none",
        trace_id=cause.trace_id,
        now=app.service.clock.now(),
    )
    return await plan_environment(wanted, app)


async def plan_update(
    command: UpdateEnvironment, *, scope: Scope, app: EnvironmentsApp
) -> EnvironmentPlan:
    """Return the plan of an update (`dryRun`)."""
    known = await load(command.environment_id, scope=scope, app=app)
    return await plan_environment(replace(known, spec=environments.spec_of(command)), app)


async def require_plan(
    approved: str | None, wanted: RuntimeEnvironment, app: EnvironmentsApp
) -> None:
    if approved is None:
        return
    plan = await plan_environment(wanted, app)
    if plan.plan_id != approved:
        raise PlanMoved(approved, plan.plan_id)


def require_no_refusals(preview: Preview) -> None:
    """Raises PlanRefused with every refusal of *preview*."""
    if preview.refusals:
        raise PlanRefused(
            "the environment cannot be applied as planned: "
            + "; ".join(each.message for each in preview.refusals),
            details=preview.refusals,
        )
