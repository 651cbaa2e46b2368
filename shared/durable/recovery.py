"""Starts operations again whose orchestration is silent: it was lost, or ended without a word.

The stored operation is started; recorded pieces of work are not done again (`activity.py`). An
instance that still runs is left alone by the hub, so a start too many costs one call.
"""

import logging
from dataclasses import dataclass, field
from typing import Final

from shared.durable.operations import OPERATIONS, WAITING_TIMEOUT
from shared.kernel.clock import Clock, isoformat
from shared.kernel.operation import HEARTBEAT_TIMEOUT
from shared.messaging.orchestrations import Orchestrations
from shared.messaging.sweep import Sweep, SweepLog
from shared.persistence.store import BatchRefused, Document, Replace, Store

SWEEP: Final = "recover_operations"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recovery:
    """Over *store*, one service's container, and its task hub."""

    store: Store
    orchestrations: Orchestrations
    clock: Clock
    sweeps: SweepLog = field(default_factory=SweepLog)

    async def sweep(self) -> int:
        """Start the operations that are due across tenants; return how many were due."""
        sweep = Sweep(SWEEP, OPERATIONS.type_name, self.store, self.clock, self.sweeps)
        return await sweep.run(self._start)

    async def _start(self, document: Document) -> None:
        operation = OPERATIONS.decode(document.body)
        timeout = WAITING_TIMEOUT if operation.wait_name else HEARTBEAT_TIMEOUT
        later = {**document.body, "dueAt": isoformat(self.clock.now() + timeout)}
        try:
            # First: another instance of this timer that meets the same operation is refused here.
            await self.store.batch(document.partition, [Replace(document.id, later, document.etag)])
        except BatchRefused as met:
            _log.debug("operation %s reported just now: %s", operation.operation_id, met)
            return
        await self.orchestrations.start(
            operation.orchestration, operation.operation_id, operation.input
        )
        _log.info("started %s again", document.id)
