"""ProvisionEnvironment: request an environment, or one that failed or is gone, again."""

from function_apps.environments import repository
from function_apps.environments.model import requests
from function_apps.environments.model.prod_change import prod_change
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.resources import answer
from function_apps.environments.use_cases.plan_environment import require_plan
from shared.contracts.environments import ProvisionEnvironment
from shared.kernel.asked_once import AskedOnce
from shared.kernel.context import Context, NewIds
from shared.kernel.ids import ProjectId, environment_key
from shared.kernel.ids import environment_id as environment_id_of
from shared.messaging.unit_of_work import Decision, Json, Outcome, View


async def provision_environment(
    command: ProvisionEnvironment, ctx: Context, app: EnvironmentsApp
) -> Outcome[Json]:
    """Request an environment, or retry one that failed; a repeat gets the first answer.

    Raises:
        EnvironmentExists: the name is active with other content.
        DataResourceUnknown: `deleteData` names something that the environment does not have.
        DataWouldBeDeleted: it leaves out data that `deleteData` does not name.
        TransitionRefused: another operation has the environment.
        PlanChanged: `planId` is not the plan that would be applied now.
        PolicyDenied: it would be prod, and the operator's rules do not allow it.
    """
    key = environment_key(ctx.tenant, ProjectId(command.project_id), command.name)
    environment_id = environment_id_of(key)
    ids = NewIds.draw(ctx, app.service.public_name, environment_id)
    fresh = requests.new_environment(
        command,
        environment_id=environment_id,
        tenant_id=ctx.tenant,
        operation_id=ids.operation_id,
        trace_id=ctx.cause.trace_id,
        now=ids.now,
    )

    once = AskedOnce()

    async def decide(view: View) -> Decision[Json]:
        known = view.find(repository.ENVIRONMENTS, environment_id)
        after = requests.request(known, fresh, ids.now)
        if after is known:
            return Decision(answer(after), is_repeat=True)
        await require_plan(command.plan_id, known, after, once, app)
        begun = repository.begin(after, view, ids, ctx, repository.PROVISION)
        if app.prod_policy is None:
            return begun
        change = prod_change("ProvisionEnvironment", after)
        return await app.prod_policy.permit(begun, change, ctx, once)

    return await repository.change(environment_id, ctx, app, decide)
