"""A document that has ended is there for its span, in every store, unless it begins again."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import pytest

from shared.contracts.retention import Kept, Retention
from shared.kernel.context import Context
from shared.messaging.audit import AuditTrail
from shared.messaging.relay import Relay
from shared.messaging.unit_of_work import Decision, Json, UnitOfWork, View
from shared.persistence.codec import DocumentCodec
from shared.persistence.store import Partition
from tests.kit.drive import RecordedStarts
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.service import CAUSE, SCOPE, TENANT, Sent, memory_storage
from tests.kit.stores import Opened

HERE: Final = Partition(TENANT, "k1")
RETENTION: Final = Retention(ended=timedelta(days=400), retired=timedelta(days=50))
A_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True)
class Thing:
    name: str
    is_over: bool = False


def things(kept: Kept | None) -> DocumentCodec[Thing]:
    return DocumentCodec(
        Thing, "thing", key="name", kept=kept, has_ended=lambda thing: thing.is_over
    )


@dataclass
class Kit:
    opened: Opened
    codec: DocumentCodec[Thing]
    entropy: SeededEntropy

    def _work(self) -> UnitOfWork:
        store, clock = self.opened.store, self.opened.clock
        audit = AuditTrail(memory_storage(clock).table("audit"), "things")
        relay = Relay("things", store, Sent(), RecordedStarts(), audit, clock)
        return UnitOfWork("things", store, relay, RETENTION)

    async def put(self, thing: Thing) -> None:
        def decide(_view: View) -> Decision[Json]:
            return Decision({}, writes=[self.codec.put(thing)])

        ctx = Context(SCOPE, replace(CAUSE, marker=None), self.opened.clock, self.entropy)
        await self._work().commit(ctx, HERE, [thing.name], decide)

    async def is_there(self, after: timedelta) -> bool:
        self.opened.clock.pass_by(after.total_seconds())
        return await self.opened.store.read(HERE, "one") is not None


def kit(opened: Opened, kept: Kept | None) -> Kit:
    return Kit(opened, things(kept), SeededEntropy(3))


@pytest.mark.parametrize("kept", Kept)
async def test_what_has_ended_is_there_until_its_span_is_over(opened: Opened, kept: Kept) -> None:
    at = kit(opened, kept)
    await at.put(Thing("one"))
    await at.put(Thing("one", is_over=True))

    span = RETENTION.span(kept)
    assert await at.is_there(after=span - A_SECOND)
    assert not await at.is_there(after=A_SECOND)


async def test_what_goes_on_stays(opened: Opened) -> None:
    at = kit(opened, Kept.RESULT)
    await at.put(Thing("one"))

    assert await at.is_there(after=timedelta(days=10_000))


async def test_what_ends_stays_where_nobody_says_for_how_long(opened: Opened) -> None:
    at = kit(opened, None)
    await at.put(Thing("one", is_over=True))

    assert await at.is_there(after=timedelta(days=10_000))


async def test_what_begins_again_stays(opened: Opened) -> None:
    at = kit(opened, Kept.RETIRED)
    await at.put(Thing("one", is_over=True))
    assert await at.is_there(after=timedelta(days=49))

    await at.put(Thing("one"))

    assert await at.is_there(after=timedelta(days=10_000))


async def test_what_is_gone_begins_anew(opened: Opened) -> None:
    at = kit(opened, Kept.RETIRED)
    await at.put(Thing("one", is_over=True))
    assert not await at.is_there(after=timedelta(days=50))

    await at.put(Thing("one"))

    assert await at.is_there(after=timedelta(days=10_000))
