"""What operators see of every app: parked messages, audit, events, health of the app itself."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from shared.contracts.shape import Resource, Value
from shared.contracts.values import (
    Digest,
    Instant,
    Json,
    Label,
    Milliseconds,
    TenantId,
    Text,
)


class ParkedMessage(Resource):
    """A message that was refused, kept with its reason for repair and replay."""

    event_id: Label
    event_type: Label | None
    tenant_id: TenantId | None
    code: Label
    reason: Text
    parked_at: Instant
    attempts: Annotated[int, Field(ge=0)] = 0
    envelope: Json = None
    """Shown for one message; left out of lists."""
    body_digest: Digest | None = None


class AuditRecord(Resource):
    """Who did what, why, when, and which events came of it; chained by `previous_hash`."""

    record_id: Label
    actor: Label
    action: Label
    target: Label
    reason: Text = ""
    at: Instant
    trace_id: Label
    correlation_id: Label
    events: Annotated[tuple[Label, ...], Field(max_length=100)] = ()
    previous_hash: Digest | None = None


class RecordedEvent(Resource):
    """One event as `/events` lists it."""

    event_id: Label
    event_type: Label
    aggregate_id: Label
    revision: Annotated[int, Field(ge=1)]
    occurred_at: Instant
    causation_id: Label | None
    correlation_id: Label
    payload: Json = None


class HealthEntry(Value):
    status: Label
    duration_ms: Milliseconds
    description: Text = ""


class HealthReport(Resource):
    """`/health`, `/alive`, `/startup`; `entries` stay empty for a caller without a token."""

    status: Label
    total_duration: Text
    """`hh:mm:ss.fffffff`, as .NET health checks write it."""
    entries: Annotated[Mapping[Label, HealthEntry], Field(max_length=50)] = Field(
        default_factory=dict
    )
