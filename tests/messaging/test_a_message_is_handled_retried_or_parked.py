"""What a handler raises decides: parked with its reason, tried again here, or redelivered."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest
from pydantic import Field

from shared.contracts.retention import Kept
from shared.contracts.shape import Command, Event
from shared.kernel.context import Context, Scope
from shared.kernel.errors import Conflict, Invalid, NotFound, Refused, Unavailable
from shared.kernel.ids import TenantId
from shared.messaging.dispatcher import (
    RETRY_FOR_S,
    Dispatcher,
    Received,
)
from shared.messaging.envelope import Envelope, attributes_of
from shared.messaging.outbox import Audited
from shared.messaging.parked_messages import parked_id, parked_partition
from shared.messaging.unit_of_work import Decision, Json, View
from shared.persistence.codec import Put
from shared.persistence.store import Document, Partition
from shared.telemetry.names import ERROR_CODE, MESSAGE, OUTCOME, Work
from shared.telemetry.work import Span, Telemetry, Value
from tests.kit.service import SCOPE
from tests.kit.virtual_time import run_virtual
from tests.messaging.envelopes import an_envelope
from tests.messaging.parts import Parts

PLATFORM = Scope(TenantId("-platform"), "admin")


class ThingHappened(Event):
    size: int = Field(ge=1)


class DoThing(Command):
    size: int = Field(ge=1)


@dataclass
class World:
    """A dispatcher whose handler does what the next of *ends* says: raise it, or commit."""

    parts: Parts = field(default_factory=Parts)
    ends: list[Exception | None] = field(default_factory=list)
    handled: list[tuple[Any, Context]] = field(default_factory=list)

    def __post_init__(self) -> None:
        handlers: Any = {ThingHappened: self.handle, DoThing: self.handle}
        work, clock, entropy = self.parts.work, self.parts.clock, self.parts.entropy
        self.dispatch = Dispatcher(handlers, self, work, clock, entropy)

    async def handle(self, payload: Any, ctx: Context, app: Any) -> None:
        assert app is self
        end = self.ends.pop(0) if self.ends else None
        if end is not None:
            raise end
        decision: Decision[Json] = Decision(
            {},
            writes=[Put(f"thing-{payload.size}", {"type": "thing"})],
            audited=Audited("Handle", "thing"),
        )
        partition = Partition(ctx.tenant, "abcdefghijkl")
        outcome = await self.parts.work.commit(ctx, partition, [], lambda _: decision)
        if not outcome.is_repeat:
            self.handled.append((payload, ctx))

    async def receive(self, envelope: Envelope, **properties: str) -> None:
        named = {"cs-tenant-id": envelope.tenant_id, **properties}
        named = {name.replace("_", "-"): value for name, value in named.items()}
        await self.dispatch(Received(envelope.to_json(), "application/json", named))

    async def parked(self, event: str, scope: Scope = SCOPE) -> Document | None:
        return await self.parts.store.inner.read(parked_partition(scope), parked_id(event))


def happened(number: int = 1, **payload: Any) -> Envelope:
    body = {"aggregateId": "thing-1", "revision": number, "size": 3, **payload}
    return an_envelope(number, payload=body)


def command(number: int = 1, **payload: Any) -> Envelope:
    return an_envelope(number, "DoThing", payload={"size": 3, **payload})


def test_a_message_reaches_its_handler_in_the_scope_of_its_own_tenant() -> None:
    async def main() -> None:
        world = World()
        await world.receive(happened())

        ((payload, ctx),) = world.handled
        assert payload == ThingHappened.model_validate(happened().payload)
        assert (ctx.tenant, ctx.cause.trace_id) == ("acme", "trace-1")
        assert ctx.cause.causation_id == happened().event_id
        assert ctx.cause.correlation_id == happened().correlation_id

    run_virtual(main())


def test_a_message_delivered_twice_has_one_effect() -> None:
    async def main() -> None:
        world = World()
        await world.receive(happened())
        await world.receive(happened())

        assert len(world.handled) == 1

    run_virtual(main())


def test_a_parked_message_that_comes_again_is_not_handled() -> None:
    async def main() -> None:
        world = World(ends=[Conflict("the thing is held")])
        await world.receive(command())
        await world.receive(command())

        assert (world.handled, world.ends) == ([], [])
        parked = await world.parked(command().event_id)
        assert parked is not None
        assert parked.body["attempts"] == 1

    run_virtual(main())


def test_what_is_for_nobody_here_is_left_out() -> None:
    async def main() -> None:
        world = World()
        await world.receive(an_envelope(event_type="OtherHappened"))

        assert world.handled == []
        assert await world.parked(an_envelope().event_id) is None

    run_virtual(main())


def test_an_event_may_have_fields_that_this_version_does_not_know_and_a_command_may_not() -> None:
    async def main() -> None:
        world = World()
        await world.receive(happened(1, colour="red"))
        await world.receive(command(2, colour="red"))

        assert len(world.handled) == 1
        parked = await world.parked(command(2).event_id)
        assert parked is not None
        assert parked.body["details"][0]["target"] == "/payload/colour"

    run_virtual(main())


REFUSALS = {
    "impossible": Conflict("the thing is gone", code="ThingGone"),
    "unknown": NotFound("no such thing"),
    "invalid": Invalid("no size"),
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refused_message_is_parked_with_its_reason_and_done(refusal: Refused) -> None:
    async def main() -> None:
        world = World(ends=[refusal])
        await world.receive(happened())

        parked = await world.parked(happened().event_id)
        assert parked is not None
        assert (parked.body["code"], parked.body["reason"]) == (refusal.code, refusal.message)
        assert parked.body["envelope"] == json.loads(happened().to_json())

    run_virtual(main())


def test_a_payload_of_another_shape_is_parked_field_by_field() -> None:
    async def main() -> None:
        world = World()
        await world.receive(happened(size=0))

        parked = await world.parked(happened().event_id)
        assert parked is not None
        (detail,) = parked.body["details"]
        assert (detail["target"], detail["received"]) == ("/payload/size", "0")

    run_virtual(main())


UNREADABLE: dict[str, tuple[bytes, str]] = {
    "garbage": (b"\xff\x00garbage", "application/json"),
    "no-tenant": (happened().to_json().replace(b'"acme"', b"null"), "application/json"),
    "foreign-property": (happened().to_json(), "application/json"),
    "unknown-media": (happened().to_json(), "text/plain"),
}


@pytest.mark.parametrize(("body", "media"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_names_no_tenant_that_can_be_believed_is_parked_for_the_platform(
    body: bytes, media: str
) -> None:
    async def main() -> None:

        world = World()
        await world.dispatch(Received(body, media, {"cs-tenant-id": "globex"}))

        digest = hashlib.sha256(body).hexdigest()
        parked = await world.parked(digest, PLATFORM)
        assert parked is not None
        assert parked.body["code"]
        assert await world.parked(digest) is None
        assert world.handled == []

    run_virtual(main())


def test_of_what_cannot_be_read_the_beginning_its_digest_and_its_type_are_kept() -> None:
    async def main() -> None:
        world = World()
        body = b"\xff" + b"x" * 70_000
        named = {"cs-tenant-id": "acme", "cs-event-type": "ThingHappened" * 10}
        await world.dispatch(Received(body, "application/json", named))

        digest = hashlib.sha256(body).hexdigest()
        parked = await world.parked(digest, PLATFORM)
        assert parked is not None
        assert parked.body["text"] == "\ufffd" + "x" * 65_535
        assert parked.body["eventId"] == digest
        assert parked.body["eventType"] == ("ThingHappened" * 10)[:80]

    run_virtual(main())


def test_of_what_was_refused_its_id_type_and_sender_are_kept() -> None:
    async def main() -> None:
        world = World(ends=[Conflict("the thing is held")])
        await world.receive(command(), cs_sender="drift")

        parked = await world.parked(command().event_id)
        assert parked is not None
        shown = [parked.body[name] for name in ("eventId", "eventType", "sender")]
        assert shown == [command().event_id, "DoThing", "service:drift"]

    run_virtual(main())


@dataclass
class Recorded(Telemetry):
    """Remembers what each piece of work was begun with, and how it ended."""

    begun: list[tuple[Any, ...]] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    is_on: bool = True

    def span(
        self, work: Work, name: str, trace_id: str, attributes: dict[str, Value], **ids: str
    ) -> Span:
        self.begun.append((work, name, trace_id, dict(attributes), ids))
        self.spans.append(Span(trace_id, attributes))
        return self.spans[-1]


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        pytest.param(None, {OUTCOME: "handled"}, id="handled"),
        pytest.param(Conflict("held", code="Held"), {OUTCOME: "parked", ERROR_CODE: "Held"},
                     id="parked"),
    ],
)  # fmt: skip
def test_a_handling_is_told_in_the_trace_of_its_message_with_its_outcome(
    end: Exception | None, outcome: dict[str, str]
) -> None:
    async def main() -> Recorded:
        world, recorded = World(ends=[end]), Recorded()
        dispatcher = replace(world.dispatch, telemetry=recorded)
        await dispatcher.dispatch(command(), parent="00-1-2-01")
        return recorded

    recorded = run_virtual(main())

    said = attributes_of(command())
    name, trace_id = "handle DoThing", command().trace_id
    assert recorded.begun == [(MESSAGE, name, trace_id, said, {"parent": "00-1-2-01"})]
    assert recorded.spans[0].attributes == {**said, **outcome}


def test_a_wait_doubles_up_to_eight_seconds_and_is_half_of_that_to_the_half_more() -> None:
    async def main() -> None:
        world = World(ends=[Unavailable("away", retry_after_s=0) for _ in range(1000)])
        at = []
        handle = world.handle

        async def timed(payload: Any, ctx: Context, app: Any) -> None:
            at.append(world.parts.clock.monotonic_s())
            await handle(payload, ctx, app)

        parts = world.parts
        world.dispatch = Dispatcher({DoThing: timed}, world, parts.work, parts.clock, parts.entropy)
        with pytest.raises(Unavailable):
            await world.receive(command())

        waits = [later - before for before, later in pairwise(at)]
        steps = [0.25, 0.5, 1.0, 2.0, 4.0, *[8.0] * 20]
        parts_of_step = [wait / step for wait, step in zip(waits, steps, strict=False)]
        assert len(waits) >= 8
        assert all(0.5 <= part <= 1.5 for part in parts_of_step)
        assert len({round(part, 6) for part in parts_of_step}) > 1

    run_virtual(main())


def test_a_command_that_no_service_has_a_handler_for_is_kept_where_commands_arrive() -> None:
    async def main() -> None:
        world = World()
        world.dispatch = replace(world.dispatch, takes_commands=True)
        await world.receive(an_envelope(1, "OtherThing", payload={"size": 3}))

        parked = await world.parked(an_envelope(1, "OtherThing").event_id)
        assert parked is not None
        assert (parked.body["code"], parked.body["eventType"]) == ("NoHandler", "OtherThing")

    run_virtual(main())


def test_the_older_name_of_the_tenant_property_is_checked_too() -> None:
    async def main() -> None:
        world = World()
        await world.receive(happened(), tenant_id="globex")

        assert world.handled == []

    run_virtual(main())


def test_a_dependency_that_is_away_is_tried_again_inside_the_invocation() -> None:
    async def main() -> None:
        world = World(ends=[Unavailable("away"), Unavailable("away", retry_after_s=9), None])
        await world.receive(happened())

        assert len(world.handled) == 1
        assert 4.5 <= world.parts.clock.monotonic_s() <= RETRY_FOR_S
        assert await world.parked(happened().event_id) is None

    run_virtual(main())


def test_a_dependency_that_stays_away_is_raised_within_a_minute() -> None:
    async def main() -> None:
        world = World(ends=[Unavailable("away") for _ in range(1000)])
        with pytest.raises(Unavailable):
            await world.receive(happened())

        assert 30 < world.parts.clock.monotonic_s() <= RETRY_FOR_S
        assert await world.parked(happened().event_id) is None

    run_virtual(main())


def test_a_defect_is_raised_at_once_for_the_broker_to_deliver_again() -> None:
    async def main() -> None:
        world = World(ends=[KeyError("thing")])
        with pytest.raises(KeyError):
            await world.receive(happened())

        assert world.parts.clock.monotonic_s() == 0

    run_virtual(main())


async def _parked_world(*ends: Exception | None) -> World:
    world = World(ends=[Conflict("not now", code="NotNow"), *ends])
    await world.receive(happened())
    return world


def test_a_replay_handles_the_message_and_takes_it_out() -> None:
    async def main() -> None:
        world = await _parked_world(None)
        await world.dispatch.replay(happened().event_id, world.parts.ctx())

        assert len(world.handled) == 1
        assert await world.parked(happened().event_id) is None
        await world.parts.relay_left_behind()
        actions = [each.record.action for each in await world.parts.audit.entries("acme")]
        assert actions == ["ParkMessage", "Handle", "ReplayMessage"]

    run_virtual(main())


def test_a_replay_that_is_refused_again_keeps_the_message_with_the_new_reason() -> None:
    async def main() -> None:
        world = await _parked_world(Conflict("still not", code="StillNot"))
        with pytest.raises(Conflict):
            await world.dispatch.replay(happened().event_id, world.parts.ctx())

        parked = await world.parked(happened().event_id)
        assert parked is not None
        assert (parked.body["code"], parked.body["attempts"]) == ("StillNot", 2)

    run_virtual(main())


def test_a_message_that_was_parked_without_its_sender_is_replayed_as_its_type_names_it() -> None:
    async def main() -> str:
        world = await _parked_world(None)
        document_id = parked_id(happened().event_id)

        def forget(view: View) -> Decision[Json]:
            known = view.body(document_id) or {}
            body = {name: each for name, each in known.items() if name != "sender"}
            return Decision({}, writes=[Put(document_id, body, Kept.MESSAGE)])

        ctx = world.parts.ctx()
        partition = parked_partition(SCOPE)
        await world.parts.work.commit(ctx.without_marker(), partition, [document_id], forget)
        await world.dispatch.replay(happened().event_id, ctx)
        ((_, handled),) = world.handled
        return handled.cause.actor

    assert run_virtual(main()) == "message:ThingHappened"


REPLAYS: dict[str, Callable[[World], Scope]] = {
    "of-another-tenant": lambda _: Scope(TenantId("globex"), "user:eve"),
    "of-the-platform": lambda _: PLATFORM,
}


@pytest.mark.parametrize("scope_of", REPLAYS.values(), ids=REPLAYS.keys())
def test_a_replay_finds_only_its_own_tenant_s_messages(scope_of: Callable[[World], Scope]) -> None:
    async def main() -> None:
        world = await _parked_world()
        with pytest.raises(NotFound):
            await world.dispatch.replay(happened().event_id, world.parts.ctx(scope=scope_of(world)))

    run_virtual(main())


def test_what_is_no_envelope_cannot_be_replayed() -> None:
    async def main() -> None:
        world = World()
        body = b"no envelope"
        await world.dispatch(Received(body, "application/json", {}))
        digest = hashlib.sha256(body).hexdigest()

        with pytest.raises(Invalid) as refused:
            await world.dispatch.replay(digest, world.parts.ctx(scope=PLATFORM))

        assert refused.value.target == "eventId"
        assert await world.parked(digest, PLATFORM) is not None

    run_virtual(main())


def test_a_message_without_a_handler_any_more_stays_parked() -> None:
    async def main() -> None:
        world = await _parked_world()
        parts = world.parts
        later = Dispatcher({}, world, parts.work, parts.clock, parts.entropy)
        with pytest.raises(Conflict) as refused:
            await later.replay(happened().event_id, parts.ctx())

        assert refused.value.code == "NoHandler"
        assert await world.parked(happened().event_id) is not None

    run_virtual(main())
