"""RuntimeEnvironmentDrained: deployments has removed every workload of a tenant."""

from dataclasses import replace

from function_apps.environments.model.environment import evolve
from function_apps.environments.model.lifecycle import Drained, State
from function_apps.environments.model.tenant_isolation import TenantIsolation
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.repository import ENVIRONMENTS, ISOLATIONS
from shared.contracts.deployments import RuntimeEnvironmentDrained
from shared.kernel.context import Context
from shared.kernel.ids import parse_id, tenant_binding_id
from shared.messaging.outbox import Audited, Raise
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View


async def record_drained(
    event: RuntimeEnvironmentDrained, ctx: Context, app: EnvironmentsApp
) -> Outcome[Json]:
    """Record that no workload is left, and wake who waits for it.

    That is the decommissioning of the environment, or the removal of a tenant from another one's.
    A drain of an earlier generation changes nothing, and neither does one that left workloads. That
    of a tenant may be heard before the tenant is to be removed: it is remembered.
    """
    environment_id = event.environment_id
    binding_id = tenant_binding_id(parse_id(environment_id, "env").environment, ctx.tenant)

    def decide(view: View) -> Decision[Json]:
        known = view.find(ENVIRONMENTS, environment_id)
        isolation = view.find(ISOLATIONS, binding_id)
        if known is None and isolation is not None:
            return _of_tenant(isolation, event)
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

    also = [ISOLATIONS.document_id(binding_id)]
    return await app.service.work.change(ctx, ENVIRONMENTS, environment_id, decide, also=also)


def _of_tenant(isolation: TenantIsolation, event: RuntimeEnvironmentDrained) -> Decision[Json]:
    """Return the batch that records the drain of a tenant, and wakes who removes it."""
    is_of_another = event.generation != isolation.generation
    if isolation.drained or event.remaining or is_of_another:
        return NOTHING
    wakes = Raise(isolation.operation_id, drained_event(isolation.operation_id))
    return Decision(
        {},
        writes=[ISOLATIONS.put(replace(isolation, drained=True))],
        outbox=[wakes] if isolation.is_leaving else [],
        audited=Audited("RecordDrained", isolation.binding_id),
    )


def drained_event(operation_id: str) -> str:
    """Return the external event that a decommissioning waits for, unique to its operation."""
    return f"drained-{operation_id}"
