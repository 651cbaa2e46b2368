"""RuntimeInventoryUpdated: which instances of a module run, whether they ask or not."""

from function_apps.configurations import repository
from function_apps.configurations.model.adoption import ModuleAdoption
from function_apps.configurations.model.adoption import record_inventory as recorded
from function_apps.configurations.ports import ConfigurationsApp
from function_apps.configurations.repository import ADOPTIONS
from function_apps.configurations.use_cases.judge_adoption import judge_later
from shared.contracts.catalog import RuntimeInventoryUpdated
from shared.kernel.context import Context
from shared.kernel.ids import parse_id
from shared.messaging.unit_of_work import Decision, Outcome, View
from shared.persistence.store import Partition


async def record_inventory(
    event: RuntimeInventoryUpdated, ctx: Context, app: ConfigurationsApp
) -> Outcome[bool]:
    """Keep the instances that run; of a live module that has others, have the layers judged later.

    Not at once: all the modules of a tenant would be counted at each instance of one, which had no
    time to ask yet. A repeat sees to it again: the first time may have ended in between.
    """
    quietly = ctx.without_marker()

    def decide(view: View) -> Decision[bool]:
        known = view.find(ADOPTIONS, event.service_id)
        after = recorded(known, event, ctx.said_at())
        if after is not None:
            return Decision(_runs_others(known, after), writes=[ADOPTIONS.put(after)])
        running = known.running if known and known.is_live else None
        return Decision(running is not None and running.revision == event.revision)

    # Of the environment, not of the service: all that a layer reaches is read at once.
    key = parse_id(event.environment_id, "env").environment
    outcome = await app.service.work.commit(
        quietly, Partition(ctx.tenant, key), [ADOPTIONS.document_id(event.service_id)], decide
    )
    if outcome.value:
        for layer in repository.layers_of(event.environment_id, event.module_id):
            await judge_later(repository.id_of(layer, ctx.tenant), quietly, app)
    return outcome


def _runs_others(before: ModuleAdoption | None, after: ModuleAdoption) -> bool:
    known, now = before.running if before else None, after.running
    if now is None or not (after.released and after.is_live):
        return False
    return known is None or known.names != now.names
