"""DeleteObjective: nothing is counted for it, and its alerts end."""

from function_apps.health.events import alert_changed
from function_apps.health.model.alerts import clear_burn_alerts
from function_apps.health.ports import HealthApp
from function_apps.health.repository import OBJECTIVES, TARGETS, require_release
from function_apps.health.resources import service_objective
from function_apps.health.use_cases.count_events import delete_counted
from shared.kernel.context import Context
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import Decision, Json, Outcome, Remove, View


async def delete_objective(service_id: str, ctx: Context, app: HealthApp) -> Outcome[Json]:
    """Delete the objective of a service, and answer it as it was.

    Raises:
        HealthNotFound: no such service was ever released.
        ObjectiveNotFound: it has none.
    """
    document_id = OBJECTIVES.document_id(service_id)

    def decide(view: View) -> Decision[Json]:
        target = require_release(view.get(TARGETS, service_id))
        removed = view.get(OBJECTIVES, service_id)
        after, changes = clear_burn_alerts(target.without_objective(), ctx.now())
        return Decision(
            service_objective(removed, ()).model_dump(mode="json", by_alias=True),
            writes=[Remove(document_id), TARGETS.put(after)],
            outbox=[alert_changed(after, change) for change in changes],
            audited=Audited("DeleteObjective", service_id, removed.content.sli),
        )

    target_id = TARGETS.document_id(service_id)
    outcome = await app.service.work.change(ctx, OBJECTIVES, service_id, decide, also=[target_id])
    if outcome.is_repeat:
        later = await app.service.work.find(OBJECTIVES, service_id, ctx.tenant)
        if later is not None:  # it has counts of its own
            return outcome
    # A sweep that counts at this moment leaves a row, which goes with the service.
    await delete_counted(ctx.tenant, service_id, app)
    return outcome
