"""ConfigurationPublished: a layer of configuration as it is in force from now on."""

from function_apps.drift.model.configuration_layers import after_publication
from function_apps.drift.ports import DriftApp
from function_apps.drift.repository import LAYERS, SCANS
from shared.contracts.configurations import ConfigurationPublished
from shared.kernel.context import Context
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View


async def record_configuration(
    event: ConfigurationPublished, ctx: Context, app: DriftApp
) -> Outcome[Json]:
    """Keep the words of a layer; the next scan of its environment compares them."""

    def decide(view: View) -> Decision[Json]:
        known = view.find(LAYERS, event.configuration_id)
        scan = view.find(SCANS, event.environment_id) if event.environment_id else None
        layer = after_publication(known, event, scan)
        return NOTHING if layer is None else Decision({}, writes=[LAYERS.put(layer)])

    work, layer_id = app.service.work, event.configuration_id
    also = [SCANS.document_id(event.environment_id)] if event.environment_id else []
    return await work.change(ctx.without_marker(), LAYERS, layer_id, decide, also=also)
