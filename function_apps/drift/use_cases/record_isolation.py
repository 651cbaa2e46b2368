"""RuntimeTenantBound and TenantIsolationProofCompleted: what is to isolate the tenant."""

from collections.abc import Callable
from dataclasses import replace

from function_apps.drift.model.environment_content import (
    EnvironmentContent,
    after_binding,
    after_proof,
)
from function_apps.drift.model.environment_scan import EnvironmentScan
from function_apps.drift.ports import DriftApp
from function_apps.drift.repository import SCANS
from shared.contracts.tenants import (
    RuntimeTenantBound,
    TenantIsolationProofCompleted,
    require_own_binding,
)
from shared.kernel.clock import isoformat
from shared.kernel.context import Context
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View

NextContent = Callable[[EnvironmentContent], EnvironmentContent | None]


async def record_binding(event: RuntimeTenantBound, ctx: Context, app: DriftApp) -> Outcome[Json]:
    """Compare the tenant's boundaries with its binding from now on. Raises Invalid."""
    require_own_binding(event, ctx.tenant)
    return await _change(event.environment_id, lambda known: after_binding(known, event), ctx, app)


async def record_proof(
    event: TenantIsolationProofCompleted, ctx: Context, app: DriftApp
) -> Outcome[Json]:
    """Scan the environment at once: what opened a boundary, or closed it again, is to be seen.

    Raises Invalid.
    """
    require_own_binding(event, ctx.tenant)
    return await _change(event.environment_id, lambda known: after_proof(known, event), ctx, app)


async def _change(
    environment_id: str, change: NextContent, ctx: Context, app: DriftApp
) -> Outcome[Json]:
    def decide(view: View) -> Decision[Json]:
        at = isoformat(ctx.now())
        known = view.find(SCANS, environment_id) or EnvironmentScan(environment_id, due_at=at)
        content = change(known.content)
        if content is None:
            return NOTHING
        return Decision({}, writes=[SCANS.put(replace(known, content=content, due_at=at))])

    return await app.service.work.change(ctx.without_marker(), SCANS, environment_id, decide)
