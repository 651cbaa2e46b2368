"""AdoptRelease: note what a deployment gave one service, and what its instances proved."""

from function_apps.configurations import repository
from function_apps.configurations.model.adoption import adopt_release as adopted
from function_apps.configurations.ports import ConfigurationsApp
from function_apps.configurations.repository import ADOPTIONS
from function_apps.configurations.use_cases.judge_adoption import judge_adoption
from shared.contracts.configurations import AdoptRelease
from shared.kernel.context import Context
from shared.kernel.ids import ModuleId, module_key, parse_id, service_id
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View
from shared.persistence.store import Partition


async def adopt_release(
    command: AdoptRelease, ctx: Context, app: ConfigurationsApp
) -> Outcome[Json]:
    """Record the release of one service, then judge the layers that it was given."""
    key = parse_id(command.environment_id, "env").environment
    identity = service_id(key, module_key(ctx.tenant, ModuleId(command.module_id)))

    def decide(view: View) -> Decision[Json]:
        after = adopted(view.find(ADOPTIONS, identity), command, identity)
        return NOTHING if after is None else Decision({}, writes=[ADOPTIONS.put(after)])

    # Of the environment, not of the service: all that a layer reaches is read at once.
    outcome = await app.service.work.commit(
        ctx, Partition(ctx.tenant, key), [ADOPTIONS.document_id(identity)], decide
    )
    for layer in repository.layers_of(command.environment_id, command.module_id):
        await judge_adoption(repository.id_of(layer, ctx.tenant), ctx.without_marker(), app)
    return outcome
