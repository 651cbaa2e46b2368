"""The events of an environment: whether it is scanned, and what it is compared with."""

from function_apps.drift.model.environment_scan import on_environment_event
from function_apps.drift.ports import DriftApp
from function_apps.drift.repository import SCANS
from shared.contracts.environments import EnvironmentFacts
from shared.kernel.context import Context
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View


async def record_environment(event: EnvironmentFacts, ctx: Context, app: DriftApp) -> Outcome[Json]:
    """Scan an environment from now on, or no more; one that failed is scanned as far as it is.

    The services of one that is gone are retired by the inventory, and their findings with them.
    """

    def decide(view: View) -> Decision[Json]:
        known = view.find(SCANS, event.environment_id)
        scan = on_environment_event(known, event, ctx.now())
        return NOTHING if scan is None else Decision({}, writes=[SCANS.put(scan)])

    return await app.service.work.change(ctx.without_marker(), SCANS, event.environment_id, decide)
