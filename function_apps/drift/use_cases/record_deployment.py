"""The events of deployments: the platform's own work, and what it leaves of each service."""

from collections.abc import Sequence

from function_apps.drift.model.environment_scan import on_deployment_event
from function_apps.drift.ports import DriftApp
from function_apps.drift.repository import SCANS
from shared.contracts.deployments import DeploymentEnded, DeploymentFacts
from shared.contracts.drift import CompareRelease
from shared.kernel.context import Context
from shared.messaging.fan_out import fan_out_releases
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View
from shared.persistence.codec import Put


async def record_step(event: DeploymentFacts, ctx: Context, app: DriftApp) -> Outcome[Json]:
    """Record that a deployment is changing its modules, which is no drift, or that it has ended."""

    def decide(view: View) -> Decision[Json]:
        scan = on_deployment_event(view.find(SCANS, event.environment_id), event, ctx.now())
        return NOTHING if scan is None else Decision({}, writes=[SCANS.put(scan)])

    return await app.service.work.change(ctx.without_marker(), SCANS, event.environment_id, decide)


async def record_deployment(event: DeploymentEnded, ctx: Context, app: DriftApp) -> Outcome[Json]:
    """Record that a deployment has ended, and split what it left into one command per service."""

    def end(view: View) -> Sequence[Put]:
        scan = on_deployment_event(view.find(SCANS, event.environment_id), event, ctx.now())
        return () if scan is None else [SCANS.put(scan)]

    reads = [SCANS.document_id(event.environment_id)]
    return await fan_out_releases(
        event, CompareRelease, ctx, app.service.work, reads=reads, writes=end
    )
