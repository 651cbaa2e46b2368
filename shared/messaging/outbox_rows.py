"""Makes the rows of the outbox of what a decision says: messages in envelopes, audit records."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from shared.contracts.values import EVENT_BYTES_MAX
from shared.contracts.values import Service as ServiceName
from shared.kernel.clock import isoformat
from shared.kernel.context import Context
from shared.kernel.errors import TooLarge
from shared.kernel.ids import event_id
from shared.messaging.envelope import Envelope
from shared.messaging.outbox import Audited, Message, Publish, Record, Row, Send, StoredRow
from shared.persistence.store import Partition


def stored_rows(
    rows: Sequence[Row], audited: Audited | None, partition: Partition, ctx: Context
) -> Sequence[StoredRow]:
    """Return *rows* as they are stored, each message in its envelope, and the audit record last.

    Where the actor is of another tenant than the data, that one's trail has a second record. It
    names no event: those are told to the tenant whose data it is.
    """
    stored = [_in_envelope(row, ctx) for row in rows]
    if audited is None:
        return stored
    record, actor_tenant = _record(partition, audited, stored, ctx), ctx.cause.actor_tenant
    if actor_tenant is None:
        return [*stored, record]
    of_actor = replace(
        record,
        record_id=event_id(ctx.entropy),
        tenant=actor_tenant,
        target_tenant=record.tenant,
        events=(),
    )
    return [*stored, replace(record, actor_tenant=actor_tenant), of_actor]


def _in_envelope(row: Row, ctx: Context) -> StoredRow:
    match row:
        case Publish(payload, project, module):
            return Message(_envelope(payload, ctx, project=project, module=module))
        case Send(service, payload, project, module, identity):
            envelope = _envelope(payload, ctx, project=project, module=module, identity=identity)
            return Message(envelope, ServiceName(service).value)
        case _:
            return row


def _record(
    partition: Partition, audited: Audited, rows: Sequence[StoredRow], ctx: Context
) -> Record:
    return Record(
        record_id=event_id(ctx.entropy),
        tenant=partition.tenant,
        environment=partition.environment,
        actor=ctx.cause.actor,
        action=audited.action,
        target=audited.target,
        outcome=audited.outcome,
        cause_kind=ctx.cause.kind,
        cause=ctx.cause.reference,
        trace_id=ctx.cause.trace_id,
        at=isoformat(ctx.now()),
        events=tuple(
            _summary(row.envelope)
            for row in rows
            if isinstance(row, Message) and row.service is None
        ),
        reason=audited.reason,
        policy=audited.policy,
    )


def _summary(envelope: Envelope) -> Mapping[str, Any]:
    return {
        "eventId": envelope.event_id,
        "eventType": envelope.event_type,
        "aggregateId": envelope.payload.get("aggregateId"),
        "revision": envelope.payload.get("revision"),
        "correlationId": envelope.correlation_id,
        "causationId": envelope.causation_id,
        "occurredAt": isoformat(envelope.occurred_at),
    }


def _envelope(
    payload: BaseModel,
    ctx: Context,
    *,
    project: str | None = None,
    module: str | None = None,
    identity: str | None = None,
) -> Envelope:
    """Return *payload* in an envelope; the payload type's name is the message's type.

    Raises:
        TooLarge: over 192 KB. Lists that may grow longer go into a blob named by digest.
    """
    body = payload.model_dump_json(by_alias=True).encode()
    if len(body) > EVENT_BYTES_MAX:
        raise TooLarge(
            f"{type(payload).__name__} has {len(body)} bytes; a message has at most"
            f" {EVENT_BYTES_MAX}"
        )
    cause = ctx.cause
    return Envelope(
        event_id=identity or event_id(ctx.entropy),
        event_type=type(payload).__name__,
        tenant_id=ctx.tenant,
        project_id=project,
        module_id=module,
        trace_id=cause.trace_id,
        correlation_id=cause.correlation_id,
        causation_id=cause.causation_id,
        occurred_at=ctx.now(),
        payload=json.loads(body),
    )
