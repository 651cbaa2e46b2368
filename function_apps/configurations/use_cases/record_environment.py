"""RuntimeEnvironmentProvisioned and Decommissioned: which environments layers may be for."""

from function_apps.configurations.model.environment import (
    EnvironmentProjection,
    on_environment_event,
)
from function_apps.configurations.ports import ConfigurationsApp
from function_apps.configurations.repository import ENVIRONMENTS
from function_apps.configurations.use_cases.close_environment import close_environment
from shared.contracts.environments import EnvironmentFacts, RuntimeEnvironmentDecommissioned
from shared.kernel.context import Context
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View


async def record_environment(
    event: EnvironmentFacts, ctx: Context, app: ConfigurationsApp
) -> Outcome[Json]:
    """Open an environment to its layers; or close it, with them."""
    is_open = not isinstance(event, RuntimeEnvironmentDecommissioned)
    heard = EnvironmentProjection(event.environment_id, event.revision, is_open)

    def decide(view: View) -> Decision[Json]:
        after = on_environment_event(view.find(ENVIRONMENTS, event.environment_id), heard)
        return NOTHING if after is None else Decision({}, writes=[ENVIRONMENTS.put(after)])

    outcome = await app.service.work.change(
        ctx.without_marker(), ENVIRONMENTS, event.environment_id, decide
    )
    if not is_open:
        # Also at a repeat: the first time may have ended in between.
        await close_environment(event.environment_id, ctx.said_at(), ctx, app)
    return outcome
