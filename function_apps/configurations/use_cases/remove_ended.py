"""The timer that removes the layers of environments which ended long ago."""

from datetime import UTC, datetime
from typing import Final

from function_apps.configurations import repository
from function_apps.configurations.model.configuration import Configuration
from function_apps.configurations.model.environment import EnvironmentProjection
from function_apps.configurations.ports import ConfigurationsApp
from function_apps.configurations.repository import ENVIRONMENTS
from function_apps.configurations.use_cases.close_environment import close_environment
from shared.contracts.retention import Kept
from shared.kernel.clock import isoformat
from shared.kernel.context import timer_context
from shared.kernel.ids import TenantId
from shared.messaging.removal import attempt_every, remove
from shared.persistence.store import BATCH_MAX_OPERATIONS, Document

REMOVE: Final = "remove_ended"
_WITH_ITS_HEAD: Final = BATCH_MAX_OPERATIONS - 1
"""Versions, with room for their head."""


async def remove_ended_layers(app: ConfigurationsApp) -> None:
    """Close what environments that have ended still have, and remove what was closed long ago.

    One that fails stops no other, and is looked at again by the next run.
    """

    async def end(document: Document, known: EnvironmentProjection) -> None:
        if not known.is_open:
            await _end(document, known, app)

    await attempt_every(ENVIRONMENTS, app.service, end, timer=REMOVE)


async def _end(document: Document, known: EnvironmentProjection, app: ConfigurationsApp) -> None:
    tenant, service = TenantId(document.partition.tenant), app.service
    ctx = timer_context(f"configurations_{REMOVE}", tenant, service.clock, service.entropy)
    # Not until now: a release of the next one may have ended before that is heard of.
    closed_at = datetime.fromtimestamp(document.changed_at_s, UTC)
    await close_environment(known.environment_id, closed_at, ctx, app)
    before = isoformat(ctx.now() - service.work.retention.span(Kept.ENDED))
    for read, head in await repository.heads_of(known.environment_id, ctx, app):
        if head.updated_at <= before:
            await _remove(read, head, app)


async def _remove(document: Document, head: Configuration, app: ConfigurationsApp) -> None:
    """Remove a layer, its head last: without that nobody would find its versions.

    One that was published meanwhile stays, with what it has in force.
    """
    rows = await repository.versions_of(document.partition, head.configuration_id, app)
    last = rows[-_WITH_ITS_HEAD:]
    for start in range(0, len(rows) - len(last), BATCH_MAX_OPERATIONS):
        end = min(start + BATCH_MAX_OPERATIONS, len(rows) - len(last))
        await remove(rows[start:end], app.service)
    await remove([document, *last], app.service)
