"""Hands one message to its use case and decides what its errors mean.

Refused: parked with its reason, and the message is done (a Python trigger cannot settle). Away:
tried again here for up to a minute while the lock is renewed, then redelivered. A defect:
redelivered, in the end dead-lettered by the broker.
"""

import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import BaseModel

from shared.contracts.validation import read
from shared.kernel.clock import Clock, isoformat
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Conflict, Invalid, NotFound, Refused, Unavailable, Violation
from shared.kernel.ids import TenantId
from shared.kernel.scope import Scope, scope_of_message
from shared.messaging.cause import Cause, caused_by_message
from shared.messaging.envelope import (
    TENANT_PROPERTY,
    TENANT_PROPERTY_ACCEPTED,
    TYPE_PROPERTY,
    Envelope,
)
from shared.messaging.unit_of_work import Audited, Decision, Put, Remove, UnitOfWork, View
from shared.messaging.wire_forms import decode
from shared.persistence.store import Partition

RETRY_FOR_S: Final = 60.0
_FIRST_DELAY_S: Final = 0.25
_DELAY_MAX_S: Final = 8.0
PLATFORM_TENANT: Final = "-platform"
_log = logging.getLogger(__name__)

Handler = Callable[..., Awaitable[object]]
"""`async def name(payload, *, scope: Scope, cause: Cause, app) -> object`."""

HandlerTable = Mapping[type[BaseModel], Handler]
"""A service's handlers by payload type, whose name is the message's type."""


@dataclass(frozen=True)
class Received:
    """A message as it came: bytes, content type and application properties."""

    body: bytes
    content_type: str
    properties: Mapping[str, str]


