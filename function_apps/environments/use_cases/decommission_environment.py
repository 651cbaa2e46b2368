"""DecommissionEnvironment: take an environment down."""

from function_apps.environments import repository
from function_apps.environments.model import requests
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.resources import answer
from shared.contracts.environments import DecommissionEnvironment
from shared.kernel.context import Context, NewIds
from shared.messaging.unit_of_work import Decision, Json, Outcome, View


async def decommission_environment(
    command: DecommissionEnvironment, ctx: Context, app: EnvironmentsApp
) -> Outcome[Json]:
    """Take an environment down, or go on with one that could not be taken down whole.

    An update that is at work ends as superseded. A repeat gets the first answer.

    Raises:
        EnvironmentNotFound, DataResourceUnknown, RetainDiffers, ConfirmationMissing,
        TransitionRefused.
    """
    environment_id = command.environment_id
    ids = NewIds.draw(ctx, app.service.public_name, environment_id)

    def decide(view: View) -> Decision[Json]:
        known = view.get(repository.ENVIRONMENTS, environment_id)
        leaving = requests.decommission(known, command, operation_id=ids.operation_id, now=ids.now)
        if leaving is known:
            return Decision(answer(known), is_repeat=True)
        return repository.begin(leaving, view, ids, ctx, repository.DECOMMISSION)

    return await repository.change(environment_id, ctx, app, decide)
