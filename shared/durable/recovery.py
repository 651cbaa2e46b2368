"""Starts operations again whose orchestration has not been heard of: lost, or ended without a word.

What is started is the operation as it is stored; pieces of work that were recorded are not done
again (`progress.py`). An instance that still runs is left alone by the hub, so a start too many
costs one call.
"""

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import shared.kernel.operation as operations
from shared.durable.port import Orchestrations
from shared.kernel.clock import Clock, isoformat
from shared.kernel.errors import Unavailable
from shared.kernel.operation import HEARTBEAT_TIMEOUT, Operation
from shared.kernel.scope import PlatformScope
from shared.persistence.store import (
    BatchRefused,
    Comparison,
    Document,
    Query,
    Replace,
    Store,
    Where,
)

WAITING_TIMEOUT: Final = timedelta(minutes=10)
"""An operation may wait for a day without a heartbeat; it is looked at 144 times, not 720."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recovery:
    """Over *store*, one service's container, and its task hub."""

    store: Store
    orchestrations: Orchestrations
    clock: Clock

    async def sweep(self, scope: PlatformScope) -> int:
        """Start up to 100 operations that are due across tenants; return how many were found."""
        now = self.clock.now()
        due = await self.store.query_due(
            Query(
                where=[
                    Where("type", Comparison.EQ, "operation"),
                    Where("dueAt", Comparison.LE, isoformat(now)),
                ],
                order_by="dueAt",
            )
        )
        for document in due.documents:
            await self._start(document, scope)
        return len(due.documents)

    async def _start(self, document: Document, scope: PlatformScope) -> None:
        operation = operations.from_body(document.body)
        try:
            # First: another instance of this timer that meets the same operation is refused here.
            await self.store.batch(
                document.partition,
                [Replace(document.id, self._later(document, operation), document.etag)],
            )
            await self.orchestrations.start(
                operation.orchestration, operation.operation_id, operation.input
            )
        except BatchRefused as met:
            _log.debug("operation %s has just been heard of: %s", operation.operation_id, met)
        except Unavailable as outage:
            _log.warning("%s: %s is not started: %s", scope.caller, document.id, outage.message)
        else:
            _log.info("%s: started %s where it runs no more", scope.caller, document.id)

    def _later(self, document: Document, operation: Operation) -> dict[str, Any]:
        patience = WAITING_TIMEOUT if operation.wait_name else HEARTBEAT_TIMEOUT
        return {**document.body, "dueAt": isoformat(self.clock.now() + patience)}
