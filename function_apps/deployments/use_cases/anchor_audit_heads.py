"""The timer that anchors the heads of every tenant's audit chains, of all services.

One service does it for all: eight of nine identities that write chains cannot write their heads.
A chain that is not whole keeps the head that it had, and is counted in this app's health as left
undone; the other chains of its tenant, and other tenants, are anchored all the same.
"""

import logging
from datetime import datetime
from typing import Final

from function_apps.deployments.ports import DeploymentsApp
from shared.contracts.values import TenantId
from shared.kernel.concurrency import Failure, bounded_map
from shared.kernel.errors import Unavailable
from shared.messaging.audit import GENESIS, Head
from shared.messaging.audit_heads import sealed_until
from shared.messaging.sweep import LATE
from shared.persistence.store import Partition

ANCHOR: Final = "anchor_audit_heads"
TENANTS_AT_ONCE: Final = 8
_log = logging.getLogger(__name__)


async def anchor_audit_heads(app: DeploymentsApp) -> None:
    """Anchor the heads of now of all tenants, each by itself."""
    try:
        tenants = await app.head_anchors.tenants()
    except Unavailable as unknown:
        _log.warning("no audit head is anchored: %s", unknown)
        return
    until = app.service.clock.now() + app.rules.anchor_every + LATE

    async def anchor(tenant: TenantId) -> None:
        key = (Partition(tenant, "-"), "heads")
        await app.service.sweeps.attempt(ANCHOR, key, _anchor(tenant, until, app), until)

    await bounded_map(tenants, anchor, at_once=TENANTS_AT_ONCE)


async def _anchor(tenant: TenantId, until: datetime, app: DeploymentsApp) -> None:
    """Anchor the heads of *tenant*, as far as its chains lead there from those before."""
    now = app.service.clock.now()
    before = await app.head_anchors.newest(tenant, now)
    heads = dict(before.heads)
    for service, trail in app.head_anchors.trails().items():
        head = before.heads.get(service, GENESIS)
        key = (Partition(tenant, "-"), service)
        found: Head | Failure = await app.service.sweeps.attempt(
            ANCHOR, key, sealed_until(trail, tenant, head), until
        )
        if isinstance(found, Head) and found != GENESIS:
            heads[service] = found
    after = await app.head_anchors.anchor(before, heads, now)
    await app.head_anchors.delete_old(after, now)
