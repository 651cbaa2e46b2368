"""Outbox rows: the only way out of a handler, committed with what caused them.

Five kinds: publish an event, send a command, start an orchestration, raise an external event to
one, and record what happened for the audit trail. A decision names payloads; the unit of work puts
each into its envelope.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import BaseModel

from shared.contracts.values import Service as ServiceName
from shared.kernel.clock import isoformat
from shared.kernel.dataclass import dataclass
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Invalid
from shared.kernel.ids import sortable
from shared.messaging.envelope import Envelope
from shared.persistence.store import Body, Document, Partition
from shared.telemetry.work import current

OUTBOX_TYPE: Final = "outbox"
RECORD: Final = "record"
"""The kind of the rows that hold an audit record."""
SWEEP_AFTER: Final = timedelta(seconds=15)
"""A row this old was left behind by its invocation and by the change feed."""


class MalformedRow(Invalid):
    """An outbox row that cannot be read; it stays where it is and is looked at ever more rarely."""


@dataclass(frozen=True)
class Publish:
    """An event for the topic `runtime-events`; the payload type's name is the event's type."""

    payload: BaseModel
    project: str | None = None
    module: str | None = None


@dataclass(frozen=True)
class Send:
    """A command for the queue of *service*, by its Python name (`secret_bindings`).

    `event_id` is given where the same command must have the same id whenever it is decided again.
    """

    service: str
    payload: BaseModel
    project: str | None = None
    module: str | None = None
    event_id: str | None = None


@dataclass(frozen=True)
class Message:
    """A published event, or a command for the queue of *service*, in its envelope."""

    envelope: Envelope
    service: str | None = None


@dataclass(frozen=True)
class Start:
    """An orchestration whose instance id is its operation's."""

    orchestration: str
    instance_id: str
    input: Mapping[str, Any]


@dataclass(frozen=True)
class Raise:
    """An external event. Whoever waits reads state again, so losing it only costs time."""

    instance_id: str
    name: str


@dataclass(frozen=True)
class Record:
    """One line of the audit trail: who did what to which aggregate, why, and which events left."""

    record_id: str
    tenant: str
    environment: str
    actor: str
    action: str
    target: str
    outcome: str
    cause_kind: str
    cause: str
    trace_id: str
    at: str
    events: Sequence[Mapping[str, Any]] = ()
    """Of each event that left: id, type, aggregate, revision, correlation, causation, time."""
    reason: str = ""
    """The words of the caller who gave one."""
    policy: Mapping[str, Any] | None = None
    """The decision of the policy for prod, with its inputs, where one was made."""
    actor_tenant: str = ""
    """The actor's, where that is not the one whose trail this is."""
    target_tenant: str = ""
    """Whose the target is, where the trail is that of the actor's tenant, which is another one."""


OPTIONAL_FIELDS: Final = ("reason", "policy", "actor_tenant", "target_tenant")
"""Left out of a record where they are empty: records of earlier versions were sealed without."""

Row = Publish | Send | Start | Raise
"""A row as a decision names it."""
StoredRow = Message | Start | Raise | Record
"""A row as it is stored and relayed."""


@dataclass(frozen=True)
class Audited:
    """The audit record of a decision: the action, its target, and how it ended.

    `outcome` is a status or code; `reason` has the words of a caller who gave some; `policy` is the
    decision of the policy for prod, with its inputs.
    """

    action: str
    target: str
    outcome: str = "Accepted"
    reason: str = ""
    policy: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class OutboxRow:
    """A row with the document id under which it is committed and deleted."""

    id: str
    row: StoredRow
    traceparent: str = ""
    """The work that committed it, where that was recorded."""


def encode(
    rows: Sequence[StoredRow], now: datetime, entropy: Entropy
) -> Sequence[tuple[OutboxRow, dict[str, Any]]]:
    """Return each row with the body of its document.

    Its id sorts in the order of *rows* after everything committed before.
    """
    stem, traceparent = sortable(now, entropy), current().traceparent
    common = {
        "type": OUTBOX_TYPE,
        "createdAt": isoformat(now),
        "dueAt": isoformat(now + SWEEP_AFTER),
        "attempts": 0,
    }
    if traceparent:
        common["traceparent"] = traceparent
    return [
        (OutboxRow(f"outbox/{stem}-{index:02d}", row, traceparent), common | _body(row))
        for index, row in enumerate(rows)
    ]


def _body(row: StoredRow) -> dict[str, Any]:
    match row:
        case Message(envelope, None):
            return {"kind": "publish", "envelope": _envelope_body(envelope)}
        case Message(envelope, service):
            return {
                "kind": "send",
                "service": service,
                "envelope": _envelope_body(envelope),
            }
        case Start(orchestration, instance_id, argument):
            return {
                "kind": "start",
                "orchestration": orchestration,
                "instanceId": instance_id,
                "input": dict(argument),
            }
        case Raise(instance_id, name):
            return {"kind": "raise", "instanceId": instance_id, "name": name}
        case Record():
            record = vars(row) | {"events": [dict(event) for event in row.events]}
            for name in OPTIONAL_FIELDS:
                if not record[name]:
                    del record[name]  # 0.2.0 reads it, too
            return {"kind": RECORD, "record": record}


def decode(document: Document) -> OutboxRow:
    """Return the row that *document* holds.

    Raises:
        MalformedRow: it was written by a version that this one does not understand.
    """
    try:
        traceparent = str(document.body.get("traceparent", ""))
        return OutboxRow(document.id, _row(document.body), traceparent)
    except (KeyError, TypeError, ValueError) as problem:
        raise MalformedRow(f"{document.id} in {document.partition}: {problem}") from problem


def _row(body: Body) -> StoredRow:
    match body["kind"]:
        case "publish":
            return Message(Envelope.model_validate(body["envelope"]))
        case "send":
            service = ServiceName(body["service"]).value
            return Message(Envelope.model_validate(body["envelope"]), service)
        case "start":
            return Start(body["orchestration"], body["instanceId"], body["input"])
        case "raise":
            return Raise(body["instanceId"], body["name"])
        case kind if kind == RECORD:
            return Record(**body["record"])
        case other:
            msg = f"unknown kind {other!r}"
            raise ValueError(msg)


def _envelope_body(envelope: Envelope) -> dict[str, Any]:
    return envelope.model_dump(mode="json", by_alias=True)


@dataclass(frozen=True)
class Committed:
    """Rows of one partition that are committed and ready to be relayed."""

    partition: Partition
    rows: Sequence[OutboxRow]
