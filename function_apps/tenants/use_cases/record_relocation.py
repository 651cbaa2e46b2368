"""RuntimeDeployment…: a module of a moved tenant was started again, or is as it was."""

from function_apps.tenants.model.move import on_relocated, why_taken_back
from function_apps.tenants.ports import TenantsApp
from function_apps.tenants.repository import BINDINGS, changed
from shared.contracts.deployments import DeploymentEnded, DeploymentStatus
from shared.contracts.values import Reason
from shared.kernel.context import Context
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View


async def record_relocation(
    event: DeploymentEnded, ctx: Context, app: TenantsApp
) -> Outcome[Json] | None:
    """Record the end of a relocation; one that failed takes the move back.

    Other deployments, and relocations of a move that has ended, change nothing.
    """
    relocation = event.relocation
    if relocation is None:
        return None
    binding_id, failure = relocation.tenant_binding_id, _failure(event)

    def decide(view: View) -> Decision[Json]:
        known = view.find(BINDINGS, binding_id)
        if known is None:
            return NOTHING
        after = on_relocated(
            known, relocation.module_id, relocation.binding_revision, failure, ctx.now()
        )
        if after is known:
            return NOTHING
        return changed(after, "RecordRelocation", why_taken_back(known, after))

    return await app.service.work.change(ctx.without_marker(), BINDINGS, binding_id, decide)


def _failure(event: DeploymentEnded) -> Reason | None:
    """Return why the module was not started again; None where it has proved that it was."""
    if event.status is DeploymentStatus.COMPLETED:
        return None
    if event.reason is None:
        return Reason(code=event.status, message=f"{event.deployment_id} is {event.status}")
    return Reason(code=event.reason.code, message=event.reason.message)
