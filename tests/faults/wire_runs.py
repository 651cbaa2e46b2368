"""One input with one fault at one request, and whether the end is that of the run without it."""

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

import azure.functions as func
from pydantic import BaseModel

from shared.contracts.commands import COMMANDS
from shared.kernel.errors import Unavailable
from shared.messaging.broker import OutgoingMessage
from shared.messaging.outbox import OUTBOX_TYPE
from shared.persistence.cosmos_form import raw_of
from shared.persistence.store import Document
from shared.web.routes import Route
from tests.faults.inputs import Call, Prepared, in_envelope
from tests.kit.cut_proxy import Answer, CutAfter, CutBefore, Drip, Fault
from tests.kit.service import TENANT
from tests.kit.sweep import normal
from tests.kit.wire_app import (
    BATCH,
    BLOB,
    BUS,
    COSMOS,
    DURABLE,
    READ,
    TABLE,
    Delivery,
    Wires,
)

TRIES_MAX: Final = 5
_ALIKE_EVERY: Final = 7
_ANY: Final = b""
_IS_BATCH: Final = b"x-ms-cosmos-is-batch-request"
_SWEEP_S: Final = 400.0
"""Longer than a row that could not leave waits."""
_SOON: Final = {"x-ms-retry-after-ms": "1"}


def _inside(status: int) -> Answer:
    """Return the answer to a batch of which one operation, the first, had *status*."""
    results = [{"statusCode": status, "requestCharge": 1, "retryAfterMilliseconds": 1}]
    headers = {"Content-Type": "application/json"}
    return Answer(_ANY, 207, headers, json.dumps(results).encode())


_CUTS: Final[Sequence[Fault]] = (
    CutBefore(_ANY), CutAfter(_ANY), CutAfter(_ANY, 600), Drip(_ANY),
)  # fmt: skip
FAULTS: Final = {
    COSMOS: (
        *_CUTS, *(Answer(_ANY, status, _SOON) for status in (401, 408, 410, 429, 449, 503)),
        *map(_inside, (409, 412, 429)),
    ),
    TABLE: (*_CUTS, *(Answer(_ANY, status) for status in (401, 408, 409, 412, 429, 503))),
    BLOB: (*_CUTS, *(Answer(_ANY, status) for status in (401, 408, 409, 412, 429, 503))),
    DURABLE: (*_CUTS, *(Answer(_ANY, status) for status in (408, 429, 500, 503))),
    BUS: (CutBefore(_ANY), CutAfter(_ANY), Drip(_ANY)),
}  # fmt: skip
"""What may happen to a request, by where it goes."""


@dataclass(frozen=True)
class Place:
    """A fault at the request *number*, from 0, of those that go to *wire*."""

    wire: str
    number: int
    fault: Fault


@dataclass(frozen=True)
class End:
    """What an input left behind, without ids that were drawn and times."""

    answer: tuple[int, str]
    documents: Sequence[str]
    messages: Sequence[str]
    started: Sequence[str]
    raised: Sequence[str]
    recorded: Sequence[str]
    dead_letters: int

    def differences(self, other: "End") -> Iterator[str]:
        for name, expected in vars(self).items():
            found = getattr(other, name)
            if found != expected:
                yield f"{name}: expected {expected}, got {found}"


@dataclass(frozen=True)
class Cost:
    """What an app asked of its store, and what came to the account.

    What the relay deletes after the commit is in the totals only.
    """

    reads: int
    batches: int
    asked: int
    at_the_endpoint: int


