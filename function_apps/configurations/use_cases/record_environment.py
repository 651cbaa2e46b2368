"""RuntimeEnvironmentProvisioned and Decommissioned: which environments layers may be for."""

from function_apps.configurations.model.environment import (
    EnvironmentProjection,
    on_environment_event,
)
from function_apps.configurations.ports import ConfigurationsApp
from function_apps.configurations.repository import ENVIRONMENTS
from shared.contracts.environments import EnvironmentFacts, RuntimeEnvironmentDecommissioned
from shared.kernel.context import Context
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View


async def record_environment(
    event: EnvironmentFacts, ctx: Context, app: ConfigurationsApp
) -> Outcome[Json]:
    """Open an environment to its layers, or close it; what was published for it stays."""
    is_open = not isinstance(event, RuntimeEnvironmentDecommissioned)
    heard = EnvironmentProjection(event.environment_id, event.revision, is_open)

    def decide(view: View) -> Decision[Json]:
        after = on_environment_event(view.find(ENVIRONMENTS, event.environment_id), heard)
        return NOTHING if after is None else Decision({}, writes=[ENVIRONMENTS.put(after)])

    return await app.service.work.change(
        ctx.without_marker(), ENVIRONMENTS, event.environment_id, decide
    )
