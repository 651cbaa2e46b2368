"""Hands one message to its use case, and settles it by the family of the error.

Refused: the message is parked with the reason, and is done (a Python trigger cannot settle).
Unavailable: it is tried again here for up to a minute while the lock is renewed, then redelivered.
A defect: it is redelivered, and in the end dead-lettered by the broker.
"""

import hashlib
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from pydantic import BaseModel

from shared.contracts.commands import COMMANDS
from shared.contracts.events import EVENTS
from shared.contracts.validation import read
from shared.kernel.clock import Clock
from shared.kernel.context import Cause, Context, Scope
from shared.kernel.dataclass import dataclass
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Conflict, Invalid, NotFound, Refused, Unavailable
from shared.kernel.ids import TenantId
from shared.messaging.envelope import (
    PARENT_PROPERTY,
    SENDER_PROPERTY,
    TYPE_PROPERTY,
    Envelope,
    attributes_of,
    require_same_tenant,
)
from shared.messaging.message_codecs import decode
from shared.messaging.parked_messages import (
    PLATFORM_TENANT,
    is_parked,
    park,
    parked_id,
    parked_partition,
    settle_replay,
)
from shared.messaging.unit_of_work import UnitOfWork
from shared.telemetry.names import MESSAGE, OUTCOME
from shared.telemetry.work import OFF, Telemetry, current

RETRY_FOR_S: Final = 60.0
_FIRST_DELAY_S: Final = 0.25
_DELAY_MAX_S: Final = 8.0
_SENDER: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")
_log = logging.getLogger(__name__)

Handler = Callable[..., Awaitable[object]]
"""`async def name(payload, ctx: Context, app) -> object`."""

HandlerTable = Mapping[type[BaseModel], Handler]
"""A service's handlers by payload type, whose name is the message's type."""


class NoHandler(Conflict):
    """This version of the service has no handler for the command."""

    def __init__(self, message_type: str) -> None:
        super().__init__(f"{message_type} has no handler in this version; the message is kept")


class DryRunByMessage(Invalid):
    """A dry run came as a message, which has no answer that could hold its plan."""

    def __init__(self, message_type: str) -> None:
        super().__init__(
            f"{message_type} with dryRun is answered over HTTP only: expected dryRun false",
            target="/payload/dryRun",
        )


@dataclass(frozen=True)
class Received:
    """A message as it came: bytes, content type and application properties."""

    body: bytes
    content_type: str
    properties: Mapping[str, str]

    @property
    def parent(self) -> str:
        """Return the `traceparent` of the publication; empty where none came along."""
        return self.properties.get(PARENT_PROPERTY) or self.properties.get("traceparent", "")


