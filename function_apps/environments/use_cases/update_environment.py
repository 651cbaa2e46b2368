"""UpdateEnvironment: apply other content to a provisioned environment."""

from function_apps.environments import repository
from function_apps.environments.model import requests
from function_apps.environments.model.prod_change import prod_change
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.resources import answer
from function_apps.environments.use_cases.plan_environment import require_plan
from shared.contracts.environments import UpdateEnvironment
from shared.kernel.asked_once import AskedOnce
from shared.kernel.context import Context, NewIds
from shared.messaging.unit_of_work import Decision, Json, Outcome, View


async def update_environment(
    command: UpdateEnvironment, ctx: Context, app: EnvironmentsApp
) -> Outcome[Json]:
    """Apply other content to a provisioned environment; a repeat gets the first answer.

    Raises:
        EnvironmentNotFound, TransitionRefused, DataResourceUnknown.
        DataWouldBeDeleted: it leaves out data that `deleteData` does not name.
        PlanChanged: `planId` is not the plan that would be applied now.
        PolicyDenied: it is prod, and the operator's rules do not allow it.
    """
    environment_id = command.environment_id
    ids = NewIds.draw(ctx, app.service.public_name, environment_id)

    once = AskedOnce()

    async def decide(view: View) -> Decision[Json]:
        known = view.get(repository.ENVIRONMENTS, environment_id)
        after = requests.update(known, command, operation_id=ids.operation_id, now=ids.now)
        if after is known:
            return Decision(answer(after), is_repeat=True)
        await require_plan(command.plan_id, known, after, once, app)
        begun = repository.begin(after, view, ids, ctx, repository.UPDATE)
        if app.prod_policy is None:
            return begun
        change = prod_change("UpdateEnvironment", after)
        return await app.prod_policy.permit(begun, change, ctx, once)

    return await repository.change(environment_id, ctx, app, decide)
