"""An event about many units becomes one command per unit, which its consumer sends to itself.

So each unit is applied in its own partition, retried and parked by itself. The inbox row of the
event stands beside the commands; each of them has an event id that follows from the event's and
the unit's, so an event that comes twice makes the same commands, and they are dropped as repeats.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel

from shared.kernel.ids import EnvironmentKey
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause
from shared.messaging.compose import envelope_of
from shared.messaging.outbox import Send
from shared.messaging.unit_of_work import Decision, Outcome, Put, View
from shared.persistence.store import Partition
from shared.service import Service

PAGE_MAX: Final = 25


@dataclass(frozen=True)
class Beside:
    """Documents that are read with the inbox row, and what *writes* makes of them."""

    reads: Sequence[str]
    writes: Callable[[View], Sequence[Put]]


NOTHING_BESIDE: Final = Beside((), lambda _view: ())
_NAMESPACE: Final = uuid.UUID("3d0f6a54-2f5c-5a64-9d8e-6f1b7a0c9e21")


async def split(
    units: Sequence[tuple[str, BaseModel]],
    *,
    key: EnvironmentKey,
    project: str | None,
    scope: Scope,
    cause: Cause,
    service: Service,
    beside: Beside = NOTHING_BESIDE,
) -> Outcome:
    """Send *service* itself one command for each of at most 25 *units* (module id and payload).

    *beside* is what the same batch changes in the environment's own partition.
    """
    assert len(units) <= PAGE_MAX, len(units)
    rows = []
    for module, payload in units:
        envelope = envelope_of(
            payload,
            tenant=scope.tenant,
            cause=cause,
            clock=service.clock,
            entropy=service.entropy,
            project=project,
            module=module,
        )
        stable = uuid.uuid5(_NAMESPACE, f"{cause.causation_id} {service.name} {module}")
        same = envelope.model_copy(update={"event_id": f"evt-{stable}"})
        rows.append(Send(service.name, same))

    def decide(view: View) -> Decision:
        return Decision(writes=beside.writes(view), outbox=rows)

    return await service.work.write(
        scope, Partition(scope.tenant, key), beside.reads, decide, cause
    )
