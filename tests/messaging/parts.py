"""The write path over memory, with parts that fail on purpose and count what they are asked."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from shared.kernel.context import Cause, Context, Scope
from shared.kernel.errors import Unavailable
from shared.messaging.audit import AuditTrail
from shared.messaging.broker import OutgoingMessage
from shared.messaging.outbox import OUTBOX_TYPE
from shared.messaging.relay import Relay
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence.store import AnswerLost, BatchOperation, Etag, Partition, Query, Store
from tests.kit.drive import RecordedStarts
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.service import CAUSE, SCOPE, Sent, memory_storage
from tests.kit.virtual_time import LoopClock

PARTITION = Partition("acme", "abcdefghijkl")


@dataclass
class FaultyStore:
    """A store whose next batches end as *faults* say, in turn; None lets one through."""

    inner: Store
    faults: list[str | None] = field(default_factory=list)
    intruders: list[BatchOperation] = field(default_factory=list)
    """Each is written by somebody else right before the next batch."""
    batches: list[Sequence[BatchOperation]] = field(default_factory=list)
    reads: int = 0
    read_s: float = 0.0
    """How long a read takes, so that others can come between it and the batch."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def read_many(self, partition: Partition, ids: Sequence[str]) -> Any:
        self.reads += 1
        found = await self.inner.read_many(partition, ids)
        await asyncio.sleep(self.read_s)  # noqa: TID251  the virtual loop's own time
        return found

    async def batch(
        self, partition: Partition, operations: Sequence[BatchOperation]
    ) -> Sequence[Etag | None]:
        self.batches.append(operations)
        fault = self.faults.pop(0) if self.faults else None
        if self.intruders:
            await self.inner.batch(partition, [self.intruders.pop(0)])
        if fault == "lost-before":
            raise AnswerLost("the connection broke")
        if fault == "away":
            raise Unavailable("the store is away", retry_after_s=3)
        etags = await self.inner.batch(partition, operations)
        if fault == "lost-after":
            raise AnswerLost("the connection broke")
        return etags


@dataclass
class FaultySender:
    """A broker that fails with *fault* while there is one; keeps what it took, by entity."""

    fault: Exception | None = None
    sent: Sent = field(default_factory=Sent)

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        if self.fault is not None:
            raise self.fault
        await self.sent.send(entity, messages)

    @property
    def ids(self) -> list[str]:
        return [message.message_id for _, message in self.sent.messages]


@dataclass
class RecordingHub(RecordedStarts):
    """Remembers starts and raised events in their order, or fails with *fault*."""

    fault: Exception | None = None

    def __post_init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, str]] = []

    async def start(
        self, orchestration: str, instance_id: str, argument: Mapping[str, Any]
    ) -> None:
        if self.fault is not None:
            raise self.fault
        self.told.append(("start", instance_id))

    async def raise_event(self, instance_id: str, name: str) -> None:
        if self.fault is not None:
            raise self.fault
        self.told.append((name, instance_id))


AWAY: Final = Unavailable("it is away")


class Parts:
    """Everything around one container; needs a running loop for its time."""

    def __init__(self) -> None:
        self.clock, self.entropy = LoopClock(), SeededEntropy(3)
        self.storage = memory_storage(self.clock)
        self.store = FaultyStore(self.storage.store("runtime", "things"))
        self.sender, self.hub = FaultySender(), RecordingHub()
        self.audit = AuditTrail(self.storage.table("audit"), "things")
        store: Any = self.store
        self.relay = Relay("things", store, self.sender, self.hub, self.audit, self.clock)
        self.work = UnitOfWork("things", store, self.relay)

    def ctx(self, cause: Cause = CAUSE, scope: Scope = SCOPE) -> Context:
        return Context(scope, cause, self.clock, self.entropy)

    async def relay_left_behind(self) -> None:
        """Pass the time until the sweeper takes what an invocation left, and run it."""
        await self.clock.sleep(20)
        await self.relay.sweep()

    async def outbox(self) -> list[str]:
        page = await self.store.inner.query(PARTITION, Query())
        return [each.id for each in page.documents if each.body["type"] == OUTBOX_TYPE]

    async def kinds(self) -> list[str]:
        page = await self.store.inner.query(PARTITION, Query())
        return sorted(each.id.split("/")[0] for each in page.documents)