@dataclass(frozen=True)
class Dispatcher:
    """Hands the messages of one service to its handlers."""

    handlers: HandlerTable
    app: Any
    work: UnitOfWork
    clock: Clock
    entropy: Entropy

    async def __call__(self, message: Received) -> None:
        """Handle *message* whole; returning means it is done or parked.

        Raises:
            Unavailable: a dependency stayed away for a minute.
        """
        try:
            envelope = decode(message.body, message.content_type)
            _agree(envelope, message.properties)
        except Refused as refusal:
            await self._park_unreadable(message, refusal)
            return
        await self.dispatch(envelope)

    async def dispatch(self, envelope: Envelope) -> None:
        """Handle *envelope*, or park it; what no handler is named for is left out."""
        found = self._handler(envelope.event_type)
        if found is None:
            _log.debug("%s is not for this service", envelope.event_type)
            return
        payload_type, handler = found
        scope = scope_of_message(TenantId(envelope.tenant_id), envelope.event_type)
        cause = caused_by_message(envelope)
        give_up_at_s = self.clock.monotonic_s() + RETRY_FOR_S
        delay_s = _FIRST_DELAY_S
        while True:
            try:
                payload = read(payload_type, envelope.payload, at="/payload")
                await handler(payload, scope=scope, cause=cause, app=self.app)
            except Refused as refusal:
                await self._park(envelope, refusal, scope)
            except Unavailable as outage:
                wait_s = max(delay_s, outage.retry_after_s) * (0.5 + self.entropy.fraction())
                if self.clock.monotonic_s() + wait_s > give_up_at_s:
                    raise
                await self.clock.sleep(wait_s)
                delay_s = min(_DELAY_MAX_S, delay_s * 2)
                continue
            return

    def _handler(self, event_type: str) -> tuple[type[BaseModel], Handler] | None:
        for payload_type, handler in self.handlers.items():
            if payload_type.__name__ == event_type:
                return payload_type, handler
        return None

    async def _park(self, envelope: Envelope, refusal: Refused, scope: Scope) -> None:
        _log.warning("parked %s %s: %s", envelope.event_type, envelope.event_id, refusal.message)
        cause = caused_by_message(envelope)
        body = {
            "envelope": envelope.model_dump(mode="json", by_alias=True),
            "eventId": envelope.event_id,
            "eventType": envelope.event_type,
        }
        await self._write_parked(scope, parked_id(envelope.event_id), body, refusal, cause)

    async def _park_unreadable(self, message: Received, refusal: Refused) -> None:
        digest = hashlib.sha256(message.body).hexdigest()
        _log.warning("parked an unreadable message %s: %s", digest[:12], refusal.message)
        cause = Cause("message", "event", digest, "trace-0", "corr-0")
        body = {
            "text": message.body[:65536].decode(errors="replace"),
            "eventId": digest,
            "eventType": message.properties.get(TYPE_PROPERTY, "")[:80],
        }
        scope = Scope(TenantId(PLATFORM_TENANT), "message")
        await self._write_parked(scope, parked_id(digest), body, refusal, cause)

    async def _write_parked(
        self,
        scope: Scope,
        document_id: str,
        body: Mapping[str, Any],
        refusal: Refused,
        cause: Cause,
    ) -> None:
        def decide(view: View) -> Decision:
            if view.body(document_id) is not None:
                return Decision()
            parked = {
                **body,
                **_reason(refusal),
                "type": "parked",
                "parkedAt": isoformat(self.clock.now()),
                "attempts": 1,
            }
            audited = Audited("ParkMessage", document_id, refusal.code)
            return Decision(writes=[Put(document_id, parked)], audited=audited)

        # The parked document is the marker: an inbox row would make a replay look like a repeat.
        unmarked = replace(cause, marker=None)
        await self.work.write(scope, parked_partition(scope), [document_id], decide, unmarked)

    async def replay(self, scope: Scope, parked: str) -> None:
        """Handle the parked message of the event id *parked* again; leave it out when it worked.

        Raises:
            NotFound: nothing is parked under that id in the scope's tenant.
            Invalid: it cannot be read as an envelope.
            Conflict: this version of the service has no handler for it.
            Refused: it was refused again, and stays parked with the new reason.
        """
        document_id = parked_id(parked)
        partition = parked_partition(scope)
        body = (await self.work.read(partition, document_id)).body(document_id)
        if body is None:
            raise NotFound(f"no message {parked[:80]!r} is parked here")
        if "envelope" not in body:
            raise Invalid("this message is not an envelope; it can only be read", target="eventId")
        envelope = Envelope.model_validate(body["envelope"])
        found = self._handler(envelope.event_type)
        if found is None:
            raise Conflict(
                f"{envelope.event_type} has no handler in this version; the message stays parked",
                code="NoHandler",
            )
        payload_type, handler = found
        message_scope = scope_of_message(TenantId(envelope.tenant_id), envelope.event_type)
        cause = Cause(scope.caller, "replay", parked, envelope.trace_id, envelope.correlation_id)
        try:
            await handler(
                read(payload_type, envelope.payload, at="/payload"),
                scope=message_scope,
                cause=caused_by_message(envelope),
                app=self.app,
            )
        except Refused as refusal:
            await self._after_replay(scope, document_id, cause, refusal)
            raise
        await self._after_replay(scope, document_id, cause, None)

    async def _after_replay(
        self, scope: Scope, document_id: str, cause: Cause, refusal: Refused | None
    ) -> None:
        """Leave the parked message out, or keep it with why it was refused this time."""

        def decide(view: View) -> Decision:
            body = view.body(document_id)
            if body is None:
                return Decision()
            if refusal is None:
                audited = Audited("ReplayMessage", document_id)
                return Decision(writes=[Remove(document_id)], audited=audited)
            kept = {**body, **_reason(refusal), "attempts": body["attempts"] + 1}
            audited = Audited("ReplayMessage", document_id, refusal.code)
            return Decision(writes=[Put(document_id, kept)], audited=audited)

        await self.work.write(scope, parked_partition(scope), [document_id], decide, cause)


def _reason(refusal: Refused) -> Mapping[str, Any]:
    return {
        "code": refusal.code,
        "reason": refusal.message,
        "details": [vars(detail) for detail in refusal.details],
    }


def parked_id(event: str) -> str:
    return f"parked/{event}"


def parked_partition(scope: Scope) -> Partition:
    """Return where a tenant's parked messages are: one place, whatever they were about."""
    return Partition(scope.tenant, "-", "-")


def _agree(envelope: Envelope, properties: Mapping[str, str]) -> None:
    """Refuse a message whose broker properties say something else than its envelope."""
    for name in (TENANT_PROPERTY, TENANT_PROPERTY_ACCEPTED):
        said = properties.get(name)
        if said is not None and said != envelope.tenant_id:
            raise Invalid(
                f"property {name} names another tenant than the envelope",
                code="TenantMismatch",
                target="/tenantId",
                details=[
                    Violation("TenantMismatch", "/tenantId", "differs", said, envelope.tenant_id)
                ],
            )
