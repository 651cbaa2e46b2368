"""The timer that removes the heads of secrets of environments which ended long ago."""

from typing import Final

from function_apps.secret_bindings.model.environment import EnvironmentProjection
from function_apps.secret_bindings.ports import SecretBindingsApp
from function_apps.secret_bindings.repository import ENVIRONMENTS, heads_of
from function_apps.secret_bindings.use_cases.revocation import forget_consumers
from shared.contracts.retention import Kept
from shared.kernel.context import timer_context
from shared.kernel.ids import TenantId
from shared.messaging.removal import attempt_every, remove
from shared.persistence.store import Document

REMOVE: Final = "remove_ended"


async def remove_ended_secrets(app: SecretBindingsApp) -> None:
    """Remove the heads of secrets of environments that have ended, unchanged for a year.

    One that fails stops no other, and is looked at again by the next run.
    """

    async def end(document: Document, known: EnvironmentProjection) -> None:
        if not known.is_open:
            await _end(document, known, app)

    await attempt_every(ENVIRONMENTS, app.service, end, timer=REMOVE)


async def _end(document: Document, known: EnvironmentProjection, app: SecretBindingsApp) -> None:
    tenant, service = TenantId(document.partition.tenant), app.service
    ctx = timer_context(f"secret_bindings_{REMOVE}", tenant, service.clock, service.entropy)
    await forget_consumers(known.environment_id, ctx, app)
    before_s = (ctx.now() - service.work.retention.span(Kept.ENDED)).timestamp()
    for read, head in await heads_of(known.environment_id, ctx, app):
        if head.is_over and read.changed_at_s <= before_s:
            await remove([read], service)