@dataclass(frozen=True)
class Dispatcher:
    """Hands the messages of one service to its handlers."""

    handlers: HandlerTable
    app: Any
    work: UnitOfWork
    clock: Clock
    entropy: Entropy
    takes_commands: bool = False
    """Of a command queue: a message without a handler here has none anywhere."""
    telemetry: Telemetry = OFF

    async def __call__(self, message: Received) -> None:
        """Handle *message* whole; returning means it is done or parked.

        Raises:
            Unavailable: a dependency stayed away for a minute.
        """
        envelope = await self._readable(message)
        if envelope is not None:
            await self.dispatch(envelope, message.properties.get(SENDER_PROPERTY), message.parent)

    async def redeliver(self, message: Received) -> bool:
        """Handle a dead letter; return whether it was handled, else it is parked.

        Nobody waits for the end of an outage here: who asked for it asks again.

        Raises:
            NoHandler: this version of the service has no handler for it.
            Unavailable: a dependency is away.
        """
        envelope = await self._readable(message)
        if envelope is None:
            return False
        if self._handler(envelope.event_type) is None:
            raise NoHandler(envelope.event_type)
        sender = message.properties.get(SENDER_PROPERTY)
        return await self.dispatch(envelope, sender, message.parent, retry_for_s=0.0)

    async def _readable(self, message: Received) -> Envelope | None:
        """Return the envelope of *message*; None where it has none that is sound: it is parked."""
        try:
            return envelope_of(message)
        except Refused as refusal:
            await self._park_unreadable(message, refusal)
            return None

    async def dispatch(
        self,
        envelope: Envelope,
        named_sender: str | None = None,
        parent: str = "",
        *,
        retry_for_s: float = RETRY_FOR_S,
    ) -> bool:
        """Handle *envelope*, or park it; an event without a handler is for others.

        Returns whether it was handled. Raises Unavailable.
        """
        sender = sender_of(envelope.event_type, named_sender)
        ctx = self._context(envelope, sender)
        if self._handler(envelope.event_type) is None and not self.takes_commands:
            _log.debug("%s is not for this service", envelope.event_type)
            return False
        name = f"handle {envelope.event_type}"
        attributes = attributes_of(envelope) if self.telemetry.is_on else {}
        with self.telemetry.span(MESSAGE, name, envelope.trace_id, attributes, parent=parent):
            return await self._settle(envelope, ctx, retry_for_s)

    async def _settle(self, envelope: Envelope, ctx: Context, retry_for_s: float) -> bool:
        """Handle *envelope*, or park it and return False; over short outages.

        Raises:
            Unavailable: a dependency stayed away for *retry_for_s*.
        """
        give_up_at_s = self.clock.monotonic_s() + retry_for_s
        delay_s = _FIRST_DELAY_S
        while True:
            try:
                if await is_parked(envelope.event_id, ctx, self.work):
                    return False
                await self._handle(envelope, ctx)
                current().set(OUTCOME, "handled")
            except Refused as refusal:
                current().failed(refusal)
                current().set(OUTCOME, "parked")
                await self._park(envelope, refusal, ctx)
                return False
            except Unavailable as outage:
                wait_s = max(delay_s, outage.retry_after_s) * (0.5 + self.entropy.fraction())
                if self.clock.monotonic_s() + wait_s > give_up_at_s:
                    raise
                await self.clock.sleep(wait_s)
                delay_s = min(_DELAY_MAX_S, delay_s * 2)
                continue
            return True

    async def _handle(self, envelope: Envelope, ctx: Context) -> None:
        known = self._handler(envelope.event_type)
        if known is None:
            raise NoHandler(envelope.event_type)
        payload_type, handler = known
        payload = read(payload_type, envelope.payload, at="/payload")
        if getattr(payload, "dry_run", False):
            raise DryRunByMessage(envelope.event_type)
        await handler(payload, ctx, self.app)

    def _context(self, envelope: Envelope, sender: str) -> Context:
        scope = Scope(TenantId(envelope.tenant_id), sender)
        return Context(scope, caused_by_message(envelope, sender), self.clock, self.entropy)

    def _handler(self, event_type: str) -> tuple[type[BaseModel], Handler] | None:
        rows = self.handlers.items()
        return next((row for row in rows if row[0].__name__ == event_type), None)

    async def _park(self, envelope: Envelope, refusal: Refused, ctx: Context) -> None:
        _log.warning("parked %s %s: %s", envelope.event_type, envelope.event_id, refusal.message)
        body = {
            "envelope": envelope.model_dump(mode="json", by_alias=True),
            "eventId": envelope.event_id,
            "eventType": envelope.event_type,
            "sender": ctx.cause.actor,
        }
        await park(envelope.event_id, body, refusal, ctx, self.work)

    async def _park_unreadable(self, message: Received, refusal: Refused) -> None:
        digest = hashlib.sha256(message.body).hexdigest()
        _log.warning("parked an unreadable message %s: %s", digest[:12], refusal.message)
        body = {
            "text": message.body[:65536].decode(errors="replace"),
            "eventId": digest,
            "eventType": message.properties.get(TYPE_PROPERTY, "")[:80],
        }
        cause = Cause("message", "message", digest, "trace-0", "corr-0")
        scope = Scope(TenantId(PLATFORM_TENANT), "message")
        ctx = Context(scope, cause, self.clock, self.entropy)
        await park(digest, body, refusal, ctx, self.work)

    async def replay(self, parked: str, ctx: Context) -> None:
        """Handle the parked message of the event id *parked* again; remove it when it worked.

        A repeat under the key of one that worked does nothing.

        Raises:
            Stale: it has another etag than *ctx* expects; it was not handled.
            NotFound: nothing is parked under that id in the scope's tenant.
            Invalid: it cannot be read as an envelope.
            NoHandler: this version of the service has no handler for it.
            Refused: it was refused again, and stays parked with the new reason.
        """
        document_id = parked_id(parked)
        view = await self.work.answered(ctx, parked_partition(ctx.scope), document_id)
        if view is None:
            return
        body = view.body(document_id)
        if body is None:
            raise NotFound(f"no message {parked[:80]!r} is parked here")
        if "envelope" not in body:
            raise Invalid("this message is not an envelope; it can only be read", target="eventId")
        envelope = Envelope.model_validate(body["envelope"])
        if self._handler(envelope.event_type) is None:
            raise NoHandler(envelope.event_type)
        sender = body.get("sender") or sender_of(envelope.event_type, None)
        cause = replace(
            ctx.cause,
            kind="replay",
            reference=parked,
            trace_id=envelope.trace_id,
            correlation_id=envelope.correlation_id,
            if_match=None,
            if_none_match=(),
        )
        replaying = replace(ctx, cause=cause)
        try:
            await self._handle(envelope, self._context(envelope, sender))
        except Refused as refusal:
            # Without the marker: under the same key it may be tried again.
            await settle_replay(parked, refusal, replaying.without_marker(), self.work)
            raise
        await settle_replay(parked, None, replaying, self.work)


def envelope_of(message: Received) -> Envelope:
    """Return the envelope of *message*.

    Raises:
        Refused: it is none, or the properties beside it name another tenant.
    """
    envelope = decode(message.body, message.content_type)
    require_same_tenant(envelope, message.properties)
    return envelope


def caused_by_message(envelope: Envelope, sender: str) -> Cause:
    """Return the cause of the effects of a message from *sender*; its marker is an inbox row."""
    return Cause(
        actor=sender,
        kind="command" if envelope.event_type in COMMANDS else "event",
        reference=envelope.event_id,
        trace_id=envelope.trace_id,
        correlation_id=envelope.correlation_id,
        causation_id=envelope.event_id,
        marker=f"inbox/{envelope.event_id}",
        project=envelope.project_id,
        occurred_at=envelope.occurred_at,
    )


def sender_of(event_type: str, named: str | None) -> str:
    """Return the caller that a message of *event_type* stands for: `service:health`.

    *named* is the broker property `cs-sender`. Without it, a type that only one service sends names
    that service; any other is `message:<type>`.
    """
    if named is not None and _SENDER.fullmatch(named):
        return f"service:{named}"
    event, command = EVENTS.get(event_type), COMMANDS.get(event_type)
    senders = event.producers if event else command.senders if command else frozenset()
    if len(senders) == 1:
        return f"service:{next(iter(senders)).public_name}"
    return f"message:{event_type}"
