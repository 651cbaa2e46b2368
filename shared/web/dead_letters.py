"""Dead letters over HTTP, beside the parked messages: list, show, replay.

They stay in the broker, which gives them numbers: `dl-health-events-17` is number 17 of health's
subscription, `dl-health-commands-4` number 4 of its queue,
`dl-tenants-factory-events-2` number 2 of what other platforms told tenants. All have messages of
all tenants.
"""

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final

from shared.contracts.retention import MESSAGES_KEPT
from shared.kernel.clock import isoformat
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Conflict, Invalid, NotFound, Refused, Unavailable
from shared.kernel.ids import TENANT
from shared.messaging.dead_letters import DeadLetter, EntityDeadLetters
from shared.messaging.dispatcher import Received, envelope_of
from shared.messaging.envelope import (
    TENANT_PROPERTY,
    TENANT_PROPERTY_ACCEPTED,
    TYPE_PROPERTY,
    Envelope,
)
from shared.messaging.outbox import Audited
from shared.messaging.parked_messages import PLATFORM_TENANT, parked_id, parked_partition
from shared.messaging.unit_of_work import Decision, Json, View
from shared.web.administration import Administration
from shared.web.collection import answer_page, asked_top
from shared.web.request import Answer, Request

EVENTS: Final = "events"
FACTORY: Final = "factory-events"
"""Of other platforms."""
COMMANDS: Final = "commands"
PREFIX: Final = "dl-"
LOOKED_AT_MAX: Final = 50
"""On a page: each comes whole, with up to 256 KB, and most may be other tenants'."""
_PLACE: Final = re.compile(rf"({EVENTS}|{FACTORY}|{COMMANDS})-([1-9][0-9]{{0,18}})")
_NUMBER_MAX: Final = 2**63 - 2
"""Service Bus has numbers of 64 bits; the one after it is asked for."""
_TYPE_MAX: Final = 80


class DeadLetterTooOld(Conflict):
    """A dead letter is replayed only while those who remember what has ended still do."""

    def __init__(self, letter_id: str, enqueued_at: datetime) -> None:
        super().__init__(
            f"{letter_id} was sent at {isoformat(enqueued_at)}: expected one of the last"
            f" {MESSAGES_KEPT.days} days, as an older one could bring back what has ended since"
        )


@dataclass(frozen=True)
class _Reading:
    """A dead letter with its tenant, and its envelope or why it has none that is sound."""

    letter: DeadLetter
    tenant: str
    envelope: Envelope | None = None
    refusal: Refused | None = None


async def list_dead_letters(request: Request[None], app: Administration, tenant: str) -> Answer:
    """Answer the dead letters of *tenant* among the next ones of the service's entities.

    A page may hold fewer than `top`, and none, while there is a next one.
    """
    limit = min(asked_top(request), LOOKED_AT_MAX)
    word, after = _begin(request)
    for name, entity in app.dead_letters.items():
        if word not in {None, name}:
            continue
        letters = await entity.page(after=after, limit=limit)
        if letters:
            readings = [reading for reading in map(_read, letters) if reading.tenant == tenant]
            shown = [_summary(reading, _id(app, name, reading.letter)) for reading in readings]
            return answer_page(request, shown, f"{name}-{letters[-1].sequence_number}")
        word, after = None, 0
    return answer_page(request, [], None)


async def get_dead_letter(
    letter_id: str, app: Administration, tenants: Collection[str]
) -> Mapping[str, Any]:
    """Return one dead letter of *tenants* whole. Raises NotFound."""
    reading = await _find(*_place(letter_id, app), tenants)
    if reading is None:
        raise _absent(letter_id)
    envelope = reading.envelope if reading.tenant != PLATFORM_TENANT else None
    shown = None if envelope is None else envelope.model_dump(mode="json", by_alias=True)
    return {**_summary(reading, letter_id), "envelope": shown}


