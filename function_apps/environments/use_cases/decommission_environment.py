"""DecommissionEnvironment: take an environment down."""

from functools import partial

from function_apps.environments import repository
from function_apps.environments.model import environment as environments
from function_apps.environments.model.lifecycle import State
from function_apps.environments.ports import EnvironmentsApp
from shared.contracts.environments import DecommissionEnvironment
from shared.kernel.context import Context, NewIds
from shared.kernel.ids import parse_id
from shared.messaging.unit_of_work import Decision, Json, Outcome, View
from shared.persistence.store import partition_of


async def decommission_environment(
    command: DecommissionEnvironment, ctx: Context, app: EnvironmentsApp
) -> Outcome[Json]:
    """Take an environment down, or go on with one that could not be taken down whole.

    An update that is at work ends as superseded.

    Raises:
        EnvironmentNotFound, ConfirmationMissing, TransitionRefused.
    """
    identity = command.environment_id
    key = parse_id(identity, "env").environment
    ids = NewIds.draw(ctx, app.service.outside_name, key)

    def decide(view: View) -> Decision[Json]:
        known = repository.stored(view, identity)
        if known.status in {State.DECOMMISSIONING, State.DECOMMISSIONED}:
            return Decision(repository.answer(known))
        leaving = environments.decommission(
            known,
            confirm=command.confirm,
            retain=command.retain,
            operation_id=ids.operation_id,
            now=ids.now,
        )
        return repository.begin(
            leaving,
            view,
            ids,
            ctx,
            kind="DecommissionEnvironment",
            orchestration=repository.DECOMMISSION,
        )

    return await app.service.work.commit(
        ctx,
        partition_of(ctx.tenant, identity),
        [repository.document_id(identity)],
        decide,
        linked=partial(repository.owner_at_work, environment_id=identity),
    )
