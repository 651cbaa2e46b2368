"""RuntimeEnvironmentDrained: deployments has removed every workload of an environment."""

from function_apps.environments.model.environment import evolve
from function_apps.environments.model.lifecycle import Drained, State
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.repository import ENVIRONMENTS
from shared.contracts.deployments import RuntimeEnvironmentDrained
from shared.kernel.context import Context
from shared.messaging.outbox import Audited, Raise
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View


async def record_drained(
    event: RuntimeEnvironmentDrained, ctx: Context, app: EnvironmentsApp
) -> Outcome[Json]:
    """Record that no workload is left, and wake the decommissioning that waits for it.

    A drain of an earlier generation changes nothing, and neither does one that left workloads.
    """
    environment_id = event.environment_id

    def decide(view: View) -> Decision[Json]:
        known = view.find(ENVIRONMENTS, environment_id)
        if known is None or known.status is not State.DECOMMISSIONING:
            return NOTHING
        if known.drained or event.remaining or event.generation != known.generation:
            return NOTHING
        drained = evolve(known, Drained(), ctx.now())
        return Decision(
            {},
            writes=[ENVIRONMENTS.put(drained)],
            outbox=[Raise(known.operation_id, drained_event(known.operation_id))],
            audited=Audited("RecordDrained", environment_id),
        )

    return await app.service.work.change(ctx, ENVIRONMENTS, environment_id, decide)


def drained_event(operation_id: str) -> str:
    """Return the external event that a decommissioning waits for, unique to its operation."""
    return f"drained-{operation_id}"
