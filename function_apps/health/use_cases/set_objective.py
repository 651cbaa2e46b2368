"""SetObjective: what a service is to reach, and over what time."""

from function_apps.health.errors import HealthNotFound
from function_apps.health.model import objective
from function_apps.health.ports import HealthApp
from function_apps.health.repository import OBJECTIVES, TARGETS, require_release
from shared.contracts.health import SetObjective
from shared.kernel.context import Context
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import Decision, Json, Outcome, View


async def set_objective(
    service_id: str, command: SetObjective, ctx: Context, app: HealthApp
) -> Outcome[Json]:
    """Set the objective of a service; the same one again changes nothing.

    Raises:
        HealthNotFound: no such service was ever released, or it is retired.
    """

    def decide(view: View) -> Decision[Json]:
        target = require_release(view.get(TARGETS, service_id))
        if target.is_retired:
            raise HealthNotFound(service_id)
        after = objective.set_objective(view.find(OBJECTIVES, service_id), service_id, command)
        if after is None and target.has_objective:
            return Decision({}, is_repeat=True)
        writes = [] if after is None else [OBJECTIVES.put(after)]
        if not target.has_objective:
            writes.append(TARGETS.put(target.with_objective()))
        return Decision({}, writes=writes, audited=Audited("SetObjective", service_id, command.sli))

    target_id = TARGETS.document_id(service_id)
    return await app.service.work.change(ctx, OBJECTIVES, service_id, decide, also=[target_id])
