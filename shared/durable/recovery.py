"""Starts operations again whose orchestration is silent: it was lost, or ended without a word.

The stored operation is started; recorded activities are not done again (`activity.py`). An
instance that still runs is left alone by the hub, so a start too many costs one call. One that
could not even be ended is started ever more rarely, and stands in the app's health.
"""

import logging
from collections.abc import Awaitable
from dataclasses import field
from typing import Final

from shared.durable.operations import OPERATIONS, WAITING_TIMEOUT, OperationInput
from shared.kernel.clock import Clock, isoformat
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Unavailable
from shared.kernel.operation import HEARTBEAT_TIMEOUT, OperationAlreadyEnded
from shared.messaging.orchestrations import Orchestrations
from shared.messaging.service_parts import ServiceParts
from shared.messaging.sweep import Sweep, SweepLog
from shared.persistence.store import BatchRefused, Document, Replace, Store

SWEEP: Final = "recover_operations"
ENDING: Final = "end_operations"
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
        # Without its input an instance could not even say that it failed.
        OperationInput.read(operation.input)
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


async def end_or_postpone(
    ending: Awaitable[object], document: Document, service: ServiceParts
) -> None:
    """Await *ending*, which ends the operation in *document*; postpone that where it fails.

    The next run of its orchestration would come to the same failure. An outage is not postponed:
    it is tried again by the orchestration, and then by recovery.

    Raises:
        Exception: as *ending*.
    """
    sweep = Sweep(ENDING, OPERATIONS.type_name, service.store, service.clock, service.sweeps)
    key = (document.partition, document.id)
    try:
        await ending
    except (OperationAlreadyEnded, Unavailable):
        raise
    except Exception:
        # Until the next try has had its time, or health would be well in between.
        service.sweeps.note(ENDING, key, await sweep.postpone(document) + HEARTBEAT_TIMEOUT)
        raise
    service.sweeps.forget(ENDING, key)