@dataclass
class WireRun:
    """Runs one prepared input at one app, again and again from the same state."""

    wires: Wires
    prepared: Prepared
    route: Route | None
    is_cold: bool = False
    """Each run connects anew."""
    requests: dict[str, Sequence[bytes]] = field(default_factory=dict)
    _own: Mapping[str, int] = field(default_factory=dict)
    """How many of the requests were made before it was answered."""
    _letter: str = ""
    """The id of the dead letter that is replayed."""

    async def undisturbed(self) -> End:
        """Return the end without a fault, and keep the requests that led to it.

        It is run until it makes the same requests twice: an SDK asks for more from time to time
        (azure-cosmos reads its account every five minutes), which a later run would not repeat.
        """
        for _ in range(TRIES_MAX):
            before = self.requests
            end = await self._observe()
            if {name: len(heads) for name, heads in before.items()} == {
                name: len(heads) for name, heads in self.requests.items()
            }:
                return end
        raise AssertionError(f"{TRIES_MAX} equal runs made different requests")

    async def _observe(self) -> End:
        await self.begin()
        answer = await self.ask()
        assert answer is not None, "it was Unavailable without a fault"
        self._own = {name: proxy.requests for name, proxy in self.wires.proxies.items()}
        await self._settle()
        self.requests = {name: [*proxy.heads] for name, proxy in self.wires.proxies.items()}
        return await self._end(answer)

    def places(self) -> Iterator[Place]:
        """Yield each fault at each request; of those that relay the rest, which are alike, few."""
        alike = 0
        for wire, heads in self.requests.items():
            for number, head in enumerate(heads):
                for fault in FAULTS[wire]:
                    is_inside = isinstance(fault, Answer) and fault.status == 207
                    alike += number >= self._own[wire]
                    is_left_out = number >= self._own[wire] and alike % _ALIKE_EVERY
                    if not is_left_out and (not is_inside or _IS_BATCH in head):
                        yield Place(wire, number, fault)

    async def disturbed(self, place: Place) -> End:
        """Return the end with the fault of *place*, asked until it is answered."""
        await self.begin()
        proxy = self.wires.proxies[place.wire]
        proxy.will(place.fault, after=place.number)
        answer = None
        for _ in range(TRIES_MAX):
            answer = await self.ask()
            if answer is not None:
                break
            self.wires.end_locks()
        assert answer is not None, f"Unavailable {TRIES_MAX} times"
        await self._settle()
        assert proxy.is_done or place.wire == BUS, "the fault never came"
        return await self._end(answer)

    async def cost(self) -> Cost:
        """Return what the input costs over connections that are there already."""
        await self.begin()
        assert await self.ask() is not None
        calls = self.wires.parts.calls
        return Cost(calls[READ], calls[BATCH], calls.total(), self.wires.proxies[COSMOS].requests)

    async def repeated(self) -> End:
        """Return the end when the input comes twice at once, and late once more."""
        await self.begin()
        answers = await asyncio.gather(self.ask(), self.ask())
        answer = next((each for each in answers if each is not None), None) or await self.ask()
        await self._settle()
        late = await self.ask()
        assert answer is not None
        assert late == answer
        await self._settle()
        return await self._end(answer)

    async def begin(self) -> None:
        wires, prepared = self.wires, self.prepared
        if self.is_cold:
            await wires.parts.disconnect()
        wires.clock.set(prepared.now)
        if prepared.world is not None:
            vars(wires.parts.world).update(vars(prepared.world), clock=wires.clock)
        if prepared.cloud is not None:
            vars(wires.parts.cloud).update(vars(prepared.cloud))
        if prepared.vaults is not None:
            wires.parts.opened.vaults = prepared.vaults.vaults
        answers = {
            f"/v1/runtime/services/{each.service_id}/health": each.model_dump_json(by_alias=True)
            for each in prepared.verdicts
        }
        wires.gateway.answers = answers
        await wires.restore(prepared.documents, prepared.blobs)
        if prepared.given_up is not None:
            payload = prepared.given_up
            is_command = type(payload).__name__ in COMMANDS
            self._letter = await wires.give_up(_message(payload), is_command=is_command)

    async def ask(self) -> tuple[int, str] | None:
        """Return the answer; None where it says that the same may be asked again."""
        if self.route is None:
            return await self._deliver()
        sent = self.prepared.sent
        assert isinstance(sent, Call)
        wires, route = self.wires, self.route
        ids = {"eventId": self._letter} if self.prepared.given_up else sent.path
        headers = {
            "authorization": f"Bearer {wires.issuer.token(TENANT, 'ann', ['Runtime.Admin'])}",
            "content-type": "application/octet-stream" if route.takes_bytes else "application/json",
            "idempotency-key": "once",
            **sent.headers,
        }
        request = func.HttpRequest(
            method=route.method,
            url=f"http://app.test/{route.template.format(**ids)}?{urlencode(sent.query)}",
            headers=headers,
            route_params=ids,
            body=sent.content,
        )
        answer: func.HttpResponse = await wires.run(route.operation_name, req=request)
        text = answer.get_body().decode()
        if answer.status_code in {429, 503}:
            assert float(answer.headers["Retry-After"]) > 0, text
            return None
        assert answer.status_code < 500, text
        # Bytes that are known already are answered with 200 instead of 201.
        return answer.status_code // 100, json.dumps(
            normal(json.loads(text or "null")), sort_keys=True
        )

    async def _deliver(self) -> tuple[int, str] | None:
        assert not isinstance(self.prepared.sent, Call)
        payload = self.prepared.sent
        is_command = type(payload).__name__ in COMMANDS
        function = "on_command" if is_command else "on_runtime_event"
        try:
            await self.wires.run(function, message=Delivery(_message(payload)))
        except Unavailable:
            return None
        return 2, "done"

    async def _settle(self) -> None:
        """Do what the change feed and the timers do, until no outbox row is left."""
        for _ in range(TRIES_MAX):
            left = [each for each in await self.wires.documents() if is_outbox(each)]
            if not left:
                return
            with suppress(Unavailable):  # the trigger gives the same changes again
                await self.wires.run("relay_changes", documents=func.DocumentList(map(fed, left)))
            self.wires.clock.pass_by(_SWEEP_S)
            with suppress(Unavailable):
                await self.wires.run("sweep_outbox", tick=None)
        raise AssertionError(f"outbox rows are left: {[each.body for each in left]}")

    async def _end(self, answer: tuple[int, str]) -> End:
        wires = self.wires
        kept = [each for each in await wires.documents() if not each.id.startswith("request/")]
        messages = {each.message_id: (entity, each) for entity, each in wires.broker.accepted}
        return End(
            answer,
            as_text(
                [*each.partition.values, each.id, {**each.body, "fingerprint": None}]
                for each in kept
            ),
            as_text([entity, json.loads(each.body)] for entity, each in messages.values()),
            as_text([instance, *started] for instance, started in wires.extension.started.items()),
            as_text(map(list, wires.extension.raised)),
            as_text([vars(entry.record)] for entry in await wires.entries()),
            sum(dead for _, dead in wires.broker.counts().values()),
        )


def _message(payload: BaseModel) -> OutgoingMessage:
    envelope = in_envelope(payload)
    return OutgoingMessage(
        envelope.to_json(),
        envelope.event_id,
        content_type="application/json",
        application_properties=envelope.properties(),
    )


def as_text(values: Iterable[Any]) -> Sequence[str]:
    """Return *values* without what differs between equal runs, in one order."""
    return sorted(json.dumps(normal(each), sort_keys=True, default=str) for each in values)


def is_outbox(document: Document) -> bool:
    return document.body.get("type") == OUTBOX_TYPE


def fed(document: Document) -> func.Document:
    """Return *document* as a Cosmos DB trigger gives it."""
    raw = raw_of(document.partition, document.id, document.body, None)
    fields = {**raw, "_etag": document.etag, "_ts": document.changed_at_s}
    return func.Document.from_dict(fields)
