"""UpdateEnvironment: apply other content to a provisioned environment."""

from function_apps.environments import repository
from function_apps.environments.model import requests
from function_apps.environments.model.environment import RuntimeEnvironment
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.use_cases.plan_environment import require_plan
from shared.contracts.environments import UpdateEnvironment
from shared.kernel.context import Context, NewIds
from shared.kernel.ids import parse_id
from shared.messaging.unit_of_work import Decision, Json, Outcome, View


async def update_environment(
    command: UpdateEnvironment, ctx: Context, app: EnvironmentsApp
) -> Outcome[Json]:
    """Apply other content to a provisioned environment; a repeat gets the first answer.

    Raises:
        EnvironmentNotFound, TransitionRefused.
        PlanChanged: `planId` is not the plan that would be applied now.
    """
    identity, spec = command.environment_id, requests.spec_from(command)
    key = parse_id(identity, "env").environment
    ids = NewIds.draw(ctx, app.service.public_name, key)

    def updated(view: View) -> tuple[RuntimeEnvironment, bool]:
        known = repository.stored(view, identity)
        after = requests.update(
            known, spec, plan_id=command.plan_id, operation_id=ids.operation_id, now=ids.now
        )
        return after, after is known

    async def precheck(view: View) -> None:
        after, is_repeat = updated(view)
        if not is_repeat:
            await require_plan(command.plan_id, after, app)

    def decide(view: View) -> Decision[Json]:
        after, is_repeat = updated(view)
        if is_repeat:
            return Decision(repository.answer(after))
        return repository.begin(after, view, ids, ctx, repository.UPDATE)

    return await repository.change(identity, ctx, app, decide, precheck=precheck)
