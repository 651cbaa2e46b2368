"""What each command and event needs before it, and what it is sent with: one row of a table each.

A row is made in virtual time over memory; what it leaves in the stores is then put into the
account that the app reaches by its SDKs.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel

from shared.contracts.health import ServiceHealth
from shared.contracts.storage import ARTIFACTS, DATABASE
from shared.kernel.errors import Conflict
from shared.messaging.envelope import Envelope
from shared.messaging.outbox import OUTBOX_TYPE
from shared.messaging.parked_messages import park
from shared.persistence.store import Document
from tests.kit.memory_cluster import MemoryCluster
from tests.kit.memory_engine import MemoryCloud
from tests.kit.memory_vaults import MemoryVaults
from tests.kit.sending import envelope_of
from tests.kit.service import Bench
from tests.kit.stores import all_changes

EVENT: Final = "evt-00000000-0000-4000-8000-00000000beef"


@dataclass(frozen=True)
class Call:
    """What a route is asked: the ids in its path, a body as JSON or bytes, and its query."""

    path: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return b"" if self.body is None else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Prepared:
    """The stores before the input, and the input: a call, or the payload of a message."""

    sent: Call | BaseModel
    documents: Sequence[Document]
    now: datetime
    blobs: Mapping[str, bytes] = field(default_factory=dict)
    world: MemoryCluster | None = None
    cloud: MemoryCloud | None = None
    vaults: MemoryVaults | None = None
    verdicts: Sequence[ServiceHealth] = ()
    given_up: BaseModel | None = None
    """The payload of a dead letter, which the call replays."""


Prepare = Callable[[], Awaitable[Prepared]]
Row = tuple[str, str]
"""A service, and a method with its template or the type of a message."""
INPUTS: Final[dict[Row, Prepare]] = {}


def comes_to(service: str, name: str) -> Callable[[Prepare], Prepare]:
    """Put a function into the table as what prepares *name* at *service*."""

    def put(prepare: Prepare) -> Prepare:
        INPUTS[service, name] = prepare
        return prepare

    return put


async def left_by(bench: Bench, sent: Call | BaseModel, **more: Any) -> Prepared:
    """Return what is in the stores of *bench* now, before *sent* comes."""
    service = bench.service
    documents = await all_changes(bench.storage.store(DATABASE, service.name))
    archive = bench.storage.blobs(ARTIFACTS)
    blobs = {
        each.name: b"".join([chunk async for chunk in await archive.open(each.name)])
        for each in await archive.list_stored("")
    }
    kept = [each for each in documents if each.body.get("type") != OUTBOX_TYPE]
    return Prepared(sent, kept, service.clock.now(), blobs, **more)


async def parked(bench: Bench, payload: BaseModel, **more: Any) -> Prepared:
    """Return the stores with *payload* parked, and the call that replays it."""
    envelope = in_envelope(payload)
    body = {
        "envelope": envelope.model_dump(mode="json", by_alias=True),
        "eventId": EVENT,
        "eventType": envelope.event_type,
        "sender": "service:test",
    }
    await park(EVENT, body, Conflict("not now"), bench.ctx(), bench.service.work)
    return await left_by(bench, Call({"eventId": EVENT}), **more)


def in_envelope(payload: BaseModel) -> Envelope:
    return envelope_of(payload, EVENT)