async def replay_dead_letter(
    letter_id: str, request: Request[None], app: Administration, tenants: Collection[str]
) -> Json:
    """Have the service handle one dead letter of *tenants* again; it is removed after that.

    The answer says whether it was `Replayed`, or is `Parked` now as it was refused. A repeat under
    the same key gets the same answer. A crash before the removal leaves the dead letter; its next
    replay changes nothing, as the service knows the message.

    Raises:
        NotFound: there is none of that id.
        NoHandler: this version of the service has no handler for it; it stays.
        DeadLetterTooOld: what remembers its end may be gone; it stays.
        Unavailable: somebody else replays it, or a dependency is away; it stays.
    """
    ctx, work = request.ctx, app.service.work
    partition, document_id = parked_partition(ctx.scope), parked_id(letter_id)
    # Before anything is handled: a key of another request, or an etag, which no dead letter has.
    await work.answered(ctx, partition, document_id)

    async def answer(status: str | None) -> Json:
        def decide(_view: View) -> Decision[Json]:
            if status is None:
                raise _absent(letter_id)
            value = {"eventId": letter_id, "status": status}
            return Decision(value, audited=Audited("ReplayMessage", letter_id))

        return (await work.commit(ctx, partition, [document_id], decide)).value

    entity, number = _place(letter_id, app)
    found = await _find(entity, number, tenants)
    if found is None:
        return await answer(None)
    if found.letter.enqueued_at < ctx.now() - MESSAGES_KEPT:
        raise DeadLetterTooOld(letter_id, found.letter.enqueued_at)
    answers: list[Json] = []

    async def handle(letter: DeadLetter) -> None:
        is_handled = await app.dispatcher.redeliver(_received(letter))
        answers.append(await answer("Replayed" if is_handled else "Parked"))

    if not await entity.replay(number, handle):
        raise Unavailable(f"{letter_id} is being replayed by somebody else")
    return answers[-1]


def _id(app: Administration, word: str, letter: DeadLetter) -> str:
    return f"{PREFIX}{app.service.public_name}-{word}-{letter.sequence_number}"


def _place(letter_id: str, app: Administration) -> tuple[EntityDeadLetters, int]:
    """Return the entity and the number that *letter_id* names. Raises NotFound."""
    place = _parsed(letter_id.removeprefix(f"{PREFIX}{app.service.public_name}-"))
    if place is None or place[0] not in app.dead_letters:
        raise _absent(letter_id)
    return app.dead_letters[place[0]], place[1]


def _begin(request: Request[None]) -> tuple[str | None, int]:
    """Return the entity to begin in, and the number after which. Raises Invalid."""
    continuation = request.query.get("continuation")
    if continuation is None:
        return None, 0
    place = _parsed(continuation)
    if place is None:
        raise Invalid(
            f"continuation: expected one from a nextLink, got {continuation[:40]!r}",
            target="continuation",
        )
    return place


def _parsed(text: str) -> tuple[str, int] | None:
    match = _PLACE.fullmatch(text)
    if match is None or int(match[2]) > _NUMBER_MAX:
        return None
    return match[1], int(match[2])


async def _find(
    entity: EntityDeadLetters, number: int, tenants: Collection[str]
) -> _Reading | None:
    """Return the dead letter of that number, locked or not; None where *tenants* have none."""
    letters = await entity.page(after=number - 1, limit=1)
    if not letters or letters[0].sequence_number != number:
        return None
    reading = _read(letters[0])
    return reading if reading.tenant in tenants else None


def _read(letter: DeadLetter) -> _Reading:
    message = _received(letter)
    names = (TENANT_PROPERTY, TENANT_PROPERTY_ACCEPTED)
    named = {message.properties[name] for name in names if name in message.properties}
    try:
        envelope = envelope_of(message)
    except Refused as refusal:
        # Where envelope and properties disagree, neither tenant is shown what may be the other's.
        tenant = named.pop() if len(named) == 1 and refusal.code != "TenantMismatch" else ""
        is_tenant = TENANT.fullmatch(tenant) is not None
        return _Reading(letter, tenant if is_tenant else PLATFORM_TENANT, refusal=refusal)
    return _Reading(letter, envelope.tenant_id, envelope)


def _received(letter: DeadLetter) -> Received:
    properties = {str(name): str(value) for name, value in letter.properties.items()}
    return Received(letter.body, letter.content_type, properties)


def _summary(reading: _Reading, letter_id: str) -> Mapping[str, Any]:
    """Return what a list shows; of what names no tenant nothing that quotes the message."""
    letter, envelope, refusal = reading.letter, reading.envelope, reading.refusal
    named: Mapping[str, Any] = {"messageId": None, "eventType": None, "reason": None}
    if reading.tenant != PLATFORM_TENANT:
        message_type = envelope.event_type if envelope else letter.properties.get(TYPE_PROPERTY, "")
        named = {
            "messageId": letter.message_id,
            "eventType": str(message_type)[:_TYPE_MAX],
            "reason": letter.description,
        }
    return {
        "eventId": letter_id,
        "place": "DeadLettered",
        "code": letter.reason,
        **named,
        "unreadable": None if refusal is None else refusal.message,
        "enqueuedAt": isoformat(letter.enqueued_at),
        "tenantId": reading.tenant,
    }


def _absent(letter_id: str) -> NotFound:
    return NotFound(f"no dead letter {letter_id[:80]!r} is here")
