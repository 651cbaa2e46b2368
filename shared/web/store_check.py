"""Whether the store of an app can be written, which reads alone do not show."""

import asyncio
import math
from typing import Final

from shared.kernel.errors import Unavailable
from shared.messaging.parked_messages import PLATFORM_TENANT
from shared.messaging.service_parts import ServiceParts
from shared.persistence.store import Delete, Partition, Upsert

VALID_S: Final = 1.0
"""Whoever asks for health needs no token, so more calls cost no more writes."""
_PARTITION: Final = Partition(PLATFORM_TENANT, "-", "-")
_DOCUMENT: Final = "health"


class StoreCheck:
    """The last check of one app's store; callers who meet share it."""

    def __init__(self) -> None:
        self._asking = asyncio.Lock()
        self._due_s = -math.inf
        self._problem = ""

    async def problem(self, service: ServiceParts) -> str:
        """Return why the store or the audit trail is away; empty where both work."""
        async with self._asking:
            if service.clock.monotonic_s() >= self._due_s:
                self._problem = await _problem(service)
                self._due_s = service.clock.monotonic_s() + VALID_S
            return self._problem


async def _problem(service: ServiceParts) -> str:
    """Write a document and delete it in one batch, so that the change feed shows nothing."""
    try:
        await service.store.batch(
            _PARTITION, [Upsert(_DOCUMENT, {"type": _DOCUMENT}), Delete(_DOCUMENT)]
        )
        await service.audit.entries(PLATFORM_TENANT, limit=1)
    except Unavailable as away:
        return away.message
    return ""
