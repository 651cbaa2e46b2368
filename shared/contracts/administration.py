"""What operators see of every app: parked messages, audit, events, health of the app itself."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, StringConstraints

from shared.contracts.shape import Resource, Value
from shared.contracts.values import Instant, Json, Label, Text

HexDigest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class ParkedDetail(Value):
    """One thing that was wrong with a parked message."""

    code: Label
    target: Text
    message: Text
    expected: Text | None = None
    received: Text | None = None


class ParkedMessage(Resource):
    """A message that was refused, kept with its reason for repair and replay."""

    event_id: Label
    event_type: Label
    tenant_id: Label
    """`-platform` when no tenant could be read from it."""
    code: Label
    reason: Text
    details: Annotated[tuple[ParkedDetail, ...], Field(max_length=50)] = ()
    parked_at: Instant
    attempts: Annotated[int, Field(ge=1)]
    envelope: Json = None
    """Shown for one message; left out of lists. Text when it is not an envelope."""


class AuditRecord(Resource):
    """Who did what, why, when, and which events came of it; each seals the one before."""

    number: Annotated[int, Field(ge=1)]
    """In the chain of one service and tenant."""
    record_id: Label
    actor: Label
    action: Label
    target: Label
    outcome: Label
    reason: Text
    at: Instant
    trace_id: Label
    events: Annotated[tuple[Label, ...], Field(max_length=100)] = ()
    hash: HexDigest
    previous_hash: HexDigest


class RecordedEvent(Resource):
    """One event as `/events` lists it."""

    number: Annotated[int, Field(ge=1)]
    """Of the audit record it left with."""
    service: Label
    event_id: Label
    event_type: Label
    aggregate_id: Label | None = None
    revision: Annotated[int | None, Field(ge=1)] = None
    occurred_at: Instant
    correlation_id: Label
    causation_id: Label | None = None
    actor: Label
    cause: Text
    action: Label
    target: Label


class HealthEntry(Value):
    status: Label
    duration: Text
    description: Text = ""


class HealthReport(Resource):
    """`/health`, `/alive`, `/startup`; `entries` stay empty for a caller without a token."""

    status: Label
    total_duration: Text
    """`hh:mm:ss.fffffff`, as .NET health checks write it."""
    entries: Annotated[Mapping[Label, HealthEntry], Field(max_length=50)] = Field(
        default_factory=dict
    )
