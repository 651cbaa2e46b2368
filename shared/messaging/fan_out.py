"""An event about many units becomes one command per unit, which its consumer sends to itself.

Each unit is applied in its own partition, retried and parked by itself. The inbox row of the event
stands beside the commands. The event id of each command follows from the event's id and the unit: a
repeated event makes the same commands, and they are dropped as repeats.
"""

import uuid
from collections.abc import Callable, Sequence
from typing import Final

from pydantic import BaseModel

from shared.kernel.context import Context
from shared.messaging.outbox import Send
from shared.messaging.unit_of_work import Decision, Json, Outcome, Put, UnitOfWork, View
from shared.persistence.store import Partition

PAGE_MAX: Final = 25
_NAMESPACE: Final = uuid.UUID("3d0f6a54-2f5c-5a64-9d8e-6f1b7a0c9e21")


def no_writes(_view: View) -> Sequence[Put]:
    """Write nothing beside the commands."""
    return ()


async def fan_out(
    units: Sequence[tuple[str, BaseModel]],
    partition: Partition,
    ctx: Context,
    work: UnitOfWork,
    *,
    project: str | None,
    reads: Sequence[str] = (),
    writes: Callable[[View], Sequence[Put]] = no_writes,
) -> Outcome[Json]:
    """Send the service of *work* one command for each of at most 25 *units* (module, payload).

    The same batch makes *writes* from the documents *reads* of *partition*.
    """
    assert len(units) <= PAGE_MAX, len(units)
    commands = [
        Send(
            work.service,
            payload,
            project=project,
            module=module,
            event_id=_event_id(ctx, work.service, module),
        )
        for module, payload in units
    ]

    def decide(view: View) -> Decision[Json]:
        return Decision({}, writes=writes(view), outbox=commands)

    return await work.commit(ctx, partition, reads, decide)


def _event_id(ctx: Context, service: str, module: str) -> str:
    return f"evt-{uuid.uuid5(_NAMESPACE, f'{ctx.cause.causation_id} {service} {module}')}"
