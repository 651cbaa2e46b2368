"""The timer that reports what runs and is newer than the records; it changes nothing.

So it is after an older copy of the store was put back, or where somebody else deploys to a surface.
An environment that no record names is not looked at.
"""

import logging
from datetime import timedelta
from typing import Final

from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.unknown_releases import unknown_revisions
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import TARGETS
from shared.contracts.values import TenantId
from shared.kernel.concurrency import isolate
from shared.kernel.ids import ModuleId
from shared.kernel.observation import Present
from shared.messaging.removal import every_document
from shared.messaging.sweep import LATE
from shared.persistence.store import partition_of
from shared.surfaces.observed_state import LiveComponent

REPORT: Final = "report_unknown_releases"
EVERY: Final = timedelta(minutes=5)
_log = logging.getLogger(__name__)


async def report_unknown_releases(app: DeploymentsApp) -> None:
    """Log each environment in which a release runs that none recorded explains; health shows it."""
    async for document, target in every_document(TARGETS, app.service):
        tenant = TenantId(document.partition.tenant)
        await isolate(_report(tenant, target, app), f"{REPORT}: {target.environment_id}")


async def _report(tenant: TenantId, target: DeploymentTarget, app: DeploymentsApp) -> None:
    live: dict[ModuleId, LiveComponent] = {}
    for surface in app.surfaces.values():
        reading = await surface.inventory(target.environment_id)
        if isinstance(reading, Present):
            # Several tenants may run modules of one name in an environment.
            live |= {
                each.component.module: each
                for each in reading.value.components
                if each.component.tenant == tenant
            }
    key = (partition_of(tenant, target.environment_id), TARGETS.document_id(target.environment_id))
    unknown = unknown_revisions(target, live)
    if not unknown:
        app.service.sweeps.forget(REPORT, key)
        return
    app.service.sweeps.note(REPORT, key, app.service.clock.now() + EVERY + LATE)
    for module, revision in unknown.items():
        _log.warning(
            "%s: %s runs revision %d, which no release recorded here explains",
            target.environment_id, module, revision,
        )  # fmt: skip
